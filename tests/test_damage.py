"""A run whose files are damaged, that diverges or is left without a disk: what is kept, what is said."""
import pathlib
import random
import subprocess

import numpy as np
import pytest
from conftest import OF_TINY, check_equal, listing, losses, one_line, resume, same, train

from analysis import load
from training import checkpoints

pytestmark = pytest.mark.usefixtures("tiny")


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("spoil", [cut, pathlib.Path.unlink])
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
