"""A run that is killed, damaged, crowded out or misled: what is kept, what is said, where it goes on."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from conftest import ROOT, script, start
from test_main import losses, same, scalars

import experiment

RUN = "model_conv_num_balls_1_beta_0.1"


def flags_of(train_dir, model="conv", **changed):
    flags = {"train_dir": train_dir, "model": model, "batch_size": 4, "max_step": 120, "save_every": 7, "threads": 1,
             "report_every": 1000, **changed}
    return [f"--{key}={value}" for key, value in flags.items()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Folder of a run of a model that was never stopped, made when first asked for."""
    made = {}

    def folder(model):
        if model not in made:
            train_dir = tmp_path_factory.mktemp("unbroken") / "store"
            script("main.py", *flags_of(train_dir, model))
            made[model] = f"{train_dir}_model_{model}_num_balls_1_beta_0.1"
        return made[model]
    return folder


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.002)


def check_equal(folder, reference):
    step = experiment.newest(reference)[0]
    assert experiment.newest(folder)[0] == step
    assert same(folder, reference, step)
    assert [row[:3] for row in losses(folder)] == [row[:3] for row in losses(reference)]
    assert scalars(folder) == scalars(reference)
    seconds = [row[3] for row in losses(folder)]
    assert seconds == sorted(seconds)


KILLS = [pytest.param(model, i, marks=() if i < few else pytest.mark.long)
         for model, few in (("conv", 2), ("all_conv", 2), ("fully_connected", 1)) for i in range(8)]


@pytest.mark.parametrize("model, number", KILLS)
def test_killed_at_any_moment_it_ends_bit_equal(tmp_path, unbroken, model, number):
    """kill -9 after the first save, at a random step or in the middle of a save; then the same command."""
    reference = pathlib.Path(unbroken(model))
    folder = tmp_path / f"store_{reference.name.split('_', 1)[1]}"
    process = start(*flags_of(tmp_path / "store", model))
    moment = random.Random(f"{model} {number}")
    step = moment.randint(7, 90)
    wait_for(lambda: list(folder.glob("ckpt-*.index")) and losses(folder)[-1][0] >= step, process)
    if number % 2:
        wait_for(lambda: (folder / "saving").exists(), process)
        time.sleep(moment.uniform(0, 0.01))
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    script("main.py", *flags_of(tmp_path / "store", model))
    check_equal(folder, reference)


def test_stopped_by_a_signal_it_saves_and_goes_on(tmp_path, unbroken):
    folder = tmp_path / f"store_{RUN}"
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGUSR1:
        process = start(*flags_of(tmp_path / "store", save_every=1000, report_every=7))
        before = experiment.newest(str(folder))[0] or 0
        wait_for(lambda before=before: (folder / "losses.csv").exists() and (folder / "losses.csv").read_text().count(
            "\n") > 1 and losses(folder)[-1][0] > before, process)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert f"stopped by {number.name} at step" in output
        assert experiment.newest(str(folder))[0] == losses(folder)[-1][0] > before
    script("main.py", *flags_of(tmp_path / "store", save_every=1000, report_every=7))
    assert same(folder, unbroken("conv"), 120)


def test_finished_then_longer(tmp_path, unbroken):
    folder = tmp_path / f"store_{RUN}"
    script("main.py", *flags_of(tmp_path / "store", max_step=40))
    began = time.monotonic()
    done = script("main.py", *flags_of(tmp_path / "store", max_step=40))
    assert "is trained: step 40 of 40" in done.stdout and time.monotonic() - began < 10
    assert "going on from step 40" in script("main.py", *flags_of(tmp_path / "store")).stdout
    assert same(folder, unbroken("conv"), 120)
    assert [row[0] for row in losses(folder)] == sorted({row[0] for row in losses(folder)})


@pytest.fixture(scope="module")
def short_once(tmp_path_factory):
    train_dir = tmp_path_factory.mktemp("short") / "store"
    script("main.py", *flags_of(train_dir, max_step=21))
    return f"{train_dir}_{RUN}"


@pytest.fixture
def short(tmp_path, short_once):
    """A run of 21 steps with checkpoints 7, 14 and 21: its train_dir and folder."""
    shutil.copytree(short_once, tmp_path / f"store_{RUN}")
    return tmp_path / "store", tmp_path / f"store_{RUN}"


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_other_flags_are_refused_one_by_one(short):
    train_dir, folder = short
    before = listing(folder)
    done = script("main.py", *flags_of(train_dir, lr=0.5, batch_size=8, max_step=30), code=2)
    assert "--lr was 0.001, now 0.5" in done.stderr and "--batch_size was 4, now 8" in done.stderr
    assert "max_step" not in done.stderr and "--restart" in done.stderr and done.stderr.count("\n") == 1
    assert listing(folder) == before
    script("main.py", *flags_of(train_dir, max_step=22, report_every=3, save_every=11, xla="off"))


def test_restart_moves_the_old_run_aside(short):
    train_dir, folder = short
    before = listing(folder)
    for number in 1, 2:
        script("main.py", *flags_of(train_dir, max_step=7, lr=0.002), "--restart")
        aside = folder.with_name(f"{folder.name}.old-{number}")
        assert aside.exists() and experiment.newest(str(folder))[0] == 7
    first = folder.with_name(folder.name + ".old-1")
    assert {k: v for k, v in listing(first).items() if k != "lock"} == {k: v for k, v in before.items() if k != "lock"}
    assert experiment.find(str(train_dir)) == [str(folder)]


def spoil_cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def spoil_flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def spoil_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("part", ["data-00000-of-00001", "index", "sha256"])
@pytest.mark.parametrize("spoil", [spoil_cut, spoil_flip, spoil_empty, pathlib.Path.unlink])
def test_a_damaged_checkpoint_is_passed_over(short, part, spoil, capsys):
    folder = short[1]
    spoil(folder / f"ckpt-21.{part}")
    flags, model, step = experiment.restore(str(folder))
    assert step == 14
    assert ("ckpt-21 is damaged" in capsys.readouterr().err) == ((folder / "ckpt-21.index").exists())


def test_damage_is_made_good(short, unbroken):
    train_dir, folder = short
    spoil_flip(folder / "ckpt-21.data-00000-of-00001")
    done = script("main.py", *flags_of(train_dir))
    assert "ckpt-21 is damaged" in done.stderr and "going on from step 14" in done.stdout
    assert not [name for name in os.listdir(folder) if "saving" in name]
    check_equal(folder, unbroken("conv"))


def test_all_damaged_is_refused(short, unbroken):
    """Beginning again would cut the loss curve back to nothing."""
    train_dir, folder = short
    for file in folder.glob("ckpt-*.data*"):
        spoil_cut(file)
    curve = (folder / "losses.csv").read_text()
    done = script("main.py", *flags_of(train_dir), code=2)
    assert "to step 21" in done.stderr and "--restart" in done.stderr
    assert (folder / "losses.csv").read_text() == curve
    script("main.py", *flags_of(train_dir), "--restart")
    check_equal(folder, unbroken("conv"))


def test_weights_alone_are_not_trained_on(short):
    train_dir, folder = short
    _, model, step = experiment.restore(str(folder))
    experiment.save(experiment.parts(model), str(folder), step)
    before = listing(folder)
    done = script("main.py", *flags_of(train_dir), code=2)
    assert "weights alone" in done.stderr.splitlines()[-1]
    after = listing(folder)
    assert all(after[name] == content for name, content in before.items() if name.startswith(("ckpt", "losses", "ev")))
    assert "is trained: step 21" in script("main.py", *flags_of(train_dir, max_step=21)).stdout


@pytest.mark.parametrize("content, says", [
    ({"foreign.txt": "x"}, "no flags.json"), ({"flags.json": "{"}, "cannot be read"),
    ({"flags.json": "[1]"}, "cannot be read"), ({"flags.json": "{}"}, "cannot be read"),
    ({"flags.json": json.dumps({"model": "all_conv", "num_balls": 1, "beta": 0.1, "friction": False, "seed": 0})},
     "all_conv")])
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, content, says):
    folder = tmp_path / f"store_{RUN}"
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)
    before = listing(folder)
    done = script("main.py", *flags_of(tmp_path / "store"), code=2)
    assert says in done.stderr and str(folder) in done.stderr
    assert listing(folder) == before


def test_a_folder_left_empty_by_a_kill_is_taken_up(tmp_path):
    folder = tmp_path / f"store_{RUN}"
    folder.mkdir()
    (folder / "lock").write_text("12345\n")
    (folder / "flags.json.new").write_text("{")
    script("main.py", *flags_of(tmp_path / "store", max_step=1))


def test_two_writers(tmp_path):
    folder = tmp_path / f"store_{RUN}"
    process = start(*flags_of(tmp_path / "store", max_step=100000))
    try:
        wait_for(lambda: (folder / "flags.json").exists(), process)
        done = script("main.py", *flags_of(tmp_path / "store", max_step=100000), code=2)
        assert f"by process {process.pid}" in done.stderr
        assert "by process" in script("main.py", *flags_of(tmp_path / "store"), "--restart", code=2).stderr
    finally:
        process.kill()
        process.communicate()
    script("main.py", *flags_of(tmp_path / "store", max_step=1))  # the killed one left no lock


def test_divergence_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    done = script("main.py", *flags_of(tmp_path / "store", lr=10, save_every=1), code=1)
    folder = tmp_path / f"store_{RUN}"
    assert "diverged: " in done.stderr and "step" in done.stderr and RUN in done.stderr
    assert any(term in done.stderr for term in ("reconstruction", "KL", "weights"))
    assert "Traceback" not in done.stderr
    _, model, step = experiment.restore(str(folder))
    assert all(np.isfinite(v.numpy()).all() for v in model.variables)
    assert "diverged" in (folder / "log.txt").read_text()
    assert losses(folder)[-1][0] >= step and np.isfinite(losses(folder)).all()


def mounted(path, *options):
    if subprocess.run(["mount", *options, str(path)], capture_output=True).returncode:
        pytest.skip("cannot mount here: needs root")


def test_full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted(disk, "-t", "tmpfs", "-o", "size=3200k", "none")  # a checkpoint of conv takes 970 kB
    try:
        done = script("main.py", *flags_of(disk / "store"), code=1)
        folder = disk / f"store_{RUN}"
        assert "No space left" in done.stderr and str(folder) in done.stderr and done.stderr.count("\n") == 1
        _, _, step = experiment.restore(str(folder))
        assert step > 0 and not (folder / "saving").exists()
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        script("main.py", *flags_of(disk / "store"))
        assert experiment.newest(str(folder))[0] == 120
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_read_only_folder(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    process = start(*flags_of(disk / "store", max_step=100000))
    folder = disk / f"store_{RUN}"
    mounts = 0
    try:
        wait_for(lambda: list(folder.glob("ckpt-*.index")), process)
        mounted(disk, "--bind", str(disk))  # over itself, then read-only: what is opened from now on
        mounts += 1
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1 and "Read-only" in errors and errors.count("\n") == 1
        assert experiment.newest(str(folder))[0] > 0
        done = script("main.py", f"--train_dir={disk}/other", code=2)
        assert "--train_dir" in done.stderr and "Read-only" in done.stderr
    finally:
        process.kill()
        for _ in range(mounts):
            subprocess.run(["umount", str(disk)], check=True)


def test_nothing_in_a_run_folder_can_execute():
    """What is read of it: JSON, CSV, sums, TensorFlow's tensor files; no pickle, no Keras file, no eval."""
    sources = [path.read_text() for path in ROOT.glob("*.py")]
    assert not any(word in text for text in sources for word in ("pickle", "eval(", "exec(", "load_model", "np.load"))
