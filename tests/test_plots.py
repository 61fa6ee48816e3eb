"""The plot scripts, called in this process on real folders; their figures opened and looked at, and the numbers drawn
held against others computed apart."""
import contextlib
import io
import json
import os
import shutil
from types import SimpleNamespace

import cv2
import matplotlib
import numpy as np
import pytest
from conftest import call, train
from PIL import Image

import architecture
import ball_generator
import create_beta_images
import create_cool_images
import create_disentanglement_graphs
import create_error_graph
import create_reconstruction_images
import create_stddev_graphs
import create_training_curves
import main
from analysis import animation, draw, maps, metrics, plotting, runs, scores
from analysis.metrics import METRICS
from training import checkpoints, flags, folder, load
from training.seeds import Purpose

SCRIPTS = (create_beta_images, create_cool_images, create_disentanglement_graphs, create_error_graph,
           create_reconstruction_images, create_stddev_graphs, create_training_curves)
TRAINED = "model_all_conv_num_balls_1_beta_0.1_batch_size_16_lr_0.01"
CONV = "model_conv_num_balls_1_beta_0.1_hidden_size_3"
UNTRAINED = {  # name -> flags
    CONV: ["--hidden_size=3"], f"{CONV}_seed_1": ["--hidden_size=3", "--seed=1"],
    "model_tiny_num_balls_1_beta_4.0": ["--model=tiny", "--beta=4"],
    "model_tiny_num_balls_1_beta_4.0_lr_0.0001": ["--model=tiny", "--beta=4", "--lr=0.0001"],
    "model_tiny_num_balls_2_beta_0.1": ["--model=tiny", "--num_balls=2"],
    "model_tiny_num_balls_2_beta_0.1_beta_start_36.0_beta_steps_40000_lr_0.0002_weight_init_0.05": [
        "--model=tiny", "--num_balls=2", "--beta_start=36", "--beta_steps=40000", "--lr=0.0002", "--weight_init=0.05"],
    "model_tiny_num_balls_1_beta_0.1_friction": ["--model=tiny", "--friction"]}
DATA = "one_ball", "two_ball", "one_ball_friction"


def untrained(train_dir, *words):
    """Make a run's folder with the weights alone of a model at step 0. Returns its path."""
    parsed = flags.parse(None, main.FLAGS, [f"--train_dir={train_dir}", *words])
    path = folder.locate(parsed, main.FLAGS)
    folder.claim(path, parsed, main.FLAGS).close()
    checkpoints.save(checkpoints.parts(checkpoints.new_model(parsed)), path, 0)
    return path


def ideal_code(num_balls):
    """To hold scores against, the ideal code alone."""
    return {"ideal code": scores.scores_of([metrics.factors_of(positions)[1] for positions in scores.all_of(num_balls)],
                                           num_balls)}


@pytest.fixture(scope="module")
def store(tmp_path_factory, trained, tiny):
    """A trained run, untrained ones of many kinds, one of a model that there is no more, and folders that are no runs;
    with all figures drawn."""
    home = tmp_path_factory.mktemp("a store")
    train_dir, figures = home / "store", home / "new" / "figures"
    shutil.copytree(trained, f"{train_dir}_{TRAINED}")
    for words in UNTRAINED.values():
        untrained(train_dir, *words)
    os.mkdir(f"{train_dir}_model_empty")
    killed = flags.parse(None, main.FLAGS, [f"--train_dir={train_dir}", "--beta=0.5"])
    folder.claim(folder.locate(killed, main.FLAGS), killed, main.FLAGS).close()  # before its first save
    os.mkdir(f"{train_dir}_model_conv_num_balls_1_beta_0.1.old-1")
    said = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "scores_without_network", ideal_code)  # of many seconds; test_results.py looks at it all
        with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
            call(draw.main, f"--train_dir={train_dir}", f"--figures={figures}")
    return SimpleNamespace(train_dir=train_dir, figures=figures, out=said[0].getvalue(), err=said[1].getvalue())


def numbers(figures, file):
    with open(figures / file) as content:
        return json.load(content)


def test_files(store):
    names = [TRAINED, *UNTRAINED]
    models = {("one_ball", "all_conv"), ("one_ball", "conv")} | {(data, "tiny") for data in DATA}
    expected = {f"heat_map_{name}.png" for name in names} | {
        f"{data}_stddev_{model}.png" for data, model in models} | {
        f"{data}_{what}.png" for data in DATA for what in ("reconstruction_loss", "disentanglement")} | {
        f"reconstructions_{data}.png" for data in DATA} | {f"beta_{model}_{data}.png" for data, model in models} | {
        f"response_map_{TRAINED}.png", f"traversal_{TRAINED}.gif", f"code_{TRAINED}.gif",
        "training_curves_one_ball.png",
        "real_balls_one_balls.jpg", "real_balls_two_balls.jpg",
        "stddev.json", "reconstruction_loss.json", "disentanglement.json"}
    found = set(os.listdir(store.figures))
    assert expected <= found and not [file for file in found if file.endswith(".new")]
    for file in "stddev.json", "reconstruction_loss.json", "disentanglement.json":
        assert set(numbers(store.figures, file)) == set(names)


def test_what_is_left_out_is_said_once(store):
    assert f"left out {store.train_dir}_model_empty: it has no flags.json\n" in store.err
    assert f"left out {store.train_dir}_model_conv_num_balls_1_beta_0.5: it has no whole checkpoint\n" in store.err
    assert store.err.count("left out") == 2

    assert all(f"{script.__name__}.py: " in store.out for script in SCRIPTS)  # and its seconds


def test_every_figure_shows_something_and_knows_its_runs(store):
    names = {TRAINED, *UNTRAINED}
    for path in store.figures.glob("*.png"):
        image = cv2.imread(str(path))
        assert image.std() > 8 and len(np.unique(image[::9, ::5].reshape(-1, 3), axis=0)) > 10, path
        edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (edge == 255).all(), f"{path}: a text is cut"
        text = Image.open(path).text
        shown = text["run"].split(", ")
        assert set(shown) <= names, path
        assert text["step"].split(", ") == ["300" if name == TRAINED else "0" for name in shown]
        assert text["seed"].split(", ") == ["1" if name.endswith("_seed_1") else "0" for name in shown]
        if path.name.startswith(("heat_map_", "response_map_")):
            assert path.name.endswith(f"map_{shown[0]}.png") and len(shown) == 1
    text = Image.open(store.figures / "one_ball_stddev_conv.png").text
    assert text["run"] == f"{CONV}, {CONV}_seed_1"
    text = Image.open(store.figures / "one_ball_reconstruction_loss.png").text
    assert set(text["run"].split(", ")) == {name for name in names if "balls_1" in name and "friction" not in name}


def test_runs_that_differ_in_one_flag_are_kept_apart(store):
    one, other = (name for name in UNTRAINED if "beta_4.0" in name)
    losses = numbers(store.figures, "reconstruction_loss.json")
    assert one in losses and other in losses
    shown = [run for run in runs.runs_of(str(store.train_dir)) if run.name in (one, other)]
    lines = plotting.series([(run, losses[run.name]) for run in shown])
    assert list(lines) == [("tiny", ""), ("tiny", "lr 0.0001")]
    figure = create_error_graph.draw("", [(run, losses[run.name]) for run in shown], {})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["tiny", "tiny, lr 0.0001"]


# Heat maps

def tiles(path, rows):
    """The tiles of a heat map, [rows, 5, 32, 32], cut out by the module's own layout."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    c = create_cool_images
    step = c.TILE + c.GAP
    assert image.shape == (c.TOP + rows * step - c.GAP + c.BOTTOM, c.LEFT + 5 * step - c.GAP + c.RIGHT)
    squares = np.array([[image[c.TOP + row * step:, c.LEFT + column * step:][:c.TILE, :c.TILE] for column in range(5)]
                        for row in range(rows)]).reshape(rows, 5, 32, c.TILE // 32, 32, c.TILE // 32)
    assert (squares == squares[:, :, :, :1, :, :1]).all()  # a pixel is a square
    return squares[:, :, :, 0, :, 0].astype(float)


@pytest.mark.parametrize("name", [TRAINED, "model_tiny_num_balls_1_beta_4.0"])
def test_tiles_of_a_heat_map(store, name):
    vae = load(f"{store.train_dir}_{name}")
    positions = ball_generator.simulate([(0, int(Purpose.EVALUATION), 100)], 1, 128)[0]
    mean, log_variance = (part.numpy() for part in vae.model.encode(ball_generator.render(positions)))
    stddev = np.exp(0.5 * log_variance)
    z = mean[0] + stddev[0] * architecture.normal((vae.latents,), (int(Purpose.EVALUATION), 0)).numpy()
    active = set(vae.active.tolist())
    assert bool(active) == (name == TRAINED)
    rows = np.argsort(stddev.mean(axis=0))[:10]
    found = tiles(store.figures / f"heat_map_{name}.png", len(rows))
    for row, latent in enumerate(rows):
        for column, value in enumerate((-3, -1.5, 0, 1.5, 3)):
            changed = z.copy()
            changed[latent] = value
            expected = 1 / (1 + np.exp(-vae.model.decode(changed[None]).numpy()[0, :, :, 0].astype(float)))
            if latent not in active:  # pale
                expected = 1 - create_cool_images.PALE * (1 - expected)
            np.testing.assert_allclose(found[row, column], 255 * expected, atol=3)


def test_a_latent_that_the_decoder_does_not_see_changes_nothing(store):
    vae = load(f"{store.train_dir}_{TRAINED}")
    kernel = vae.model.decoder.layers[1].kernel
    latents, _, z, images = create_cool_images.edit(vae)
    assert np.ptp(images, axis=1).max(axis=(1, 2)).min() > 0
    kernel.assign(kernel * 0)
    latents, stddev, z, images = create_cool_images.edit(vae)
    assert len(set(latents.tolist())) == 10 and (np.diff(stddev) >= 0).all() and len(z) == 16
    assert np.ptp(images, axis=1).max() == 0


def test_fewer_than_ten_latents(store):
    tiles(store.figures / f"heat_map_{CONV}.png", 3)  # which looks at the size of the image
    tiles(store.figures / "heat_map_model_tiny_num_balls_2_beta_0.1.png", 2)


def test_a_users_own_style_changes_nothing(store, tmp_path):
    """Neither size nor a single dot, nor does it ask for LaTeX."""
    one = tmp_path / f"store_{TRAINED}"
    shutil.copytree(f"{store.train_dir}_{TRAINED}", one)
    with matplotlib.rc_context({"savefig.bbox": "tight", "font.size": 25, "text.usetex": True, "figure.dpi": 33,
                                "savefig.dpi": 33, "axes.prop_cycle": matplotlib.cycler(color=["red"]),
                                "image.cmap": "hot", "lines.linewidth": 9}):
        for script, file in ((create_cool_images, f"heat_map_{TRAINED}.png"),
                             (create_stddev_graphs, "one_ball_stddev_all_conv.png")):
            call(script.main, f"--train_dir={tmp_path}/store", f"--figures={tmp_path}")
            assert (cv2.imread(str(tmp_path / file)) == cv2.imread(str(store.figures / file))).all()
    assert matplotlib.rcParams["font.size"] == 10


def test_sample_images(store):
    for name, count in ("one", 1), ("two", 2):
        image = cv2.imread(str(store.figures / f"real_balls_{name}_balls.jpg"), cv2.IMREAD_GRAYSCALE)
        assert image.shape == (256, 256)
        assert image.sum() / 255 / 64 == pytest.approx(count * 41, rel=0.15)  # pixels that a ball covers


# Numbers

def test_numbers_computed_apart(store):
    stddevs, losses = (numbers(store.figures, file) for file in ("stddev.json", "reconstruction_loss.json"))
    assert stddevs[TRAINED]["step"] == losses[TRAINED]["step"] == 300
    assert losses[f"{CONV}_seed_1"]["seed"] == 1
    assert len(stddevs[CONV]["stddev"]) == 3 and len(stddevs[TRAINED]["stddev"]) == 16

    model = load(f"{store.train_dir}_{TRAINED}").model
    images = ball_generator.render(ball_generator.simulate([(0, int(Purpose.EVALUATION), 100)], 1, 1000)[0])
    stddev = np.exp(model.encode(images)[1].numpy().astype(float) / 2)
    expected = sorted(sum(row[i] for row in stddev) / 1000 for i in range(16))
    np.testing.assert_allclose(stddevs[TRAINED]["stddev"], expected, atol=1e-4)

    per_trajectory = []
    for i in range(100):
        seed = 0, int(Purpose.EVALUATION), i
        images = ball_generator.render(ball_generator.simulate([seed], 1, 32)[0]).numpy()
        mean, log_variance = (part.numpy() for part in model.encode(images))
        z = mean + np.exp(0.5 * log_variance) * architecture.normal((32, 16), (int(Purpose.EVALUATION), i)).numpy()
        p = np.clip(1 / (1 + np.exp(-model.decode(z).numpy().astype(float))), 1e-300, 1 - 1e-16)
        per_trajectory.append(-(images * np.log(p) + (1 - images) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean())
    found = losses[TRAINED]
    assert found["reconstruction_loss"] == pytest.approx(np.mean(per_trajectory), abs=2e-3)
    assert found["standard_error"] == pytest.approx(np.std(per_trajectory) / np.sqrt(99), abs=1e-3)
    assert found["entropy_floor"] == pytest.approx(21.12, abs=0.05)
    assert losses["model_tiny_num_balls_2_beta_0.1"]["entropy_floor"] == pytest.approx(42.19, abs=0.05)
    floors = {losses[name]["entropy_floor"] for name in losses if "balls_1" in name and "friction" not in name}
    assert len(floors) == 1  # models are compared on the same images


def test_scores_of_the_runs(store):
    found = numbers(store.figures, "disentanglement.json")
    vae = load(f"{store.train_dir}_{TRAINED}")
    _, stddev = vae.encode_positions(scores.positions_of(1)[0])
    learnt = found[TRAINED]
    assert learnt["latents"] == 16 and learnt["active_latents"] == (stddev.mean(axis=0) < 0.9).sum() > 0
    assert all(0 < share < 1 for share in learnt["r2"]) and set(METRICS) <= set(learnt)
    assert found["model_tiny_num_balls_2_beta_0.1"]["factors"][0] == "centroid x"
    assert "change_accuracy" not in found["model_tiny_num_balls_2_beta_0.1"]
    for name in CONV, f"{CONV}_seed_1":  # at step 0: over all of its latents
        vae = load(f"{store.train_dir}_{name}")
        codes = [vae.encode_positions(positions)[0] for positions in scores.all_of(1)]
        assert vae.step == 0 and found[name]["others"][scores.UNTRAINED] == scores.rounded(scores.scores_of(codes, 1))
    assert found[CONV]["others"][scores.UNTRAINED] != found[f"{CONV}_seed_1"]["others"][scores.UNTRAINED]


def test_the_code_is_seen_as_it_comes_to_be(store):
    """Frame by frame from the checkpoints, from five before a latent does something: the first are white, and the last
    is the network as it is. That stays as it is."""
    run = runs.read(f"{store.train_dir}_{TRAINED}")
    latents = run.vae.active[:animation.COLUMNS]
    final, limit = maps.centred(maps.response_maps(run.vae, latents)["ball"])
    before = run.vae.decode(np.eye(run.vae.latents))
    assert list(checkpoints.whole(run.path, 290)) == list(range(10, 291, 10))
    animation.grow(run, checkpoints.whole(run.path, 100))
    assert np.array_equal(run.vae.decode(np.eye(run.vae.latents)), before)
    frames = animation.grow(run, checkpoints.whole(run.path, 300))
    assert 15 < len(frames) <= 30 + 10 and not any((frame != frames[-1]).any() for frame in frames[-11:])
    side = animation.MAP * maps.GRID
    for place, values in enumerate(final):
        left = place * (side + animation.GAP)
        first, last = (frame[animation.LINE:, left:left + side][1::3, 1::3].astype(int) for frame in
                       (frames[0], frames[-1]))
        assert abs(first - 247).max() < 30  # white, in these colours
        red_less_blue = last[..., 0] - last[..., 2]
        assert np.corrcoef(red_less_blue.ravel(), values.ravel())[0, 1] > 0.95


def test_what_is_left_out_for_one_reason_is_one_line(tmp_path, capsys):
    """As are all runs when the images have changed."""
    for name in "a", "b", "c":
        (tmp_path / f"s_model_{name}").mkdir()
    assert runs.runs_of(f"{tmp_path}/s") == []
    said = capsys.readouterr().err.partition("nothing to draw")[0]
    assert said == f"left out {tmp_path}/s_model_a and 2 more: it has no flags.json\n"


def test_a_run_without_weights_is_drawn_from_its_numbers(store, tmp_path, capsys):
    """Even one of a model that there is no more."""
    before = {file: numbers(store.figures, file)[TRAINED] for file in (
        "stddev.json", "reconstruction_loss.json", "disentanglement.json")}
    name = TRAINED.replace("all_conv", "gone")
    place = tmp_path / f"store_{name}"
    place.mkdir()
    kept = vars(folder.read_flags(f"{store.train_dir}_{TRAINED}"))
    (place / "flags.json").write_text(json.dumps({**kept, "model": "gone"}))
    shutil.copy(f"{store.train_dir}_{TRAINED}/losses.csv", place)
    words = f"--train_dir={tmp_path}/store", f"--figures={tmp_path}/figures"
    call(create_error_graph.main, *words, code=1)
    assert f"left out {place}: it has no whole checkpoint" in capsys.readouterr().err
    (place / "numbers.json").write_text(json.dumps(before))
    for script in create_stddev_graphs, create_error_graph, create_disentanglement_graphs, create_training_curves:
        call(script.main, *words)
    out, err = capsys.readouterr()
    assert out.count("1 of 1 runs come without weights: graphs show their numbers, images leave them out\n") == 1
    assert not err
    for file, expected in before.items():
        assert numbers(tmp_path / "figures", file) == {name: expected}
    for file in "one_ball_reconstruction_loss", "one_ball_stddev_gone", "one_ball_disentanglement":
        assert cv2.imread(str(tmp_path / "figures" / f"{file}.png")).std() > 8
    call(create_cool_images.main, *words, code=1)
    folder.write_whole(str(place / "numbers.json"), json.dumps({"stddev.json": before["stddev.json"]}))
    call(create_error_graph.main, *words, code=1)
    assert "reconstruction_loss.json: 1 runs without weights have no numbers for it\n" in capsys.readouterr().out


def test_a_run_that_was_trained_on_is_read_again(tmp_path, tiny):
    def steps():
        return [run.step for run in runs.runs_of(f"{tmp_path}/store")]

    train(tmp_path / "store", model="tiny", batch_size=4, max_step=1)
    found = runs.runs_of(f"{tmp_path}/store")
    assert steps() == [1] and runs.runs_of(f"{tmp_path}/store") is found
    train(tmp_path / "store", model="tiny", batch_size=4, max_step=2)
    assert steps() == [2]
    train(tmp_path / "store", model="tiny", batch_size=4, max_step=1, seed=1)
    assert steps() == [2, 1]


# What a script is told, and says

@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_nothing_to_draw_and_bad_flags(tmp_path, capsys, script):
    call(script.main, f"--train_dir={tmp_path}/none", f"--figures={tmp_path}/figures", code=1)
    assert f"nothing to draw: there is no run under {tmp_path}/none_*; main.py" in capsys.readouterr().err
    assert not [file for file in os.listdir(tmp_path / "figures") if not file.startswith("real_balls")]
    call(script.main, "--figure=x", code=2)
    assert "did you mean --figures" in capsys.readouterr().err
    call(script.main, "--figures=/dev/null", code=2)
    assert "--figures: /dev/null cannot be written" in capsys.readouterr().err


def test_one_script_that_fails_does_not_stop_the_others(store, tmp_path, monkeypatch, capsys):
    called = []
    for script in SCRIPTS:
        monkeypatch.setattr(script, "main", lambda words, name=script.__name__: called.append(name) or 0)
    words = f"--train_dir={store.train_dir}", f"--figures={tmp_path}"
    call(draw.main, *words)
    assert set(called) >= {script.__name__ for script in SCRIPTS}
    monkeypatch.setattr(create_cool_images, "main", lambda words: 1 / 0)
    monkeypatch.setattr(create_error_graph, "main", lambda words: 1)
    called.clear()
    call(draw.main, *words, code=1)
    assert "create_stddev_graphs" in called
    assert capsys.readouterr().err.endswith("not drawn: create_cool_images, create_error_graph\n")
