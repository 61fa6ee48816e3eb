"""What a run writes into its folder and onto the screen; tables that were touched in between."""
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
from types import SimpleNamespace

import cv2
import matplotlib
import numpy as np
import pytest
from conftest import OF_TINY, losses, resume, same, scalars, train
from matplotlib.figure import Figure

import ball_generator
import main
from architecture import tf
from training import checkpoints, records, tables

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """What a run of 120 steps prints, and its folder, in one whose name has a space."""
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        path = train(tmp_path_factory.mktemp("a run") / "store", model="tiny", batch_size=8, max_step=120,
                     save_every=25, report_every=60, beta=0.5)
    assert not errors.getvalue()
    return said.getvalue(), path


def test_what_a_run_prints(run):
    said, path = run
    for part in ("loading TensorFlow", "7,172 parameters", "CPU, 1 thread", "XLA off", tf.__version__, path,
                 "step 60 of 120", "reconstruction", "KL", "nats per image", "steps/s", "min left"):
        assert str(part) in said
    assert "--lr" not in said and said.count("\n") == 6
    log = (path / "log.txt").read_text().splitlines()
    assert [line for line in log if not line.startswith("--model=")] == said.splitlines()[1:]
    dump, = (line for line in log if line.startswith("--model="))
    assert all(f"--{row.name}=" in dump for row in main.FLAGS) and "--beta=0.5" in dump and "--lr=0.001" in dump
    row = losses(path)[-1]
    assert f"trained, step 120: reconstruction {row[1]:.2f}, KL {row[2]:.2f} nats per image" in said.splitlines()[-1]


def test_what_a_run_leaves(run):
    path = run[1]
    assert tf.train.latest_checkpoint(path) == f"{path}/ckpt-120"
    assert checkpoints.steps(path) == [120, 100, 75]
    kept = json.loads((path / "flags.json").read_text())
    assert kept["beta"] == 0.5 and kept["lr"] == 0.001 and kept["batch_size"] == 8 and "train_dir" not in kept
    assert kept["data"]["radius"] == 1.2 and kept["data"]["resolution"] == 32
    for name in "real_balls", "generated_balls":
        assert cv2.imread(f"{path}/{name}.jpg", cv2.IMREAD_GRAYSCALE).shape == (32, 32)
    assert cv2.imread(f"{path}/real_balls.jpg").max() > 200
    assert cv2.imread(f"{path}/stddev.png").std() > 5
    lines = [line.split(",") for line in (path / "stddev.csv").read_text().splitlines()]
    assert [line[0] for line in lines] == ["step", "60", "120"]
    assert all(len(line) == 3 and line[1:] == sorted(line[1:], key=float) for line in lines[1:])
    assert not [name for name in os.listdir(path) if name.startswith(("saving", "ckpt-50")) or name.endswith(".new")]


def test_stddevs_are_averages_over_a_batch_sorted(tmp_path, tiny):
    """And samples: the first image of the batch, and what is decoded from its mean."""
    def encode(images):
        shares = np.arange(len(images), dtype=np.float32)[:, None]
        return np.float32([[1, 2, 3]]) * (1 + shares), 2 * np.log(np.float32([[3, 1, 2]]) * (1 + shares))

    def decode(z):
        assert z.tolist() == [[1, 2, 3]]
        return np.full((1, 32, 32, 1), np.log(3), np.float32)

    flags = main.parse(None, main.FLAGS, ["--batch_size=3", "--seed=4"])
    model = SimpleNamespace(encode=lambda images: [tf.constant(part) for part in encode(images)],
                            decode=lambda z: tf.constant(decode(z.numpy())))
    records.Records(str(tmp_path), 0, lambda step: 1).report(5, model, flags)
    assert (tmp_path / "stddev.csv").read_text() == "step\n5,2.0000,4.0000,6.0000\n"
    first = ball_generator.render(ball_generator.simulate([(4, 4, 0)], 1, 1)[0, 0]).numpy()
    assert np.abs(cv2.imread(f"{tmp_path}/real_balls.jpg", 0) / 255 - first[..., 0]).mean() < 0.02
    assert np.abs(cv2.imread(f"{tmp_path}/generated_balls.jpg", 0) / 255 - 0.75).max() < 0.02


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


@pytest.mark.parametrize("content, steps, dropped", [
    (b"", [], 0), (b"step", [], 0), (b"step\n", [], 0), (b"1,2,3,4,5\n6,7,8,9,10\n", [1, 6], 0),
    (b"step\n1,2,3,4,5\n\n", [1], 1), (b"step\n1,2,3,4,5\n\n\n2,2,3,4,5\n", [1, 2], 2),
    (b"step\n1,2,3,4,5\n2,3", [1], 0), (b"step\n1,2,3,4,5\n2,3,4,5,6", [1], 0),
    (b"step\n1,2,3,4,5\n\0\0\0\0", [1], 1), (b"step\n1,2,3,4,5\n\0\0\0\0\n7,8,9,9,9\n", [1, 7], 1),
    (b"step\n1;2;3;4;5\n2;2;3;4;5\n", [], 2), (b"step\n1,2,3\n2,2,3,4\n3,3,3,3,3,3\n", [2], 2),
    (b"step\n1,2,3,4,\xe9\n2,2,3,4,5\n", [2], 1), (b"\xef\xbb\xbfstep\r\n1,2,3,4,5\r\n2,2,3,4,5\r\n", [1, 2], 0),
    (b"step\n1,nan,3,4,5\n2,inf,3,4,5\n3,1e999,3,4,5\n4,x,3,4,5\n", [], 4),
    (b"step\n5,2,3,4,5\n5,2,3,4,5\n4,2,3,4,5\n6.5,2,3,4,5\n-7,2,3,4,5\n8,2,3,4,5\n", [5, 8], 4),
    (b"step\n1e300,2,3,4,5\n", [int(1e300)], 0), (bytes(range(256)) * 3, [], 3),
])
def test_rows_that_make_no_sense_are_dropped_and_counted(tmp_path, content, steps, dropped):
    (tmp_path / "losses.csv").write_bytes(content)
    rows, count = tables.read_losses(tmp_path)
    assert [row[0] for row in rows] == steps and count == dropped
    assert tables.last_step(tmp_path) == (steps[-1] if steps else 0)


def test_no_table_has_no_rows(tmp_path):
    assert tables.read_losses(tmp_path) == ([], 0) and tables.last_step(tmp_path) == 0


def rows_of(path, file):
    return [int(line.split(",")[0]) for line in (path / file).read_text().splitlines()[1:]]


DAMAGE = {
    "deleted": (lambda lines: None, [], 0),
    "header alone": (lambda lines: lines[0], [], 0),
    "cut": (lambda lines: b"".join(lines)[:-5], [7, 14], 0),
    "a row of zeros": (lambda lines: lines[0] + lines[1] + bytes(len(lines[2])) + b"\n" + lines[3], [7, 21], 1),
    "semicolons": (lambda lines: b"".join(lines).replace(b",", b";"), [], 3),
    "an empty line": (lambda lines: b"".join(lines) + b"\n", [7, 14, 21], 1),
}


@pytest.fixture(scope="module")
def reported(tiny, tmp_path_factory):
    """A run of 21 steps with a report every 7, and the same of 28 steps."""
    flags = {**OF_TINY, "report_every": 7}
    return [train(tmp_path_factory.mktemp("reported") / "store", **flags, max_step=step) for step in (21, 28)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_table_that_was_touched_is_made_good(reported, tmp_path, capsys, damage):
    path = pathlib.Path(shutil.copytree(reported[0], tmp_path / reported[0].name))
    spoil, left, dropped = DAMAGE[damage]
    for file in "losses.csv", "stddev.csv":
        content = spoil((path / file).read_bytes().splitlines(keepends=True))
        (path / file).unlink()
        if content is not None:
            (path / file).write_bytes(content)
    old = [name for name in os.listdir(path) if "tfevents" in name]
    resume(path, max_step=28, report_every=7)
    assert same(path, reported[1])
    said = capsys.readouterr().out
    assert bool(dropped) == ("dropped" in said)
    for file in "losses.csv", "stddev.csv":
        assert rows_of(path, file) == [*left, 28]
        told = f"{path}/{file}: dropped {dropped} line{'s' * (dropped > 1)} that made no sense\n"
        assert (told in said) == (told in (path / "log.txt").read_text()) == bool(dropped)
    whole = left == [7, 14, 21]  # then the new file tells of all that the old one did
    assert not set(old) & set(os.listdir(path)) if whole else set(old) <= set(os.listdir(path))
    assert {step for step, _ in scalars(path)["loss_vae"]} == {7, 14, 21, 28}
    assert dict(scalars(path)["loss_reconstruction"]) == dict(scalars(reported[1])["loss_reconstruction"])


def test_tables_are_cut_back_to_the_step_that_is_resumed_from(reported, tmp_path):
    """Here to 14, since the checkpoint of 21 is damaged: no row twice, none of the steps that are trained again."""
    path = pathlib.Path(shutil.copytree(reported[0], tmp_path / reported[0].name))
    (path / "ckpt-21.index").write_bytes(b"")
    resume(path, max_step=28, report_every=7)
    for file in "losses.csv", "stddev.csv":
        assert rows_of(path, file) == [7, 14, 21, 28]
    assert (path / "stddev.csv").read_bytes() == (reported[1] / "stddev.csv").read_bytes()
    assert scalars(path) == scalars(reported[1])


def test_events_that_cannot_be_read_are_no_matter(short, unbroken):
    for number, content in enumerate((b"", b"\0" * 100, bytes(range(256)) * 10)):
        (short / f"events.out.tfevents.{number}").write_bytes(content)
    event, = (short / name for name in os.listdir(short) if re.search(r"tfevents\.\d{5}", name))
    event.write_bytes(event.read_bytes()[:-30])
    resume(short)
    assert same(short, unbroken) and scalars(short) == scalars(unbroken)


def test_a_plot_never_ends_a_training(short, unbroken, monkeypatch, capsys):
    def savefig(*args, **kwargs):
        raise RuntimeError("latex could not be found\nand more")
    monkeypatch.setattr(Figure, "savefig", savefig)
    resume(short)
    told = f"{short}/stddev.png was not drawn: latex could not be found"
    assert told in capsys.readouterr().out.splitlines() and told in (short / "log.txt").read_text().splitlines()
    assert same(short, unbroken)


def test_a_users_matplotlib_changes_no_plot(run, tmp_path):
    """Nor does the training change the user's."""
    users = {"savefig.bbox": "tight", "text.usetex": True, "font.size": 30, "figure.dpi": 50, "lines.linewidth": 9,
             "axes.prop_cycle": matplotlib.cycler(color=["r"]), "savefig.transparent": True, "axes.facecolor": "black"}
    with matplotlib.rc_context(users):
        path = train(tmp_path / "store", model="tiny", batch_size=8, max_step=120, save_every=25, report_every=60,
                     beta=0.5)
        assert matplotlib.rcParams["text.usetex"] and matplotlib.rcParams["font.size"] == 30
    assert (path / "stddev.png").read_bytes() == (run[1] / "stddev.png").read_bytes()
    assert (path / "stddev.csv").read_bytes() == (run[1] / "stddev.csv").read_bytes()
