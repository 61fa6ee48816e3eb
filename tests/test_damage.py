"""A run whose files are damaged, that diverges or is left without a disk: what is kept, what is said."""
import pathlib
import random
import subprocess

import numpy as np
import pytest
from conftest import OF_TINY, TINY, check_equal, listing, losses, one_line, resume, same, train

from analysis import load
from architecture import tf
from training import checkpoints, progress

pytestmark = pytest.mark.usefixtures("tiny")


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("spoil", [cut, flip, empty, zeros, pathlib.Path.unlink])
def test_a_damaged_checkpoint_is_passed_over_and_made_good(short, unbroken, spoil, capsys):
    """Also where it is the last, of a run that was trained to its end."""
    spoil(short / "ckpt-21.npz")
    there = (short / "ckpt-21.npz").exists()
    assert load(short).step == 14
    assert ("ckpt-21.npz is damaged" in capsys.readouterr().err) == there
    resume(short, max_step=21)
    captured = capsys.readouterr()
    assert ("ckpt-21.npz is damaged" in captured.err) == there and "resumed from step 14" in captured.out
    resume(short)
    check_equal(short, unbroken)


def test_no_bit_of_a_checkpoint_can_be_another_unnoticed(tmp_path):
    """One that is flipped anywhere, an end that is cut off anywhere: it is read as it was, or not at all."""
    values = {"encoder/0/kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3), "optimizer/0": np.int64(7)}
    checkpoints.save({name: tf.Variable(value) for name, value in values.items()}, str(tmp_path), 1)
    file = tmp_path / "ckpt-1.npz"
    good = file.read_bytes()
    damaged = [good[:length] for length in range(0, len(good), 7)]
    damaged += [good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1:]
                for place in range(len(good)) for bit in range(8)]
    refused, damaged = 0, random.Random(0).sample(damaged, 1000)
    for content in damaged:
        file.write_bytes(content)
        try:
            for name, value in checkpoints.read(file).items():
                np.testing.assert_array_equal(value, values[name])
        except ValueError:
            refused += 1
    assert refused > 0.7 * len(damaged)  # the others are in dates and the like


def spoil(path, chance):
    """Do something to a file's bytes."""
    content = bytearray(path.read_bytes())
    place, junk = chance.randrange(len(content) + 1), chance.randbytes(chance.randint(1, 200))
    if content:
        content[place % len(content)] ^= 1 << chance.randrange(8)
    changed = {"empty": b"", "cut": content[:place], "flip": content, "append": content + junk,
               "insert": content[:place] + junk + content[place:],
               "replace": content[:place] + junk + content[place + len(junk):]}
    deed = chance.choice(["delete", *changed])
    path.unlink() if deed == "delete" else path.write_bytes(changed[deed])
    return f"{path.name}: {deed}"


@pytest.mark.parametrize("number", [n if n < 8 else pytest.param(n, marks=pytest.mark.long) for n in range(150)])
def test_whatever_happens_to_its_files(short, unbroken, capfd, number):
    """The same command trains on, and ends as if nothing had been, or refuses in a line and changes nothing."""
    chance = random.Random(number)
    files = sorted(path for path in short.iterdir() if path.is_file())
    deeds = [spoil(path, chance) for path in chance.sample(files, chance.randint(1, 3))]
    before = listing(short)
    capfd.readouterr()
    try:
        resume(short)
    except AssertionError as error:
        assert "exit code 2" in str(error), deeds
        said = [line for line in capfd.readouterr().err.splitlines() if "is damaged" not in line]
        assert len(said) == 1 and str(short) in said[0] and listing(short) == before, (deeds, said)
        return
    assert "Traceback" not in capfd.readouterr().err and same(short, unbroken), deeds
    steps = [row[0] for row in losses(short)]
    assert steps == sorted(set(steps)) and steps[-1] == 40, deeds


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


def mount(path, *options):
    if subprocess.run(["mount", *options, str(path)], capture_output=True).returncode:
        pytest.skip("cannot mount here: needs root")


def test_full_disk(tmp_path, unbroken, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=300k", "none")  # a checkpoint of tiny takes 90 kB
    try:
        path = train(disk / "store", **OF_TINY, max_step=40, code=1)
        one_line(capsys.readouterr().err, "No space left", path, "the same command resumes")
        assert load(path).step in (14, 21) and not list(path.glob("*.new"))
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
        for place in disk / "other", disk / path.name.removesuffix(f"_{TINY}"):
            train(place, **OF_TINY, max_step=40, code=2)
            one_line(capsys.readouterr().err, "--train_dir", "Read-only")
    finally:
        monkeypatch.undo()
        for _ in mounts:
            subprocess.run(["umount", str(disk)], check=True)
    resume(path)
    check_equal(path, unbroken)
