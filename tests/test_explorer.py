"""explorer.html in a real browser: what it computes is what TensorFlow computes; dragged, slid and typed into as its
user does; and what create_explorer.py refuses."""
import json
import os
import re
import shutil
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import call, train

import create_explorer
from analysis import load, maps, plotting, runs
from analysis.measure import MEASURES
from architecture import MODELS
from training import checkpoints, folder

try:
    from selenium import webdriver
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.support.select import Select
except ImportError:
    webdriver = None

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SWITCHES = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
            "disable-component-update", "disable-sync", "force-device-scale-factor=1", "window-size=1200,1000")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER and webdriver),
    reason="no browser: apt install chromium chromium-driver; pip install selenium")
CONSTANT, ANNEALED = (f"model_conv_num_balls_1_beta_1.0{end}" for end in ("", "_beta_start_34.0_seed_22"))
N = 10  # images and codes of each model
MADE_UP = [*([f"--model={model}"] for model in MODELS), ["--num_balls=3"], ["--data_set=shapes"],
           ["--model=all_conv", "--data_set=shapes"]]


def made_up(train_dir, *words, weights=True):
    """Make a run's folder, of random weights that matter and made-up numbers. Returns its path."""
    path, rng = train(train_dir, *words, max_step=0), np.random.default_rng(0)
    file, values = checkpoints.file_of(path, 0), {}
    for name, value in checkpoints.read(file).items():
        size = 1.5 / np.sqrt(np.prod(value.shape[:-1])) if name.endswith("kernel") else 0.3
        values[name] = rng.normal(0, size, value.shape).astype(np.float32)
    os.remove(file) if not weights else np.savez(file, **values)
    numbers = {key: {"version": measure.version} for key, measure in MEASURES.items()}
    numbers["reconstruction"]["loss"], numbers["stddev"]["active"] = 1.5, 2
    numbers["active_latents"]["list"] = [{"latent": latent, "stddev": 0.5, "range": [-2, 2]} for latent in (1, 3)]
    (path / folder.NUMBERS).write_text(json.dumps({"step": 0, **numbers}))
    return path


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The page as it comes, of the runs in this repository."""
    figures = tmp_path_factory.mktemp("shipped")
    call(create_explorer.main, f"--figures={figures}")
    return SimpleNamespace(path=figures / "explorer.html", train_dir=runs.SHIPPED)


@pytest.fixture(scope="module")
def random(tmp_path_factory):
    """A page of every model and data set, with random weights in float32."""
    home = tmp_path_factory.mktemp("random")
    for words in MADE_UP:
        made_up(home / "store", *words)
    call(create_explorer.main, f"--train_dir={home}/store", f"--figures={home}", "--large", "--weights=float")
    return SimpleNamespace(path=home / "explorer.html", train_dir=home / "store")


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for switch in (*SWITCHES, f"user-data-dir={profile}"):
            options.add_argument(f"--{switch}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        yield driver
        driver.quit()


@pytest.fixture
def opened(browser):
    """A page's path -> the browser that shows it. At the end, nothing was loaded and nothing went wrong."""
    def show(path):
        browser.get(path.as_uri())
        return browser
    yield show
    assert browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def find(element, selector):
    return element.find_elements("css selector", selector)


def told(run):
    """Of each latent of a run's section: its name, mean and stddev as they stand there."""
    return [(row.text.split("\n")[0], *map(float, row.text.split("\n")[1].replace("−", "-").split(" ± ")))
            for row in find(run, ".numbers")]


def decoded(browser, number):
    """The pixels of a run's canvas, [rows, columns], from 0 to 1."""
    return np.array(browser.execute_script("""
        const canvas = document.querySelectorAll('.top canvas')[arguments[0]], n = canvas.width;
        return [...canvas.getContext('2d').getImageData(0, 0, n, n).data].filter((_, i) => i % 4 === 0)""", number)
    ).reshape(32, 32) / 255


def position(browser):
    """Where the ball is, by the label that a screen reader speaks, once the next frame is there."""
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => done())")
    label = find(browser, ".handle")[0].accessible_name
    return [float(word) for word in re.search(r"at x ([\d.]+), y ([\d.]+)", label).groups()]


@needs_browser
@pytest.mark.parametrize("page, tolerance", [("shipped", 1e-2), ("random", 1e-4)])
def test_it_computes_what_tensorflow_computes(request, opened, page, tolerance):
    """Images, means, stddevs and decoded images, of every run in the page."""
    page = request.getfixturevalue(page)
    browser, rng = opened(page.path), np.random.default_rng(1)
    names = browser.execute_script("return DATA.runs.map(run => run.name)")
    paths = [path for path in folder.find(str(page.train_dir)) if folder.read_flags(path).name in names]
    assert len(paths) == len(names) == (25 if page.train_dir == runs.SHIPPED else len(MADE_UP))
    for path in paths:
        vae = load(path)
        states = vae.data.draw((7,), N).astype(np.float32)
        codes = rng.normal(size=(N, vae.latents)).astype(np.float32)
        found = browser.execute_script("""
            const [name, states, codes] = arguments, run = DATA.runs.find(run => run.name === name);
            const data = DATA.data_sets.find(data => data.key === run.data), model = new Model(run, data);
            const images = states.map(state => DATA_SETS[data.kind](data).render(state.flat()));
            const seen = images.map(image => model.encode(image));
            return [images.map(image => [...image]), seen.map(one => one.mean), seen.map(one => one.stddev),
                    codes.map(z => [...model.decode(z)])]""", vae.flags.name, states.tolist(), codes.tolist())
        images = vae.data.render(states).numpy()
        for what, given, expected in zip(("image", "mean", "stddev", "decoded"), found, (
                images, *vae.encode(images), vae.decode(codes)), strict=True):
            error = np.abs(np.reshape(given, expected.shape) - expected).max()
            assert error < (1e-5 if what == "image" else tolerance), (vae.flags.name, what)


@needs_browser
def test_drag_the_ball(shipped, opened):
    browser = opened(shipped.path)
    stage, = find(browser, "#stage")
    for x, y in (3, 7), (7.5, 2.5), (9.9, 5):  # the last: into the wall
        side = stage.size["width"]
        x_now, y_now = position(browser)
        ActionChains(browser).move_to_element_with_offset(
            stage, round((x_now / 10 - 0.5) * side), round((y_now / 10 - 0.5) * side)).click_and_hold().move_by_offset(
            round((x - x_now) / 10 * side), round((y - y_now) / 10 * side)).release().perform()
        found = position(browser)
        assert np.allclose(found, np.minimum([x, y], 8.8), atol=0.11)
        exact = browser.execute_script("return state")
        for number, (run, name) in enumerate(zip(find(browser, ".run"), (CONSTANT, ANNEALED), strict=True)):
            vae = load(f"{runs.SHIPPED}_{name}")
            mean, stddev = vae.encode_states([[exact]])
            assert [row[0] for row in told(run)] == [plotting.symbol(latent) for latent in vae.active]
            numbers = np.array([row[1:] for row in told(run)])
            assert np.allclose(numbers, np.stack([mean[0], stddev[0]], -1)[vae.active], atol=0.02)
            assert np.allclose(decoded(browser, number), vae.decode(mean)[0], atol=0.02)
            view = vae.data.views[0]
            share = (np.array(exact) - view.low) / (view.high - view.low)
            for place, map_ in zip(find(run, ".cross"), find(run, ".map"), strict=True):
                cross, box = place.rect, map_.rect
                middle = cross["x"] + cross["width"] / 2 - box["x"], cross["y"] + cross["height"] / 2 - box["y"]
                assert np.allclose(middle, share * box["width"], atol=1)


@needs_browser
def test_response_maps_have_the_colours_of_the_figures(shipped, opened):
    """At the middles of their cells, which are of two by two of the figures'."""
    vae = load(f"{runs.SHIPPED}_{ANNEALED}")
    values, limit = maps.centred(vae.response_map())
    values = values.reshape(len(values), 30, 2, 30, 2).mean(axis=(2, 4))
    expected = 255 * create_explorer.map_sheets.colours()((values / limit + 1) / 2)[..., :3]
    shown = opened(shipped.path).execute_script("return sides[1].rows.map(row => [...row.maps[0].plain])")
    assert np.abs(np.reshape(shown, (-1, 90, 90, 4))[:, 1::3, 1::3, :3] - expected).max() < 4


@needs_browser
def test_sliders_decode_at_once_and_go_back(shipped, opened):
    browser = opened(shipped.path)
    run = find(browser, ".run")[1]
    vae, back, before = load(f"{runs.SHIPPED}_{ANNEALED}"), find(run, "button")[0], decoded(browser, 1)
    other = decoded(browser, 0)
    assert not back.is_enabled()
    slider = find(run, "input")[0]
    assert slider.accessible_name == f"Latent {vae.active[0]}"
    for _ in range(40):
        slider.send_keys(Keys.ARROW_RIGHT)
    low, high = map(float, (slider.get_attribute("min"), slider.get_attribute("max")))
    assert np.allclose([low, high], maps.ranges(vae, vae.active)[0], atol=1e-3)
    code, _ = vae.encode_states([[browser.execute_script("return state")]])
    value = float(slider.get_attribute("value"))
    assert value > code[0, vae.active[0]] + 39 * (high - low) / 200
    code[0, vae.active[0]] = value
    assert np.abs(decoded(browser, 1) - before).max() > 0.5
    assert np.allclose(decoded(browser, 1), vae.decode(code)[0], atol=0.02)
    assert np.array_equal(decoded(browser, 0), other)
    back.click()
    assert np.array_equal(decoded(browser, 1), before) and not back.is_enabled()


@needs_browser
def test_keyboard(shipped, opened):
    browser = opened(shipped.path)
    x, y = position(browser)
    ActionChains(browser).send_keys(Keys.TAB, Keys.ARROW_RIGHT * 5, Keys.ARROW_DOWN * 10).perform()
    assert np.allclose(position(browser), [x + 1, y + 2])
    ActionChains(browser).send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP).perform()
    assert np.allclose(position(browser), [x + 0.8, y + 1.8])
    unnamed = [one.get_attribute("outerHTML")[:80] for one in find(browser, "input, select, button, .map, .top canvas")
               if not one.accessible_name]
    assert not unnamed


@needs_browser
def test_another_run_and_another_data_set(shipped, opened):
    browser = opened(shipped.path)
    name = "model_all_conv_num_balls_1_beta_0.5"
    Select(find(browser, ".run select")[0]).select_by_value(name)
    assert len(told(find(browser, ".run")[0])) == len(load(f"{runs.SHIPPED}_{name}").active)
    Select(find(browser, "#data_set select")[0]).select_by_visible_text("two balls")
    first, second = find(browser, ".run")
    assert [len(find(first, ".map")), len(find(first, ".cross"))] == [2 * len(told(first)), 3 * len(told(first))]
    balls = np.array(browser.execute_script("return state")).reshape(2, 2)
    stage, = find(browser, "#stage")
    from_, to = np.round((balls / 10 - 0.5) * stage.size["width"]).astype(int).tolist()
    ActionChains(browser).move_to_element_with_offset(stage, *from_).click_and_hold().move_to_element_with_offset(
        stage, *to).release().perform()  # onto the other: they do not overlap, as in the data
    moved = np.array(browser.execute_script("return state")).reshape(2, 2)
    assert np.allclose(moved[1], balls[1]) and 2.39 < np.hypot(*(moved[0] - moved[1])) < 2.8
    Select(find(browser, ".run select")[1]).select_by_value("model_conv_num_balls_2_beta_32.0")  # which has collapsed
    assert "no active latents" in second.text and not told(second)


@needs_browser
def test_shapes(random, opened):
    browser = opened(random.path)
    Select(find(browser, "#data_set select")[0]).select_by_visible_text("2D shapes")
    shape, scale, orientation = find(browser, "#controls input")
    shape.send_keys(Keys.ARROW_RIGHT)
    scale.send_keys(Keys.ARROW_LEFT)
    orientation.send_keys(Keys.ARROW_RIGHT)
    handle = find(browser, ".handle")[0]
    handle.send_keys(Keys.ARROW_RIGHT)
    state = browser.execute_script("return state")
    assert np.allclose(state[:3], [1, 0.9, 2 * np.pi / 40])
    vae = load(next(path for path in folder.find(str(random.train_dir)) if "model_conv_data_set_shapes" in path))
    mean, _ = vae.encode_states([state])
    assert np.allclose([row[1] for row in told(find(browser, ".run")[0])], mean[0, [1, 3]], atol=0.01)


@needs_browser
@pytest.mark.parametrize("width, scheme", [(390, "light"), (1200, "dark")])
def test_on_a_phone_and_in_the_dark(shipped, opened, width, scheme):
    browser = opened(shipped.path)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    found = browser.execute_script("""
        const all = [...document.querySelectorAll('main *')].map(one => one.getBoundingClientRect().right);
        return [Math.max(...all, document.documentElement.scrollWidth), getComputedStyle(document.body).backgroundColor]
        """)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found[0] <= width
    assert (sum(map(int, re.findall(r"\d+", found[1]))) < 200) == (scheme == "dark")


@needs_browser
def test_thirty_frames_a_second(shipped, opened):
    """The quicker half of the frames: other processes of this machine slow the rest down."""
    frames = opened(shipped.path).execute_script("""
        const times = [];
        for (let i = 0; i < 60; i++) {
          const began = performance.now();
          state = scene.moved(state, 0, [2 + i / 10, 5 + 2 * Math.sin(i)]);
          show();
          document.body.offsetHeight;  // laid out, too
          times.push(performance.now() - began);
        }
        return times.sort((a, b) => a - b)""")
    print(f"{1000 / frames[30]:.0f} frames a second")
    assert frames[30] < 1000 / 30


def test_one_small_file_that_loads_nothing(shipped, tmp_path):
    """The balls' runs alone are below 4 MB; shapes, with four times the pixels, come to it."""
    balls = (f"--train_dir={runs.SHIPPED}_model_{model}_num_balls" for model in ("conv", "all_conv"))
    call(create_explorer.main, *balls, f"--figures={tmp_path}")
    assert (tmp_path / "explorer.html").stat().st_size < 4e6
    content = shipped.path.read_bytes()
    assert len(content) < 7e6
    assert not re.search(rb"https?:|\b(src|href)=|@import|fetch\(|import\(|XMLHttp", content)


def test_runs_that_it_cannot_show(tmp_path, monkeypatch, capsys):
    """Of a data set or layers that the page does not know, without weights, or large: in a line, and the others are
    shown. Large ones alone are no fault of a sweep that draws them."""
    _, shapes, bare, large = (made_up(tmp_path / "store", *words, weights=words != ["--beta=3"]) for words in (
        ["--model=all_conv"], ["--model=all_conv", "--data_set=shapes"], ["--beta=3"], ["--model=fully_connected"]))
    page = tmp_path / "page.html"
    page.write_text(create_explorer.PAGE.read_text().replace("\nDATA_SETS.shapes = ", "\nDATA_SETS.other = "))
    monkeypatch.setattr(create_explorer, "PAGE", page)
    capsys.readouterr()
    for place, code, says in (tmp_path / "store", 0, ["shapes", "page.html"]), (shapes, 2, ["shapes", "page.html"]), (
            bare, 2, ["no run with weights"]), (large, 0, []):
        call(create_explorer.main, f"--train_dir={place}", f"--figures={tmp_path}", code=code)
        said = capsys.readouterr()
        assert all(word in said.err for word in says) and ("--large adds them" in said.out) == (code == 0)
        assert (tmp_path / "explorer.html").exists() == (place == tmp_path / "store") == ("1 runs, " in said.out)
        (tmp_path / "explorer.html").unlink(missing_ok=True)
