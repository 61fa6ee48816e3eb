"""A run that is killed or stopped: what is kept, what is said, where it resumes."""
import builtins
import io
import os
import random
import shutil
import signal
import time

import pytest
from conftest import HANG, OF_TINY, check_equal, losses, one_line, resume, same, start, train

from training import checkpoints, device, progress

pytestmark = pytest.mark.usefixtures("tiny")


KILLS = [pytest.param(model, number, marks=() if number < everyday else pytest.mark.long)
         for model, everyday in (("conv", 1), ("fully_connected", 1), ("all_conv", 0)) for number in range(3)]


@pytest.mark.parametrize("model, number", KILLS)
def test_killed_at_any_moment_it_ends_bit_equal(tmp_path, capsys, model, number):
    """kill -9 of a process after its first save, at a random step or in the middle of a save; then the same command.
    Meanwhile no other process may train there."""
    every, saves = (8, 4) if model == "fully_connected" else (7, 10)  # whose checkpoints take long
    flags = {"model": model, "batch_size": 4, "max_step": saves * every, "save_every": every, "report_every": 1000}
    reference = train(tmp_path / "unbroken", **flags)
    path = tmp_path / reference.name.replace("unbroken", "store")
    moment = random.Random(f"{model} {number}")
    step, in_a_save = moment.randint(every, saves // 2 * every), every == 8 and number % 2 == 0
    process = start(f"--train_dir={tmp_path}/store", "--threads=1", *(f"--{key}={flags[key]}" for key in flags))
    end = time.monotonic() + HANG
    refused = None
    while not (checkpoints.steps(path) if path.exists() else []) or losses(path)[-1][0] < step or (
            in_a_save and not list(path.glob("ckpt-*.new"))):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        if refused is None and (path / "flags.json").exists():
            capsys.readouterr()
            train(tmp_path / "store", **flags, code=2)
            refused = capsys.readouterr().err
        time.sleep(0.002)
    if in_a_save:
        time.sleep(moment.uniform(0, 0.01))
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    one_line(refused, f"by process {process.pid}")
    train(tmp_path / "store", **flags)
    check_equal(path, reference)
    assert not list(path.glob("*.new"))


def snapshots(path, monkeypatch, tmp_path):
    """Patch what changes files so that before each change within a folder a copy is made of it: what a kill would leave
    there. Returns a function that gives the copies."""
    made = []

    def watched(change):
        def changed(*args, **kwargs):
            if path.exists() and str(args[0]).startswith(str(path)):
                made.append(shutil.copytree(path, tmp_path / "killed" / str(len(made)) / path.name))
            return change(*args, **kwargs)
        return changed

    for name in "replace", "remove":
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    monkeypatch.setattr(builtins, "open", watched(io.open))

    def done():
        monkeypatch.undo()
        return made
    return done


def test_a_kill_between_any_two_changes_of_files(short, unbroken, tmp_path, monkeypatch, request, capsys):
    """What was whole before is whole after, and the same command ends bit-equal."""
    copies = snapshots(short, monkeypatch, tmp_path)
    resume(short, max_step=40)
    killed = copies()
    assert len(killed) > 30
    check_equal(short, unbroken)
    steps = [checkpoints.newest(path)[0] for path in killed]
    assert steps == sorted(steps) and set(steps) == {21, 28, 35, 40}
    assert "damaged" not in capsys.readouterr().err
    for path in killed if request.config.getoption("--all") else random.Random(1).sample(killed, 5):
        resume(path)
        check_equal(path, unbroken)


@pytest.fixture
def hangups():
    """SIGHUP as it is without nohup, which these tests may run under."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups")
def test_stopped_by_signals_it_saves_and_resumes(tmp_path, unbroken, monkeypatch, capsys):
    flags = {**OF_TINY, "save_every": 1000, "report_every": 7, "max_step": 40}
    show = progress.Bar.show
    for step, number in (7, signal.SIGINT), (14, signal.SIGTERM), (21, signal.SIGUSR1), (35, signal.SIGHUP):
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
    train(tmp_path / "store", **flags)
    assert same(path, unbroken)
    assert [row[0] for row in losses(path)] == [7, 14, 21, 28, 35, 40]


def test_a_signal_while_tensorflow_loads(tmp_path, unbroken, monkeypatch, capsys):
    set_up = device.set_up

    def interrupted(flags):
        os.kill(os.getpid(), signal.SIGINT)
        return set_up(flags)
    monkeypatch.setattr(device, "set_up", interrupted)
    path = train(tmp_path / "store", **OF_TINY, max_step=40, code=130)
    assert "stopped by SIGINT at step 0, saved (no step taken)" in capsys.readouterr().out
    monkeypatch.undo()
    resume(path)
    check_equal(path, unbroken)


def test_an_ignored_hangup_stays_ignored(tmp_path, monkeypatch):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(progress.Bar, "show", lambda *args: os.kill(os.getpid(), signal.SIGHUP))
        assert checkpoints.newest(train(tmp_path / "store", **OF_TINY, max_step=20))[0] == 20
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
