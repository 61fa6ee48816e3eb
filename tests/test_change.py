"""Tried as someone who changes something: each change is in one place, and nothing drops it silently."""
import functools
import json
import os

import numpy as np
import pytest
from conftest import OF_TINY, SMALL, TINY, call, flags_of, losses, one_line, resume, same, train
from PIL import Image
from spots import Colours, Lines, Spots

import architecture
import ball_generator
import create_all
import create_beta_images
import main
from analysis import load, runs
from architecture import MODELS, tf
from ball_generator import Balls
from training import checkpoints
from training.data_sets import DATA_SETS
from training.flags import Flag, boolean, integer

# A data set more, a model more

@pytest.fixture(scope="module")
def three(tiny, tmp_path_factory):
    """Folder of runs of data sets that are records of this test's: of two channels, of three, and without a plane; with
    all figures drawn. The first was stopped once and resumed."""
    home = tmp_path_factory.mktemp("three")
    with pytest.MonkeyPatch.context() as patch:
        for key, record in ("spots", Spots), ("colours", Colours), ("lines", Lines):
            patch.setitem(DATA_SETS, key, record)
        with pytest.MonkeyPatch.context() as faster:
            (row,) = [row for row in main.FLAGS if row.name == "lr"]
            faster.setitem(row.default, "tiny", 0.02)
            for key, beta, max_step, every in (("spots", 0.1, 40, 60), ("spots", 0.1, 60, 60), ("spots", 1.0, 60, 60),
                                               ("colours", 0.1, 60, 60), ("lines", 0.1, 60, 20)):
                train(home / "s", model="tiny", data_set=key, beta=beta, max_step=max_step, save_every=every)
            train(home / "unbroken", model="tiny", data_set="spots", beta=0.1, max_step=60)
        patch.setattr(create_beta_images, "KEPT", 3)
        call(create_all.main, f"--train_dir={home}/s", f"--figures={home}/figures")
        yield home


SPOTS = "model_tiny_data_set_spots_beta_0.1"


def test_a_third_data_set_trains_resumes_and_is_scored(three):
    path = three / f"s_{SPOTS}"
    assert same(path, three / f"unbroken_{SPOTS}")
    assert losses(path)[-1][1] < 0.5 * losses(path)[0][1]
    vae = load(path)
    images = vae.data.render(vae.data.draw((1,), 5)).numpy()
    assert vae.reconstruct(images).shape == (5, 16, 16, 2) and vae.grid(0, 1).shape == (7, 7, 16, 16, 2)
    assert vae.reconstruction_loss(images, np.zeros((5, 2))).shape == (5,)
    with pytest.raises(ValueError, match=r"images are \[n, 16, 16\] or \[n, 16, 16, 2\]: given \[5, 16, 16\]"):
        vae.encode(images[..., 0])
    numbers = json.loads((path / "numbers.json").read_text())
    assert numbers["stddev"]["active"] == 2 and len(numbers["scores"]["r2"]) == 1  # the one factor that is a number
    assert set(numbers["active_latents"]["list"][0]["explained"]) == {"channel", "angle", "distance"}
    assert numbers["scores"]["others"]["chance"] == {"change_accuracy": pytest.approx(1 / 3, abs=1e-4)}


def test_a_third_data_set_is_drawn_by_every_script(three):
    found = set(os.listdir(three / "figures"))
    assert found == {
        file.format(f"model_tiny_data_set_{run}")
        for run in ("spots_beta_0.1", "spots_beta_1.0", "colours_beta_0.1", "lines_beta_0.1")
        for file in ("heat_map_{}.png", "response_map_{}.png", "traversal_{}.gif")} | {
        "code_model_tiny_data_set_lines_beta_0.1.gif"} | {
        file.format(key) for key in ("spots", "colours", "lines") for file in (
            "{}_reconstruction_loss.png", "{}_disentanglement.png", "{}_stddev_tiny.png", "training_curves_{}.png",
            "real_{}.jpg", "reconstructions_{}.png", "what_beta_does_tiny_{}.png", "two_latents_tiny_{}.png")}
    pictures = {file: np.asarray(Image.open(three / "figures" / file).convert("RGB")) / 255 for file in found}
    assert all(picture.std() > 0.02 for picture in pictures.values())
    state = Spots().simulate([(0, 5, 100)], 1)[0, 0]  # three channels in colour; of two, the mean, in grey
    grey = np.mean(Spots().render(state), axis=-1, keepdims=True)
    for key, shown in ("colours", Colours().render(state)), ("spots", grey):
        times = len(pictures[f"real_{key}.jpg"]) // len(shown)
        middles = pictures[f"real_{key}.jpg"][times // 2::times, times // 2::times]
        np.testing.assert_allclose(middles, np.broadcast_to(shown, middles.shape), atol=0.1)


def add(monkeypatch, row):
    """A row at the end of main.py's table."""
    monkeypatch.setattr(main, "FLAGS", (*main.FLAGS, row))
    monkeypatch.setattr(main, "main", functools.partial(main.main, table=main.FLAGS))


@pytest.mark.parametrize("row, word", [
    (Flag("warm_up", integer(0), 0, "steps of warm-up"), "5"),
    (Flag("mirror", boolean, False, "mirror every other image"), "true"),
    (Flag("order", ("up", "down"), {model: "up" for model in [*MODELS, "tiny"]}, "by model"), "down")])
def test_a_new_flag_is_a_row(short, unbroken, monkeypatch, capsys, row, word):
    """Runs that were begun without it have its default; another value is another run."""
    assert row.name not in flags_of(short)
    add(monkeypatch, row)
    other = train(short.parent / "store", f"--{row.name}={word}", **OF_TINY, max_step=0)
    assert other.name == f"store_{TINY}_{row.name}" + f"_{word}" * (word != "true")
    assert flags_of(other)[row.name] != row.default_of("tiny")
    call(main.main, "--help")
    assert f"--{row.name}" in capsys.readouterr().out


# A constant of the data

def test_radius_is_one_line(short, monkeypatch, capsys):
    """A run of the old one is refused, when resumed, loaded and started from, so that nothing is drawn of images that
    the model has not seen."""
    monkeypatch.setattr(ball_generator, "RADIUS", 0.8)
    before = (short / "flags.json").read_bytes()
    resume(short, code=2)
    one_line(capsys.readouterr().err, "radius was 1.2, now 0.8", short, "--restart")
    assert (short / "flags.json").read_bytes() == before
    with pytest.raises(ValueError, match="radius was 1.2, now 0.8"):
        load(short)
    train(short.parent / "next", **OF_TINY, init_from=short, code=2)
    one_line(capsys.readouterr().err, "--init_from", "radius was 1.2")
    assert not runs.runs_of([str(short)])
    resume(short, "--restart", max_step=7)
    vae = load(short)
    assert vae.step == 7
    image = vae.data.render(tf.constant([[[5.0, 5.0]]])).numpy()
    assert image.sum() == pytest.approx(18.66, rel=0.02)  # pi 0.8^2 gamma(1.25), in pixels of (10 / 32)^2


def test_a_new_layer_is_a_row(monkeypatch):
    """Of a kind that is there; one that is not is an error that names it."""
    layers = SMALL.layers
    monkeypatch.setitem(MODELS, "conv", architecture.dataclasses.replace(SMALL, layers=lambda h, n, c: (
        [("conv", 3, 2, 4, "elu"), *layers(h, n, c)[0]], [("dense", 7, "elu"), *layers(h, n, c)[1]])))
    flags = main.parse(None, main.FLAGS, ["--model=conv", "--hidden_size=2"])
    model = checkpoints.new_model(flags, Balls())
    assert model.count_params() == 40 + (4 * 16 * 16 + 1) * 4 + (2 + 1) * 7 + (7 + 1) * 1024
    monkeypatch.setitem(MODELS, "conv", architecture.dataclasses.replace(SMALL, layers=lambda h, n, c: (
        [("attention", 3)], [])))
    with pytest.raises(ValueError, match="unknown kind of layer: attention"):
        checkpoints.new_model(flags, Balls())
