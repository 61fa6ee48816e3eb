"""A run whose files are damaged, that diverges or is left without a disk: what is kept, what is said."""
import pathlib
import subprocess

import numpy as np
import pytest
from conftest import OF_TINY, TINY, check_equal, losses, one_line, resume, train

from training import checkpoints, load, progress

pytestmark = pytest.mark.usefixtures("tiny")


def spoil_cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def spoil_flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def spoil_empty(path):
    path.write_bytes(b"")


def spoil_zero(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("part", ["data-00000-of-00001", "index", "sha256"])
@pytest.mark.parametrize("spoil", [spoil_cut, spoil_flip, spoil_empty, spoil_zero, pathlib.Path.unlink])
def test_a_damaged_checkpoint_is_passed_over(short, part, spoil, capsys):
    spoil(short / f"ckpt-21.{part}")
    assert load(short).step == 14
    assert ("ckpt-21 is damaged" in capsys.readouterr().err) == ((short / "ckpt-21.index").exists())


def test_damage_is_made_good(short, unbroken, capsys):
    spoil_flip(short / "ckpt-21.data-00000-of-00001")
    resume(short)
    captured = capsys.readouterr()
    assert "ckpt-21 is damaged" in captured.err and "resumed from step 14" in captured.out
    check_equal(short, unbroken)


def test_all_damaged_is_refused(short, unbroken, capsys):
    """Beginning again would cut the loss curve back to nothing."""
    for file in short.glob("ckpt-*.data*"):
        spoil_cut(file)
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


def test_weights_that_are_no_numbers_are_not_saved(tmp_path, monkeypatch, capsys):
    """The last losses can be finite, and the weights after them not; Adam's state as well."""
    save = checkpoints.save

    def spoiled(checkpoint, path, step, *rest):
        save(checkpoint, path, step, *rest)
        if step == 7:
            checkpoint.optimizer.variables[5].assign(np.nan * checkpoint.optimizer.variables[5])
    monkeypatch.setattr(checkpoints, "save", spoiled)
    path = train(tmp_path / "store", **OF_TINY, max_step=8, code=1)
    one_line(capsys.readouterr().err, "diverged: ")
    assert checkpoints.newest(path)[0] == 7


def mount(path, *options):
    if subprocess.run(["mount", *options, str(path)], capture_output=True).returncode:
        pytest.skip("cannot mount here: needs root")


def test_full_disk(tmp_path, unbroken, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=420k", "none")  # a checkpoint of tiny takes 90 kB
    try:
        path = train(disk / "store", **OF_TINY, max_step=40, code=1)
        one_line(capsys.readouterr().err, "No space left", path)
        assert load(path).step > 0 and not (path / "saving").exists()
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        resume(path)
        check_equal(path, unbroken)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_read_only_folder(tmp_path, unbroken, monkeypatch, capsys):
    """Over itself, then read-only: what is opened from then on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounts = []
    show = progress.Bar.show

    def stop(bar, step, *terms):
        show(bar, step, *terms)
        if step == 21:
            mount(disk, "--bind", str(disk))
            mounts.append(disk)
            subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
    monkeypatch.setattr(progress.Bar, "show", stop)
    try:
        path = train(disk / "store", **OF_TINY, max_step=40, code=1)
        one_line(capsys.readouterr().err, "Read-only", path)
        assert load(path).step == 14
        train(disk / "other", **OF_TINY, max_step=40, code=2)
        one_line(capsys.readouterr().err, "--train_dir", "Read-only")
        resume(path, code=2)
        one_line(capsys.readouterr().err, "--train_dir", "Read-only")
    finally:
        monkeypatch.undo()
        for _ in mounts:
            subprocess.run(["umount", str(disk)], check=True)
    resume(path)
    check_equal(path, unbroken)
    assert path.name == f"store_{TINY}"
