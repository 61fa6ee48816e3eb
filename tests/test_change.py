"""Tried as someone who changes something: each change is in one place, and nothing drops it silently."""
import importlib
import json

import pytest
from conftest import OF_TINY, SMALL, TINY, call, losses, one_line, resume, same, tensors, train

import architecture
import ball_generator
import main
from analysis import plotting
from architecture import MODELS, tf
from training import checkpoints, load, sweep
from training.flags import Flag, boolean, whole


@pytest.fixture
def edit():
    """Replace one line of a module's source by another, as an editor would before the module is imported."""
    edited = []

    def replace(module, old, new):
        with open(module.__file__) as file:
            source = file.read()
        assert source.count(f"\n{old}") == 1
        edited.append(module)
        exec(compile(source.replace(f"\n{old}", f"\n{new}"), module.__file__, "exec"), module.__dict__)
    yield replace
    for module in edited:
        importlib.reload(module)


def test_a_fourth_model_is_one_record(tmp_path, tiny, unbroken, capsys):
    """It has its flags' defaults, trains, loads, is part of the sweep, and has its colour in figures."""
    spec = importlib.util.spec_from_file_location("again", sweep.__file__)
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    assert again.names() == [*sweep.names(), *(
        f"model_tiny_num_balls_{balls}_beta_{beta}" for balls in (1, 2) for beta in (0.1, 0.5, 1.0))]
    assert len(sweep.names()) == 18 and sweep.names()[0] == "model_fully_connected_num_balls_1_beta_0.1"
    capsys.readouterr()
    call(again.run, "--list", "--model=tiny", f"--train_dir={tmp_path}/store")
    assert capsys.readouterr().out.count("--model=tiny") == 6
    flags = main.parse(None, main.FLAGS, ["--model=tiny"])
    assert (flags.hidden_size, flags.lr, flags.weight_init) == (2, 1e-3, 0.1)
    vae = load(unbroken)
    assert vae.latents == 2 and vae.sample(3).shape == (3, 32, 32)
    assert plotting.colour_of("tiny") == SMALL.colour != plotting.colour_of("conv")


def test_a_model_that_is_no_more(short, monkeypatch):
    """Its runs cannot be loaded, and say so; figures of numbers have a colour left for it."""
    flags = json.loads((short / "flags.json").read_text())
    gone = short.rename(short.with_name(short.name.replace("tiny", "gone")))
    (gone / "flags.json").write_text(json.dumps({**flags, "model": "gone"}))
    with pytest.raises(ValueError, match="architecture.py has no model gone"):
        load(gone)
    assert plotting.colour_of("gone") not in [record.colour for record in MODELS.values()]


@pytest.mark.parametrize("row, word", [
    (Flag("warm_up", whole(0), 0, "steps of warm-up"), "5"),
    (Flag("mirror", boolean, False, "mirror every other image"), "true"),
    (Flag("order", ("up", "down"), {model: "up" for model in [*MODELS, "tiny"]}, "by model"), "down")])
def test_a_new_flag_is_a_row(short, unbroken, monkeypatch, capsys, row, word):
    """Runs that were begun without it have its default; another value is another run."""
    monkeypatch.setattr(main, "FLAGS", (*main.FLAGS, row))
    assert resume(short) == short and same(short, unbroken)
    assert json.loads((short / "flags.json").read_text())[row.name] == row.default_of("tiny")
    other = resume(short, f"--{row.name}={word}", max_step=0)
    assert other.name == f"store_{TINY}_{row.name}" + f"_{word}" * (word != "true")
    call(main.main, "--help")
    assert f"--{row.name}" in capsys.readouterr().out


def test_a_new_flag_that_is_no_part_of_the_experiment(short, monkeypatch):
    monkeypatch.setattr(main, "FLAGS", (*main.FLAGS, Flag("color", whole(0), 0, "of bars", False)))
    assert resume(short, color=1, max_step=22) == short


def test_two_values_of_a_flag_are_two_runs(tmp_path, tiny):
    paths = [train(tmp_path / "store", **OF_TINY, max_step=7, lr=lr) for lr in (0.001, 0.002)]
    assert [path.name for path in paths] == [f"store_{TINY}{suffix}" for suffix in ("", "_lr_0.002")]
    assert len({tensors(path)["optimizer/_learning_rate/.ATTRIBUTES/VARIABLE_VALUE"].item() for path in paths}) == 2


@pytest.mark.parametrize("constant", ball_generator.constants())
def test_a_constant_of_the_data_that_has_changed_is_refused(short, monkeypatch, capsys, constant):
    """When resumed and when loaded, so that nothing is drawn of images that the model has not seen."""
    old = getattr(ball_generator, constant.upper())
    monkeypatch.setattr(ball_generator, constant.upper(), old * 2)
    before = (short / "flags.json").read_bytes()
    resume(short, code=2)
    one_line(capsys.readouterr().err, f"{constant} was {old}, now {old * 2}", short, "--restart")
    assert (short / "flags.json").read_bytes() == before
    with pytest.raises(ValueError, match=f"{constant} was {old}, now {old * 2}"):
        load(short)
    train(short.parent / "next", **OF_TINY, init_from=short, code=2)
    one_line(capsys.readouterr().err, "--init_from", f"{constant} was {old}")


def test_radius_is_one_line(tmp_path, short, edit, capsys):
    edit(ball_generator, "RADIUS = 1.2", "RADIUS = 0.8")
    resume(short, code=2)
    one_line(capsys.readouterr().err, "radius was 1.2, now 0.8")
    resume(short, "--restart", max_step=7)
    assert load(short).step == 7
    image = ball_generator.render(tf.constant([[[5.0, 5.0]]])).numpy()
    assert image.sum() == pytest.approx(18.66, rel=0.02)  # pi 0.8^2 gamma(1.25), in pixels of (10 / 32)^2


def test_resolution_is_one_line(tmp_path, edit):
    """Every model follows: builds, trains, reports, loads."""
    edit(ball_generator, "RESOLUTION = 32", "RESOLUTION = 64")
    for model in "conv", "all_conv", "fully_connected":
        path = train(tmp_path / "store", model=model, batch_size=2, max_step=2, report_every=2)
        assert losses(path)[-1][1] == pytest.approx(4096 * 0.693, rel=0.05)
        vae = load(path)
        assert vae.sample(2).shape == (2, 64, 64) and (
            vae.latents == {"conv": 32, "all_conv": 64, "fully_connected": 10}[model])


def test_channels_are_one_line(tmp_path, tiny, edit):
    edit(ball_generator, "CHANNELS = 1", "CHANNELS = 3")
    path = train(tmp_path / "store", **{**OF_TINY, "report_every": 2}, max_step=2)
    assert losses(path)[-1][1] == pytest.approx(3 * 1024 * 0.693, rel=0.1)
    assert load(path).encode(ball_generator.render(tf.constant([[[5.0, 5.0]]])).numpy())[0].shape == (1, 2)


def test_a_new_layer_is_a_row(tmp_path, monkeypatch, edit):
    """Of a kind that is there; one that is not is an error that names it."""
    layers = SMALL.layers
    monkeypatch.setitem(MODELS, "conv", architecture.dataclasses.replace(SMALL, layers=lambda h, n, c: (
        [("conv", 3, 2, 4), *layers(h, n, c)[0]], [("dense", 7), *layers(h, n, c)[1]])))
    flags = main.parse(None, main.FLAGS, ["--model=conv", "--hidden_size=2"])
    model = checkpoints.new_model(flags)
    assert model.count_params() == 40 + (4 * 16 * 16 + 1) * 4 + (2 + 1) * 7 + (7 + 1) * 1024
    monkeypatch.setitem(MODELS, "conv", architecture.dataclasses.replace(SMALL, layers=lambda h, n, c: (
        [("attention", 3)], [])))
    with pytest.raises(ValueError, match="unknown kind of layer: attention"):
        checkpoints.new_model(flags)
