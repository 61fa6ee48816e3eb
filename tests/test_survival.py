"""A run that is killed or stopped, that diverges, whose files are damaged or whose disk is full: what is kept, what is
said, where it resumes."""
import builtins
import os
import pathlib
import random
import shutil
import signal
import subprocess

import numpy as np
import pytest
from conftest import OF_TINY, check_equal, losses, one_line, resume, same, start, train
from made_up import wait

from analysis import load
from training import checkpoints, device, progress

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize("model", ["conv", pytest.param("fully_connected", marks=pytest.mark.long)])
def test_killed_at_any_moment_it_ends_bit_equal(tmp_path, capsys, model):
    """kill -9 of a process after its first save; then the same command. Meanwhile no other process may train there."""
    flags = {"model": model, "batch_size": 4, "max_step": 70, "save_every": 7, "report_every": 1000}
    reference = train(tmp_path / "unbroken", **flags)
    path = tmp_path / reference.name.replace("unbroken", "store")
    process = start(f"--train_dir={tmp_path}/store", "--threads=1", *(f"--{key}={flags[key]}" for key in flags))
    wait((path / "flags.json").exists, process)
    train(tmp_path / "store", **flags, code=2)
    one_line(capsys.readouterr().err, f"by process {process.pid}")
    wait(lambda: checkpoints.steps(path), process)
    process.kill()
    process.communicate()
    train(tmp_path / "store", **flags)
    check_equal(path, reference)


def test_a_kill_between_any_two_changes_of_files(short, unbroken, tmp_path, monkeypatch, request, capsys):
    """Before each change within the folder a copy is made of it: what a kill would leave there. What was whole before
    is whole after, and the same command ends bit-equal."""
    killed = []

    def watched(change):
        def changed(*args, **kwargs):
            if short.exists() and str(args[0]).startswith(str(short)):
                killed.append(shutil.copytree(short, tmp_path / "killed" / str(len(killed)) / short.name))
            return change(*args, **kwargs)
        return changed

    with monkeypatch.context() as patch:
        for module, name in (os, "replace"), (os, "remove"), (builtins, "open"):
            patch.setattr(module, name, watched(getattr(module, name)))
        resume(short, max_step=40)
    assert len(killed) > 30
    check_equal(short, unbroken)
    steps = [checkpoints.newest(path)[0] for path in killed]
    assert steps == sorted(steps) and set(steps) == {21, 28, 35, 40}
    assert "damaged" not in capsys.readouterr().err
    for path in killed if request.config.getoption("--all") else random.Random(1).sample(killed, 5):
        resume(path)
        check_equal(path, unbroken)


@pytest.fixture
def hangup():
    """A function that sets what SIGHUP does; as without nohup, which these tests may run under."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def test_stopped_by_signals_it_saves_and_resumes(tmp_path, unbroken, monkeypatch, capsys, hangup):
    """The first time while TensorFlow loads; at last a SIGHUP that is ignored, as under nohup, stays so."""
    flags = {**OF_TINY, "save_every": 1000, "report_every": 7, "max_step": 40}
    show, set_up = progress.Bar.show, device.set_up
    monkeypatch.setattr(device, "set_up", lambda flags: (os.kill(os.getpid(), signal.SIGINT), set_up(flags))[1])
    train(tmp_path / "store", **flags, code=130)
    assert "stopped by SIGINT at step 0, saved (no step taken)" in capsys.readouterr().out
    monkeypatch.setattr(device, "set_up", set_up)
    for step, number in (7, signal.SIGINT), (14, signal.SIGTERM), (21, signal.SIGUSR1), (28, signal.SIGHUP):
        before = signal.getsignal(number)

        def stop(bar, at, *terms, step=step, number=number):
            show(bar, at, *terms)
            if at == step:
                os.kill(os.getpid(), number)
                os.kill(os.getpid(), signal.SIGTERM)  # impatience changes nothing
        monkeypatch.setattr(progress.Bar, "show", stop)
        path = train(tmp_path / "store", **flags, code=128 + number)
        said = capsys.readouterr().out.splitlines()[-1]
        assert f"stopped by {number.name} at step {step}, saved" in said and "the same command resumes" in said
        assert f"{losses(path)[-1][1]:.2f}" in said
        assert checkpoints.newest(path)[0] == losses(path)[-1][0] == step
        assert signal.getsignal(number) == before
    hangup(signal.SIG_IGN)
    monkeypatch.setattr(progress.Bar, "show", lambda *args: os.kill(os.getpid(), signal.SIGHUP))
    train(tmp_path / "store", **flags)
    assert same(path, unbroken)
    assert [row[0] for row in losses(path)] == [7, 14, 21, 28, 35, 40]
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


# Damage

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
