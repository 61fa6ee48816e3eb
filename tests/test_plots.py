"""The plot scripts, run on real folders; their figures opened and looked at, pixel by pixel where it matters."""
import json
import os
import subprocess
from types import SimpleNamespace

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import script
from PIL import Image

import architecture
import ball_generator
import create_cool_images
import create_error_graph
import create_stddev_graphs
import experiment
import main
import plotting

TRAINED = "model_fully_connected_num_balls_1_beta_0.1"


def untrained(train_dir, *words):
    """A run folder with the weights alone of a model at step 0."""
    flags = main.parse([f"--train_dir={train_dir}", *words])
    experiment.claim(flags).close()
    experiment.save(experiment.parts(experiment.new_model(flags)), experiment.folder(flags), 0)
    return experiment.folder(flags)


@pytest.fixture(scope="module")
def store(tmp_path_factory, trained):
    """A trained run, untrained ones of every odd kind, and folders that are no runs; with all figures drawn."""
    home = tmp_path_factory.mktemp("a store")
    train_dir, figures = home / "store", home / "new" / "figures"
    os.symlink(f"{trained}_{TRAINED}", f"{train_dir}_{TRAINED}")
    for words in (["--hidden_size=3"], ["--hidden_size=3", "--seed=1"], ["--beta=4"], ["--model=all_conv"],
                  ["--num_balls=2", "--batch_size=7"], ["--num_balls=3"], ["--friction"]):
        untrained(train_dir, *words)
    os.mkdir(f"{train_dir}_model_empty")
    os.mkdir(f"{train_dir}_model_conv_num_balls_1_beta_0.5")
    experiment.claim(main.parse([f"--train_dir={train_dir}", "--beta=0.5"])).close()  # killed before its first save
    os.mkdir(f"{train_dir}_model_conv_num_balls_1_beta_0.1.old-1")
    output = {name: script(name, f"--train_dir={train_dir}", f"--figures={figures}")
              for name in ("create_cool_images.py", "create_stddev_graphs.py", "create_error_graph.py")}
    return train_dir, figures, output


RUNS = ["model_fully_connected_num_balls_1_beta_0.1", "model_conv_num_balls_1_beta_0.1",
        "model_conv_num_balls_1_beta_0.1_seed_1", "model_conv_num_balls_1_beta_4.0",
        "model_all_conv_num_balls_1_beta_0.1", "model_conv_num_balls_2_beta_0.1", "model_conv_num_balls_3_beta_0.1",
        "model_conv_num_balls_1_beta_0.1_friction"]


def test_files_and_what_is_said(store):
    train_dir, figures, output = store
    expected = {f"heat_map_{run}.png" for run in RUNS} | {"stddev.json", "reconstruction_loss.json"} | {
        f"{start}_stddev_{model}.png" for start, model in (
            ("one_ball", "fully_connected"), ("one_ball", "conv"), ("one_ball", "all_conv"), ("two_ball", "conv"),
            ("three_ball", "conv"), ("one_ball_friction", "conv"))} | {
        f"{start}_reconstruction_loss.png" for start in ("one_ball", "two_ball", "three_ball", "one_ball_friction")}
    assert set(os.listdir(figures)) == expected
    for done in output.values():
        assert f"left out {train_dir}_model_empty: it has no flags.json" in done.stderr
        assert "model_conv_num_balls_1_beta_0.5: it has no whole checkpoint" in done.stderr
        missing = done.stderr.split("missing of the 18")[1]
        assert "model_conv_num_balls_2_beta_1.0" in missing and TRAINED not in missing
        assert missing.count("model_") == 18 - 4 and "old-1" not in done.stderr


def test_every_figure_shows_something_and_knows_its_runs(store):
    for path in store[1].glob("*.png"):
        picture = cv2.imread(str(path))
        assert picture.std() > 10 and len(np.unique(picture[::9].reshape(-1, 3), axis=0)) > 10, path
        text = Image.open(path).text
        assert {"run", "step", "seed"} <= set(text), path
    text = Image.open(store[1] / "one_ball_stddev_conv.png").text
    assert text["run"].split(", ") == ["model_conv_num_balls_1_beta_0.1", "model_conv_num_balls_1_beta_0.1_seed_1",
                                       "model_conv_num_balls_1_beta_4.0"]
    assert text["step"] == "0, 0, 0" and text["seed"] == "0, 1, 0"
    text = Image.open(store[1] / f"heat_map_{TRAINED}.png").text
    assert (text["run"], text["step"], text["seed"]) == (TRAINED, "500", "0")


def tiles(path, rows):
    """The tiles of a heat map, [rows, 5, 96, 96], cut out of the picture by its layout."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    c = create_cool_images
    assert picture.shape == (c.TOP + rows * 102 - 6 + c.BOTTOM, c.LEFT + 5 * 102 - 6 + c.RIGHT)
    grid = picture[c.TOP:picture.shape[0] - c.BOTTOM, c.LEFT:picture.shape[1] - c.RIGHT]
    gaps = np.ones(grid.shape, bool)
    for row in range(rows):
        for column in range(5):
            gaps[row * 102:row * 102 + 96, column * 102:column * 102 + 96] = False
    assert (grid[gaps] == 255).all()
    return np.array([[grid[r * 102:r * 102 + 96, c * 102:c * 102 + 96] for c in range(5)] for r in range(rows)])


def test_tiles_of_a_heat_map(store):
    train_dir, figures, _ = store
    found = tiles(figures / f"heat_map_{TRAINED}.png", 10)
    squares = found.reshape(10, 5, 32, 3, 32, 3)
    assert (squares == squares[:, :, :, :1, :, :1]).all()  # pixels are whole squares

    flags, model, _ = experiment.restore(f"{train_dir}_{TRAINED}")
    positions = ball_generator.simulate([(0, experiment.EVALUATION, 100)], 1, 128)[0]
    mean, log_variance = (part.numpy() for part in model.encode(ball_generator.render(positions)))
    stddev = np.exp(0.5 * log_variance)
    z = mean[0] + stddev[0] * architecture.normal((10,), (experiment.EVALUATION, 0)).numpy()
    for row, latent in enumerate(np.argsort(stddev.mean(axis=0))):
        for column, value in enumerate((-3, -1.5, 0, 1.5, 3)):
            changed = z.copy()
            changed[latent] = value
            expected = 255 / (1 + np.exp(-model.decode(changed[None]).numpy()[0, :, :, 0].astype(float)))
            np.testing.assert_allclose(squares[row, column, :, 0, :, 0], expected, atol=3)


def test_live_latents_change_the_picture_and_dead_ones_do_not(store, tmp_path):
    flags, model, step = experiment.restore(f"{store[0]}_{TRAINED}")
    kernel = model.decoder.layers[0].kernel
    kernel.assign(kernel * (np.arange(10) != 4)[:, None])  # the decoder no longer sees latent 4
    latents, stddev, pictures = create_cool_images.traverse(flags, model)
    figure = create_cool_images.draw("one is dead", latents, stddev, pictures)
    plotting.save_figure(figure, f"{tmp_path}/map.png", {TRAINED: {"step": step, "seed": 0}}, create_cool_images.DPI)
    found = tiles(tmp_path / "map.png", 10).astype(int)
    spread = np.ptp(found, axis=1).max(axis=(1, 2))  # over the five values
    assert (spread[latents == 4] == 0).all()
    assert stddev[0] < 0.5 and (spread[(stddev < 0.5) & (latents != 4)] > 60).all()


def test_fewer_than_ten_latents(store):
    tiles(store[1] / "heat_map_model_conv_num_balls_1_beta_0.1.png", 3)  # which looks at the size of the picture
    tiles(store[1] / "heat_map_model_all_conv_num_balls_1_beta_0.1.png", 10)


def test_numbers_as_json(store):
    train_dir, figures, _ = store
    with open(figures / "stddev.json") as file:
        stddevs = json.load(file)
    with open(figures / "reconstruction_loss.json") as file:
        losses = json.load(file)
    assert set(stddevs) == set(losses) == set(RUNS)
    assert stddevs[TRAINED]["step"] == losses[TRAINED]["step"] == 500
    assert losses["model_conv_num_balls_1_beta_0.1_seed_1"]["seed"] == 1
    assert len(stddevs["model_conv_num_balls_1_beta_0.1"]["stddev"]) == 3
    assert len(stddevs["model_all_conv_num_balls_1_beta_0.1"]["stddev"]) == 16

    flags, model, _ = experiment.restore(f"{train_dir}_{TRAINED}")
    pictures = ball_generator.render(ball_generator.simulate([(0, experiment.EVALUATION, 100)], 1, 1000)[0])
    stddev = np.exp(model.encode(pictures)[1].numpy().astype(float) / 2)
    expected = sorted(sum(row[i] for row in stddev) / 1000 for i in range(10))
    np.testing.assert_allclose(stddevs[TRAINED]["stddev"], expected, atol=1e-4)

    per_trajectory = []
    for i in range(100):
        pictures = ball_generator.render(ball_generator.simulate([(0, experiment.EVALUATION, i)], 1, 32)[0]).numpy()
        mean, log_variance = (part.numpy() for part in model.encode(pictures))
        z = mean + np.exp(0.5 * log_variance) * architecture.normal((32, 10), (experiment.EVALUATION, i)).numpy()
        p = np.clip(1 / (1 + np.exp(-model.decode(z).numpy().astype(float))), 1e-300, 1 - 1e-16)
        per_trajectory.append(-(pictures * np.log(p) + (1 - pictures) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean())
    found = losses[TRAINED]
    assert found["reconstruction_loss"] == pytest.approx(np.mean(per_trajectory), abs=2e-3)
    assert found["standard_error"] == pytest.approx(np.std(per_trajectory) / np.sqrt(99), abs=1e-3)
    assert found["entropy_floor"] == pytest.approx(21.12, abs=0.05)
    assert losses["model_conv_num_balls_2_beta_0.1"]["entropy_floor"] == pytest.approx(42.19, abs=0.05)


def test_models_are_compared_on_the_same_pictures(store):
    with open(store[1] / "reconstruction_loss.json") as file:
        losses = json.load(file)
    floors = {losses[run]["entropy_floor"] for run in RUNS if "balls_1" in run and "friction" not in run}
    assert len(floors) == 1


def lines(axes):
    return {line.get_label(): line.get_xydata() for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_error_graph_draws_ours_the_floor_and_2016():
    runs = {f"r{seed}{beta}": {"model": "conv", "beta": beta, "reconstruction_loss": 22 + beta + seed,
                               "standard_error": 0.1, "entropy_floor": 21.12} for seed in (0, 1) for beta in (0.1, 4.0)}
    runs["all_conv"] = {"model": "all_conv", "beta": 0.1, "reconstruction_loss": 80, "standard_error": 3,
                        "entropy_floor": 21.12}
    runs["all_conv, other beta"] = {**runs["all_conv"], "beta": 1.0, "standard_error": 0.2}
    published = plotting.published("reconstruction_loss")["1"]
    figure = create_error_graph.draw("one ball", runs, published)
    (axes,) = figure.axes
    drawn = lines(axes)
    assert drawn["conv, 2016"].tolist() == [[0.1, 21.4688], [0.5, 22.1625], [1.0, 22.975]]
    assert set(drawn["entropy floor, 21.12"][:, 1]) == {21.12}
    bars, others = axes.containers
    np.testing.assert_allclose(bars[0].get_xydata(), [[0.1, 22.6], [4.0, 26.5]])  # mean of two seeds
    np.testing.assert_allclose(bars[2][0].get_segments()[0][:, 1], [22.5, 22.7])   # the standard error
    dots = [line.get_xydata() for line in axes.get_lines()
            if line.get_marker() == "o" and line.get_linestyle() == "None"]
    np.testing.assert_allclose(dots[0], [[0.1, 22.1], [4, 26], [0.1, 23.1], [4, 27]])  # every seed
    assert "nats" in axes.get_ylabel() and "beta" in axes.get_xlabel()
    np.testing.assert_allclose([segment[:, 1] for segment in others[2][0].get_segments()], [[77, 83], [79.8, 80.2]])
    assert bars[0].get_color() != others[0].get_color()
    plt.close(figure)


def test_title_tells_steps_and_seeds():
    flags = SimpleNamespace(num_balls=2, friction=True)
    runs = {str(seed): {"model": "conv", "beta": 0.1, "step": 1000 * (1 + seed), "seed": seed} for seed in (0, 1)}
    assert plotting.title(flags, runs) == "two balls, friction\nsteps 1,000, 2,000; seeds 0, 1"
    runs["other"] = {"model": "conv", "beta": 0.5, "step": 1000, "seed": 0}
    assert plotting.title(flags, runs).endswith("seeds 0, 1 (1 to 2 a point)")


def test_stddev_graph_draws_ours_and_2016():
    runs = {"a": {"beta": 0.1, "stddev": [0.2, 0.6]}, "b": {"beta": 0.1, "stddev": [0.4, 1.0]},
            "c": {"beta": 2.0, "stddev": [0.9, 1.0, 1.0]}}
    figure = create_stddev_graphs.draw("conv, one ball", runs, {"0.1": [0.1, 0.5, None], "1.0": [0.3, 0.4, 0.5]})
    (axes,) = figure.axes
    drawn = lines(axes)
    assert sorted(drawn) == ["$\\beta$ = 0.1, 2 seeds", "$\\beta$ = 0.1, 2016", "$\\beta$ = 2"]
    np.testing.assert_allclose(drawn["$\\beta$ = 0.1, 2 seeds"], [[1, 0.3], [2, 0.8]])
    np.testing.assert_allclose(drawn["$\\beta$ = 0.1, 2016"], [[1, 0.1], [2, 0.5], [3, np.nan]])
    plt.close(figure)


def test_published_numbers_are_of_the_18():
    assert len(plotting.expected()) == len(set(plotting.expected())) == 18
    assert plotting.published("reconstruction_loss")["2"]["fully_connected"]["0.5"] == 45.1146


@pytest.mark.parametrize("name", ["create_cool_images.py", "create_stddev_graphs.py", "create_error_graph.py"])
def test_nothing_to_draw(tmp_path, name):
    done = script(name, f"--train_dir={tmp_path}/none", f"--figures={tmp_path}/figures", code=1)
    assert "nothing to draw" in done.stderr and f"{tmp_path}/none" in done.stderr
    assert not os.listdir(tmp_path / "figures")
    assert "did you mean --figures" in script(name, "--figure=x", code=2).stderr
    assert "--figures" in script(name, "--figures=/dev/null", code=2).stderr


def test_read_only_figures(tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(figures)], capture_output=True).returncode:
        pytest.skip("cannot mount here: needs root")
    try:
        done = script("ball_generator.py", f"--figures={figures}", code=2)
        assert "--figures" in done.stderr and "Read-only" in done.stderr and done.stderr.count("\n") == 1
    finally:
        subprocess.run(["umount", str(figures)], check=True)


def test_sample_pictures(tmp_path):
    script("ball_generator.py", f"--figures={tmp_path}", env={k: v for k, v in os.environ.items() if k != "DISPLAY"})
    assert sorted(os.listdir(tmp_path)) == ["real_balls_one_balls.jpg", "real_balls_two_balls.jpg"]
    one, two = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(tmp_path.glob("*.jpg")))
    assert one.shape == (256, 256)
    for picture, count in (one, 1), (two, 2):
        assert picture.sum() / 255 / 64 == pytest.approx(count * 41, rel=0.15)  # pixels that a ball covers
