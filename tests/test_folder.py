"""A run's folder: whose it is, what is refused and leaves nothing behind, what is moved aside, what a new run takes."""
import os
import shutil

import numpy as np
import pytest
from conftest import OF_TINY, TINY, arrays, change_flags, flags_of, listing, losses, one_line, resume, same, train

from analysis import load
from training import checkpoints, folder

pytestmark = pytest.mark.usefixtures("tiny")


def content(path):
    """What a refused command may not change: all but the lock, whose holder's number is in it."""
    return {name: text for name, text in listing(path).items() if name != "lock"}


def test_flags_that_are_no_part_of_the_experiment_may_change(short, unbroken):
    resume(short, report_every=3, save_every=11, keep=1)
    assert [row[0] for row in losses(short)][-8:] == [22, 24, 27, 30, 33, 36, 39, 40]
    assert checkpoints.steps(short) == [40] and flags_of(short)["save_every"] == 11 and same(short, unbroken)


def test_finished_then_longer(short, unbroken, capsys):
    before = listing(short)
    for max_step in 21, 5:
        resume(short, max_step=max_step)
        one_line(capsys.readouterr().out, short, f"is trained: step 21 of {max_step}")
    assert listing(short) == before
    resume(short)
    assert "resumed from step 21" in capsys.readouterr().out
    assert same(short, unbroken) and losses(short)[-1][:3] == losses(unbroken)[-1][:3]


def test_restart_moves_the_old_run_aside(short, unbroken):
    before = content(short)
    for number in 1, 2:
        resume(short, "--restart")
        aside = short.with_name(f"{short.name}.old-{number}")
        assert checkpoints.newest(aside)[0] == (21, 40)[number - 1]
        assert same(short, unbroken) and losses(short)[0][0] == 7
    first = short.with_name(short.name + ".old-1")
    assert content(first) == before and load(first).step == 21 and load(first).flags.name == TINY
    resume(short.parent / "new" / "x", "--restart", max_step=0)  # of nothing
    assert len(list(short.parent.glob("new/*"))) == 1


FOREIGN = [
    ("foreign.txt", "x", "no flags.json"), ("flags.json", "{", "cannot be read"),
    ("flags.json", {"seed": "x"}, "--seed was x, now 0"),
    ("flags.json", '{"name": "x", "seed": 0}', "cannot be read (variant, model,"),
    ("flags.json", {"hidden_size": 3}, "--hidden_size was 3, now 2"),
    ("flags.json", {"model": "cnn"}, "--model was cnn"), ("flags.json", {"data_set": "cars"}, "no data set cars"),
    ("flags.json", {"data": 3}, "cannot be read"),
    ("flags.json", {"lr": .5, "beta_steps": 8, "max_step": 5},
     "--beta_steps was 8, now 80000; --lr was 0.5, now 0.001. Give"),
]


@pytest.mark.parametrize("file, text, says", FOREIGN)
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, short_once, capsys, file, text, says):
    """To look at, any flags that make its model will do."""
    path = tmp_path / short_once.name
    path.mkdir()
    loads = isinstance(text, dict) and "lr" in text
    if isinstance(text, dict):
        for name in "ckpt-21.npz", "flags.json":
            shutil.copy(short_once / name, path)
        change_flags(path, **text)
    else:
        (path / file).write_text(text)
    before = listing(path)
    resume(path, code=2)
    one_line(capsys.readouterr().err, says, path)
    assert listing(path) == before
    if loads:
        assert load(path).step == 21
        return
    with pytest.raises(ValueError, match=f"{path.name}: (its? |architecture.py has no model cnn)"):
        load(path)


def test_what_a_kill_leaves_is_taken_up_and_what_is_not_ours_is_kept(tmp_path):
    path = tmp_path / f"store_{TINY}"
    path.mkdir()
    (path / "lock").write_text("12345\n")
    resume(path, max_step=1)  # an empty folder
    for left in "flags.json.12345.new", "ckpt-8.npz.12345.new", "ideas.new":
        (path / left).write_text("{")
    resume(path, max_step=2)
    assert {file.name for file in path.glob("*.new")} == {"ideas.new"}


def test_two_writers(short, capsys):
    before = content(short)
    with folder._locked(str(short)):
        for words in [], ["--restart"]:
            resume(short, *words, code=2)
            one_line(capsys.readouterr().err, short, f"by process {os.getpid()}")
    assert content(short) == before and load(short).step == 21
    resume(short, max_step=22)  # the lock has gone with its holder


@pytest.mark.parametrize("file", ["lock", "flags.json", "ckpt-21.npz"])
def test_a_file_that_cannot_be_read_or_written(short, capsys, file):
    """As without permission: here since it is a folder."""
    (short / file).unlink()
    (short / file).mkdir()
    resume(short, code=2)
    one_line(capsys.readouterr().err, short)
    if file != "lock":
        with pytest.raises(ValueError, match=f"{short.name}: it(s flags.json)? cannot be read"):
            load(short)


# Weights without a state of the optimizer; --init_from

def test_weights_alone_are_not_trained_on_but_are_a_start(short, tmp_path, capsys):
    weights = {key: value for key, value in arrays(short).items() if not key.startswith("optimizer/")}
    for file in *short.glob("ckpt-*"), short / "lock", short / "log.txt":
        file.unlink()
    np.savez(short / "ckpt-21.npz", **weights)
    before = listing(short)
    resume(short, code=2)
    one_line(capsys.readouterr().err, "weights alone", f"--init_from={short}")
    resume(short, max_step=21)
    assert "is trained: step 21" in capsys.readouterr().out and listing(short) == before

    start = train(tmp_path / "next", **OF_TINY, max_step=0, init_from=short)
    assert start.name == f"next_{TINY}_init_from_store_{TINY}"
    for key, value in arrays(start).items():
        assert np.array_equal(value, weights[key]) if key in weights else (not value.any() or value == np.float32(1e-3))
    said = f"starts from the weights of {short} at its step 21"
    assert said in (start / "log.txt").read_text() and said in capsys.readouterr().out
    assert flags_of(start)["init_from"] == str(short)


def test_a_run_kept_with_its_numbers_alone_is_not_trained_again(short, capsys):
    for file in short.glob("ckpt-*"):
        file.unlink()
    (short / "numbers.json").write_text("{}")
    before = listing(short)
    resume(short, code=2)
    one_line(capsys.readouterr().err, "comes without weights")
    train(short.parent / "next", **OF_TINY, init_from=short, code=2)
    one_line(capsys.readouterr().err, f"--init_from: {short}: it comes without weights")
    assert listing(short) == before and not list(short.parent.glob("next*"))


def test_a_run_from_weights_resumes_as_any_other(short, tmp_path, monkeypatch, capsys):
    """Given relative or through a symlink it is the same experiment; and the folder that it started from may be gone
    by then."""
    flags = {**OF_TINY, "init_from": short, "max_step": 20}
    unbroken = train(tmp_path / "unbroken", **flags)
    assert losses(unbroken)[0][1] < losses(short)[0][1] - 1
    monkeypatch.chdir(tmp_path)
    train(tmp_path / "broken", **{**flags, "init_from": short.name, "max_step": 7})
    (tmp_path / "linked").symlink_to(tmp_path)
    train(tmp_path / "broken", **{**flags, "init_from": f"linked/{short.name}/", "max_step": 14})
    shutil.move(short, tmp_path / "elsewhere")
    assert same(unbroken, train(tmp_path / "broken", **flags)) and len(list(tmp_path.glob("broken*"))) == 1


@pytest.mark.parametrize("changed, says", [
    ({"model": "all_conv"}, "its model is tiny, here all_conv"), ({"hidden_size": 3}, "its hidden_size is 2, here 3"),
    ({"data_set": "shapes"}, "its images are (32, 32, 1), here (64, 64, 1)"), ({"init_from": "nowhere"}, "no such")])
def test_weights_that_do_not_fit_are_refused(short, tmp_path, capsys, changed, says):
    train(tmp_path / "next", **{**OF_TINY, "max_step": 3, "init_from": short, **changed}, code=2)
    one_line(capsys.readouterr().err, "--init_from: ", says)
    assert not list(tmp_path.glob("next*"))


# Wherever it is, whatever it is called

def test_a_run_is_what_its_flags_say_wherever_it_is(short, tmp_path, unbroken):
    """Renamed, moved, reached through a symlink."""
    moved = tmp_path / "else" / "where" / "my best run"
    moved.parent.mkdir(parents=True)
    shutil.move(short, moved)
    link = tmp_path / "link"
    link.symlink_to(moved, target_is_directory=True)
    for place in moved, link, f"{link}/":
        assert folder.find(str(place)) == [str(place)]
        vae = load(place)
        assert (vae.step, vae.flags.name) == (21, TINY)
        start = train(tmp_path / "next", "--restart", **OF_TINY, max_step=0, init_from=place)
        assert np.array_equal(arrays(start)["encoder/1/kernel"], arrays(moved)["encoder/1/kernel"])
    assert folder.find(str(moved.parent)) == [str(moved)] and not folder.find(str(moved.parent / "other"))
    short.symlink_to(moved, target_is_directory=True)
    resume(short)
    assert same(moved, unbroken) and short.is_symlink()


def test_runs_of_a_prefix_come_before_those_of_a_longer_one(short, tmp_path):
    """Of the same experiment under store and store_2, --train_dir=store means the first."""
    shutil.copytree(short, tmp_path / short.name.replace("store_", "store_2_"))
    assert folder.find(str(tmp_path / "store"))[0] == str(short) and len(folder.find(str(tmp_path / "store"))) == 2
    assert folder.find(str(tmp_path / "store_2")) == [str(tmp_path / short.name.replace("store_", "store_2_"))]
