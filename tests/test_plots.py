"""The plot scripts, called in this process on real folders; their figures opened and looked at, and what is drawn held
against other ways to it."""
import contextlib
import io
import os
import shutil
from types import SimpleNamespace

import cv2
import matplotlib
import numpy as np
import pytest
from conftest import call, change_flags, ideal_code_alone, train
from PIL import Image

import create_all
import create_cool_images
import create_error_graph
import create_stddev_graphs
from analysis import animation, maps, runs

SCRIPTS = create_all.SCRIPTS[:-1]  # the explorer: test_explorer.py
TRAINED = "model_all_conv_num_balls_1_beta_0.1_batch_size_16_lr_0.01"
CONV = "model_conv_num_balls_1_beta_0.1"
ONE, OTHER, BETAS, FRICTION, TWO, ANNEALED = [f"model_tiny_num_balls_{rest}" for rest in (
    "1_beta_1.0", "1_beta_1.0_seed_1", "1_beta_4.0", "1_beta_1.0_friction", "2_beta_0.1",
    "2_beta_0.1_beta_start_36.0_beta_steps_40000_lr_0.0002_weight_init_0.05")]
UNTRAINED = {  # name -> flags
    CONV: ["--model=conv"], ONE: ["--beta=1"], OTHER: ["--beta=1", "--seed=1"],
    BETAS: ["--beta=4"], FRICTION: ["--beta=1", "--friction"], TWO: ["--num_balls=2"],
    ANNEALED: ["--num_balls=2", "--beta_start=36", "--beta_steps=40000", "--lr=0.0002", "--weight_init=0.05"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory, trained, tiny):
    """A trained run, untrained ones of many kinds, and folders that are no runs; with all figures drawn."""
    home = tmp_path_factory.mktemp("a store")
    train_dir, figures = home / "store", home / "new" / "figures"
    shutil.copytree(trained, f"{train_dir}_{TRAINED}")
    for step in range(30, 300, 30):
        os.remove(f"{train_dir}_{TRAINED}/ckpt-{step}.npz")  # as many as an animation needs are left
    for name, words in UNTRAINED.items():
        made = train(train_dir, "--model=tiny", *words, max_step=0)
        assert made.name == f"store_{name}"
    shutil.copytree(f"{train_dir}_{ONE}", f"{train_dir}_{ONE}_backup")
    os.mkdir(f"{train_dir}_model_empty")
    killed = train(train_dir, model="tiny", beta=0.5, max_step=0)
    os.remove(killed / "ckpt-0.npz")  # before its first save
    said = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        ideal_code_alone(patch)
        with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
            call(create_all.main, f"--train_dir={train_dir}", f"--figures={figures}")
    return SimpleNamespace(train_dir=train_dir, figures=figures, out=said[0].getvalue(), err=said[1].getvalue())


def contents(figures):
    return {path.name: path.read_bytes() for path in figures.iterdir()}


def shown_in(path):
    return Image.open(path).text["run"].split(", ")


def test_files(store):
    expected = {"one_ball_settings.png": [TRAINED], "one_ball_over_time.png": [TRAINED],
                "two_ball_settings.png": [TWO, ANNEALED], "one_ball_stddev_conv.png": [CONV],
                "one_ball_betas_stddev_tiny.png": [ONE, OTHER, BETAS],
                "one_ball_betas_disentanglement.png": [CONV, ONE, OTHER, BETAS],
                "one_ball_friction_reconstruction_loss.png": [FRICTION]}
    found = contents(store.figures)
    for file, shown in expected.items():
        assert set(shown_in(store.figures / file)) == set(shown), file
    assert not [file for file in found if file.endswith(".new")]
    assert {f"heat_map_{name}.png" for name in [TRAINED, *UNTRAINED]} <= set(found)  # more: test_change.py


def test_what_is_left_out_is_said_once(store):
    for place, why in (f"{store.train_dir}_{ONE}_backup", "it holds the same experiment as another"), (
            f"{store.train_dir}_model_tiny_num_balls_1_beta_0.5", "it has no whole checkpoint"):
        assert store.err.count(f"left out {place}: {why}\n") == 1
    assert store.err.count("left out") == 2
    assert all(f"{script.__name__}.py: " in store.out for script in SCRIPTS)  # and its seconds


def test_several_train_dirs_stand_for_each_run_once(store):
    one, others = f"{store.train_dir}_{TRAINED}", f"{store.train_dir}_{ONE}"
    assert [run.path for run in runs.runs_of([one, others, one])] == sorted([one, others])


def test_every_figure_shows_something_and_knows_its_runs(store):
    names = {TRAINED, *UNTRAINED}
    for path in store.figures.glob("*.png"):
        image = cv2.imread(str(path))
        assert image.std() > 8 and len(np.unique(image[::9, ::5].reshape(-1, 3), axis=0)) > 10, path
        edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (edge == 255).all(), f"{path}: a text is cut"
        text, shown = Image.open(path).text, shown_in(path)
        assert set(shown) <= names, path
        assert text["step"].split(", ") == ["300" if name == TRAINED else "0" for name in shown]
        assert text["seed"].split(", ") == ["1" if name.endswith("_seed_1") else "0" for name in shown]
        if path.name.startswith(("heat_map_", "response_map_")):
            assert path.name.endswith(f"map_{shown[0]}.png") and len(shown) == 1


def test_a_users_own_style_changes_nothing(store, tmp_path):
    """Neither size nor a single dot, nor does it ask for LaTeX."""
    with matplotlib.rc_context({"savefig.bbox": "tight", "font.size": 25, "text.usetex": True, "figure.dpi": 33,
                                "savefig.dpi": 33, "axes.prop_cycle": matplotlib.cycler(color=["red"]),
                                "image.cmap": "hot", "lines.linewidth": 9}):
        for script, name, file in ((create_cool_images, TRAINED, f"heat_map_{TRAINED}.png"),
                                   (create_stddev_graphs, CONV, "one_ball_stddev_conv.png")):
            call(script.main, f"--train_dir={store.train_dir}_{name}", f"--figures={tmp_path}")
            assert (tmp_path / file).read_bytes() == (store.figures / file).read_bytes()
    assert matplotlib.rcParams["font.size"] == 10


def test_the_code_is_seen_as_it_comes_to_be(store):
    """Frame by frame from the checkpoints, from five before a latent does something: the first is white, and the last
    is the network as it is."""
    run = runs.Run(f"{store.train_dir}_{TRAINED}")
    latents = run.vae.active[:animation.COLUMNS]
    final, limit = maps.centred(run.vae.response_map(*latents))
    film = Image.open(store.figures / f"code_{TRAINED}.gif")
    frames = []
    for number in 0, film.n_frames - 1:
        film.seek(number)
        frames.append(np.array(film.convert("RGB")))
    assert 6 < film.n_frames <= 21 and film.info["duration"] == 1100  # a while at the end
    for place, values in enumerate(final):
        left = place * (animation.MAP + animation.GAP)
        first, last = (frame[2 * animation.LINE:, left:left + animation.MAP][1::3, 1::3].astype(int) for frame in
                       frames)
        assert abs(first - 247).max() < 30  # white, in these colours
        red_less_blue = last[..., 0] - last[..., 2]
        assert np.corrcoef(red_less_blue.ravel(), values.ravel())[0, 1] > 0.95


# What goes wrong

def test_a_run_that_cannot_be_drawn_takes_no_other_along(store, tmp_path, capsys):
    """Its weights are cut short, or its model is no more; it has its numbers, which graphs show."""
    for name, change in (ONE, {}), (OTHER, {}), (BETAS, {"model": "gone"}):
        place = shutil.copytree(f"{store.train_dir}_{name}", tmp_path / f"s_{name}")
        change_flags(place, **change)
    (tmp_path / f"s_{OTHER}" / "ckpt-0.npz").write_bytes(b"PK")
    call(create_all.main, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/figures", code=1)
    err = capsys.readouterr().err
    for what in "heat maps", "response maps":
        assert f"{what}: left out {OTHER}: ValueError: {tmp_path}/s_{OTHER}: it comes without weights" in err
        assert f"{what}: left out {BETAS}: ValueError: {tmp_path}/s_{BETAS}: architecture.py has no model gone\n" in err
    assert err.endswith("not drawn: create_training_curves\n")  # at step 0 there are none
    assert [path.name for path in tmp_path.glob("figures/heat_map_*")] == [f"heat_map_{ONE}.png"]
    assert shown_in(tmp_path / "figures" / "one_ball_reconstruction_loss.png") == [ONE, OTHER, BETAS]
    assert shown_in(tmp_path / "figures" / "reconstructions_one_ball.png") == [ONE]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_nothing_to_draw_and_bad_flags(tmp_path, capsys, script):
    call(script.main, f"--train_dir={tmp_path}/none", f"--figures={tmp_path}/figures", code=1)
    assert f"nothing to draw: there is no run at {tmp_path}/none; main.py" in capsys.readouterr().err
    assert not os.listdir(tmp_path / "figures")
    call(script.main, "--figure=x", code=2)
    assert "did you mean --figures" in capsys.readouterr().err
    call(script.main, "--figures=/dev/null", code=2)
    assert "--figures: /dev/null cannot be written" in capsys.readouterr().err


def test_one_script_that_fails_does_not_stop_the_others(store, tmp_path, monkeypatch, capsys):
    called = []
    for script in SCRIPTS:
        monkeypatch.setattr(script, "draw_all", lambda *_, name=script.__name__: called.append(name) or True)
    monkeypatch.setattr(create_cool_images, "draw_all", lambda *_: 1 / 0)
    monkeypatch.setattr(create_error_graph, "draw_all", lambda *_: False)
    call(create_all.main, f"--train_dir={store.train_dir}", f"--figures={tmp_path}", code=1)
    assert len(called) == len(SCRIPTS) - 2
    assert capsys.readouterr().err.endswith("not drawn: create_error_graph, create_cool_images\n")
