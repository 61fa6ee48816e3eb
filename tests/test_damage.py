"""A run whose files are damaged, that diverges or is left without a disk: what is kept, what is said."""
import pathlib
import subprocess

import numpy as np
import pytest
from conftest import OF_TINY, check_equal, losses, one_line, resume, same, train

from analysis import load
from training import checkpoints

pytestmark = pytest.mark.usefixtures("tiny")


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [cut, empty, flip, pathlib.Path.unlink])
def test_damaged_files_are_passed_over_and_made_good(short, unbroken, spoil, capsys):
    """A checkpoint, also where it is the last, of a run that was trained to its end; and all that is written beside."""
    spoil(short / "ckpt-21.npz")
    there = (short / "ckpt-21.npz").exists()
    assert load(short).step == 14
    assert ("ckpt-21.npz is damaged" in capsys.readouterr().err) == there
    resume(short, max_step=21)
    captured = capsys.readouterr()
    assert ("ckpt-21.npz is damaged" in captured.err) == there and "resumed from step 14" in captured.out
    for file in short.iterdir():
        if file.suffix not in (".npz", ".json"):
            spoil(file)
    resume(short)
    steps = [row[0] for row in losses(short)]
    assert same(short, unbroken) and steps == sorted(set(steps)) and steps[-1] == 40


def test_all_damaged_is_refused(short, unbroken, capsys):
    """Beginning again would cut the loss curve back to nothing."""
    for file in short.glob("ckpt-*"):
        cut(file)
    curve = (short / "losses.csv").read_text()
    resume(short, code=2)
    error = capsys.readouterr().err.splitlines()[-1]
    assert "trained to step 21" in error and "--restart" in error
    assert (short / "losses.csv").read_text() == curve
    (short / "losses.csv").unlink()
    resume(short, code=2)
    resume(short, "--restart")
    check_equal(short, unbroken)


def test_divergence_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, capsys):
    path = train(tmp_path / "store", **{**OF_TINY, "lr": 1e4, "save_every": 1}, code=1)
    error = capsys.readouterr().err
    one_line(error, f"{path}: diverged: ", "step", "Try a smaller --lr")
    assert any(term in error for term in ("reconstruction is", "KL is", "weights are"))
    vae = load(path)
    assert vae.step > 0 and all(np.isfinite(v.numpy()).all() for v in vae.model.variables)
    assert "diverged" in (path / "log.txt").read_text()
    assert losses(path)[-1][0] >= vae.step and np.isfinite(losses(path)).all()


@pytest.mark.filterwarnings("ignore")  # of the images that a report makes of them
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, monkeypatch, capsys):
    """The last losses can be finite, and the weights after them not; the optimizer's state as well."""
    save = checkpoints.save

    def spoiled(variables, path, step, *rest):
        save(variables, path, step, *rest)
        if step == 7:
            variables["optimizer/5"].assign(np.nan * variables["optimizer/5"])
    monkeypatch.setattr(checkpoints, "save", spoiled)
    path = train(tmp_path / "store", **OF_TINY, max_step=8, code=1)
    one_line(capsys.readouterr().err, "diverged: ")
    assert checkpoints.steps(path) == [7]


def test_full_disk(tmp_path, unbroken, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk], capture_output=True).returncode:
        pytest.skip("cannot mount here: needs root")
    try:  # a checkpoint of tiny takes 90 kB
        path = train(disk / "store", **OF_TINY, max_step=40, code=1)
        one_line(capsys.readouterr().err, "No space left", path, "the same command resumes")
        assert load(path).step in (14, 21) and not list(path.glob("*.new"))
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        resume(path)
        check_equal(path, unbroken)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
