"""What a run writes into its folder and onto the screen; tables that were touched in between."""
import contextlib
import io
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import OF_TINY, flags_of, losses, resume, same, scalars, train
from made_up import shown, window
from matplotlib.figure import Figure
from PIL import Image

import main
from architecture import tf
from ball_generator import Balls
from training import checkpoints, curves, latents, progress, records
from training.seeds import Purpose

OF_RUN = {"model": "tiny", "batch_size": 8, "max_step": 120, "save_every": 25, "report_every": 60, "beta": 0.5}
pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """What a run of 120 steps prints, and its folder, in one whose name has a space."""
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        path = train(tmp_path_factory.mktemp("a run") / "store", **OF_RUN)
    assert not errors.getvalue()
    return said.getvalue(), path


def test_what_a_run_prints(run):
    said, path = run
    for part in ("loading TensorFlow", "7,172 parameters", "CPU, 1 thread", "XLA off", tf.__version__, path,
                 "step 60 of 120", "reconstruction", "KL", "nats per image", "steps/s", "min left"):
        assert str(part) in said
    assert "--lr" not in said and said.count("\n") == 7
    log = (path / "log.txt").read_text().splitlines()
    assert [line for line in log if not line.startswith("--model=")] == said.splitlines()
    dump, = (line for line in log if line.startswith("--model="))
    assert all(f"--{row.name}=" in dump for row in main.FLAGS if row.default is not None)
    assert "--beta=0.5" in dump and "--lr=0.001" in dump
    row = losses(path)[-1]
    assert f"trained, step 120: reconstruction {row[1]:.2f}, KL {row[2]:.2f} nats per image" in said.splitlines()[-1]


def picture(file):
    return np.asarray(Image.open(file).convert("L")) / 255


def test_what_a_run_leaves(run):
    path = run[1]
    assert checkpoints.steps(path) == [120, 100, 75]
    kept = flags_of(path)
    assert kept["beta"] == 0.5 and kept["lr"] == 0.001 and kept["batch_size"] == 8
    assert not {"train_dir", "restart"} & kept.keys()
    assert kept["name"] == "model_tiny_num_balls_1_beta_0.5_batch_size_8" and kept["variant"] == {"batch_size": 8}
    assert kept["data"]["radius"] == 1.2 and kept["data"]["resolution"] == 32
    assert picture(path / "stddev.png").std() > 0.02
    assert (path / "losses.csv").read_text().startswith("step,reconstruction,kl,seconds,beta\n")
    assert [row[0] for row in curves.read(path / "stddev.csv")] == [60, 120]
    assert not [name for name in os.listdir(path) if name.endswith(".new")]


def test_a_report_of_a_model_that_is_known(tmp_path):
    """Stddevs of one trajectory of 1,000 frames, averaged and sorted; samples: an image that was never trained on, and
    what is decoded from its mean."""
    def encode(images):
        shares = tf.reduce_mean(images, axis=(1, 2))
        assert len(images) in (1, latents.FRAMES)
        return tf.constant([[1.0, 2, 3]]) * tf.ones_like(shares), 2 * tf.math.log(tf.constant([[3.0, 1, 2]]) * shares)

    def decode(z):
        assert z.numpy().tolist() == [[1, 2, 3]]
        return tf.fill((1, 32, 32, 1), tf.math.log(3.0))

    flags = main.parse(None, main.FLAGS, ["--seed=4"])
    record = records.Records(str(tmp_path), 0, 3)
    record.report(5, SimpleNamespace(encode=encode, decode=decode), Balls(), flags)
    share = Balls().render(Balls().simulate([(0, Purpose.EVALUATION, 100)], 1000)[0]).numpy().mean()
    header, row = (tmp_path / "stddev.csv").read_text().splitlines()
    assert header == "step,1,2,3" and list(map(float, row.split(","))) == pytest.approx(
        [5, share, 2 * share, 3 * share], rel=1e-4)
    first = Balls().render(Balls().simulate([(4, Purpose.REPORT, 0)], 1)[0, 0]).numpy()
    assert np.abs(picture(tmp_path / "real_balls.jpg") - first[..., 0]).mean() < 0.02
    assert np.abs(picture(tmp_path / "generated_balls.jpg") - 0.75).max() < 0.02


def test_tensorboard_shows_the_same_curve_as_the_table(run):
    rows, shown = losses(run[1]), scalars(run[1])
    assert [row[0] for row in rows] == [25, 50, 60, 75, 100, 120]
    assert set(shown) == {"loss_reconstruction", "loss_vae", "beta"}
    np.testing.assert_allclose(shown["loss_reconstruction"], [row[:2] for row in rows], rtol=1e-5)
    np.testing.assert_allclose(shown["loss_vae"], [(row[0], 0.5 * row[2]) for row in rows], rtol=1e-5)
    np.testing.assert_allclose(shown["beta"], [(row[0], row[4]) for row in rows], rtol=1e-5)
    assert {row[4] for row in rows} == {0.5}
    seconds = [row[3] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0


@pytest.mark.parametrize("kl, said", [(0.09, True), (0.11, False)])
def test_a_collapsed_model_is_told_in_the_last_line(tmp_path, monkeypatch, capsys, kl, said):
    add = records.Records.add
    monkeypatch.setattr(records.Records, "add", lambda self, step, reconstruction, _, beta: add(
        self, step, reconstruction, kl, beta))
    path = train(tmp_path / "store", **OF_TINY, max_step=7)
    for last in capsys.readouterr().out.splitlines()[-1], (path / "log.txt").read_text().splitlines()[-1]:
        assert ("no latent is active: the model has collapsed, or has not left the plateau yet" in last) == said
        assert f"KL {kl:.2f}" in last


@pytest.mark.parametrize("content, steps", [
    (None, []), ("", []), ("HEAD1,2,3,4,5\n\n\n2,2,3,4,5\n", [1, 2]), ("HEAD1,2,3,4,5\n2,3,4,5,6", [1]),
    ("HEAD1,2,3,4,5\n\0\0\0\0\n7,8,9,9,9\n", [1, 7]), ("HEAD1;2;3;4;5\n2;2;3;4;5\n", []),
    ("HEAD1,2,3\n2,2,3,4,5\n3,3,3,3,3,3\n", [2]), ("HEAD1,2,3,4,\udce9\n2,2,3,4,5\r\n", [2]),
    ("HEAD1,nan,3,4,5\n2,inf,3,4,5\n", []), ("HEAD1e300,2,3,4,5\n", [int(1e300)]),
    ("HEAD5,2,3,4,5\n5,2,3,4,5\n4,2,3,4,5\n6.5,2,3,4,5\n-7,2,3,4,5\n8,2,3,4,5\n", [5, 8])])
def test_rows_that_make_no_sense_are_left_out(tmp_path, content, steps):
    if content is not None:
        content = content.replace("HEAD", ",".join(curves.LOSSES) + "\n")
        (tmp_path / "losses.csv").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert [row[0] for row in curves.read_losses(tmp_path)] == steps


def test_no_step_is_told_twice_of_a_run_that_ends_between_two_saves(unbroken, tmp_path, monkeypatch):
    """As by a kill: the rows since the last checkpoint are in losses.csv, until it is cut back, and no events yet."""
    def kill(bar, step, *terms):
        if step == 28:
            raise SystemExit(9)
    monkeypatch.setattr(progress.Bar, "show", kill)
    path = train(tmp_path / "store", **{**OF_TINY, "report_every": 6}, max_step=40, code=9)
    assert losses(path)[-1][0] == 28 and scalars(path)["beta"][-1][0] == 21
    monkeypatch.undo()
    train(tmp_path / "store", **OF_TINY, max_step=40)
    assert same(path, unbroken)
    assert [step for step, _ in scalars(path)["beta"]] == [row[0] for row in losses(path)]
    assert [row[0] for row in curves.read(path / "stddev.csv")] == [6, 12, 18, 40]  # 24, too, was cut back


def test_a_plot_never_ends_a_training(short, unbroken, monkeypatch, capsys):
    def savefig(*args, **kwargs):
        raise RuntimeError("latex could not be found\nand more")
    monkeypatch.setattr(Figure, "savefig", savefig)
    resume(short)
    told = f"{short}/stddev.png was not drawn: latex could not be found"
    assert told in capsys.readouterr().err.splitlines() and told in (short / "log.txt").read_text().splitlines()
    assert same(short, unbroken)


# On a terminal

def on_a_terminal(columns, tmp_path, **flags):
    """What a run prints on a terminal of so many columns."""
    ours, its = window(columns)
    with open(its, "w") as terminal, contextlib.redirect_stdout(terminal):
        train(tmp_path / "store", **{**OF_TINY, "max_step": 21, "report_every": 7, **flags})
        terminal.flush()
        return shown(ours)


def test_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path, capsys):
    said = on_a_terminal(80, tmp_path, beta=4, num_balls=3, friction="true", seed=2)  # too long a label
    bars = [part for part in re.split(r"[\r\n]", said) if "%|" in part]
    assert bars and all(len(re.sub(r"\x1b\[\w", "", bar)) <= 80 for bar in bars)
    assert re.match(r"tiny, three balls, friction, beta 4… +100%\|█*\| .*left, .*step/s, [\d.]+\+[\d.]+", bars[-1])
    assert "step 7 of 21" not in said and "trained, step 21" in said
    said = on_a_terminal(0, tmp_path, seed=3)  # as under `script -c`
    assert "step 7 of 21" in said and "%|" not in said
