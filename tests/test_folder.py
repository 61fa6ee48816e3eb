"""A run's folder: whose it is, what is refused and leaves nothing behind, what is moved aside, what a new run takes."""
import errno
import fcntl
import json
import os
import pathlib
import re
import shutil
import tempfile

import numpy as np
import pytest
from conftest import OF_TINY, TINY, listing, losses, one_line, resume, same, tensors, train

import main
from training import checkpoints, device, folder, load

pytestmark = pytest.mark.usefixtures("tiny")


def flags_of(path):
    return json.loads((path / "flags.json").read_text())


def test_other_flags_are_refused_one_by_one(short, capsys):
    """As they are written, since the name of another experiment would be another one."""
    (short / "flags.json").write_text(json.dumps({**flags_of(short), "lr": 0.5, "beta_steps": 8, "max_step": 5}))
    before = listing(short)
    resume(short, code=2)
    error = capsys.readouterr().err
    one_line(error, "--lr was 0.5, now 0.001", "--beta_steps was 8, now 80000", "--restart")
    assert "max_step" not in error and listing(short) == before
    assert not load(short).flags.friction  # to look at, any flags will do


def test_flags_that_are_no_part_of_the_experiment_may_change(short, unbroken):
    resume(short, report_every=3, save_every=11, xla="on", keep=1)
    assert [row[0] for row in losses(short)][-8:] == [22, 24, 27, 30, 33, 36, 39, 40]
    assert checkpoints.steps(short) == [40] and flags_of(short)["save_every"] == 11
    for key, value in tensors(short).items():
        np.testing.assert_allclose(value, tensors(unbroken)[key], rtol=1e-2, atol=1e-3)


def test_finished_then_longer(short, unbroken, capsys):
    before = listing(short)
    resume(short, max_step=21)
    one_line(capsys.readouterr().out, short, "is trained: step 21 of 21")
    resume(short, max_step=5)
    one_line(capsys.readouterr().out, "is trained: step 21 of 5")
    assert listing(short) == before
    resume(short)
    assert "resumed from step 21" in capsys.readouterr().out
    assert same(short, unbroken) and losses(short)[-1][:3] == losses(unbroken)[-1][:3]


def test_a_lock_as_nfs_grants_it(short, unbroken, monkeypatch, capsys):
    """None for one process alone on a file that is only read."""
    def flock(file, kind, real=fcntl.flock):
        if kind & fcntl.LOCK_EX and not file.writable():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return real(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    resume(short)
    assert same(short, unbroken)
    with open(short / "lock", "a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        resume(short, max_step=50, code=2)
    one_line(capsys.readouterr().err, "is being trained in")


def test_restart_moves_the_old_run_aside(short, unbroken):
    before = listing(short)
    for number in 1, 2:
        resume(short, "--restart", max_step=40)
        aside = short.with_name(f"{short.name}.old-{number}")
        assert checkpoints.newest(aside)[0] == (21, 40)[number - 1]
        assert same(short, unbroken) and losses(short)[0][0] == 7
    first = short.with_name(short.name + ".old-1")
    assert {k: v for k, v in listing(first).items() if k != "lock"} == {k: v for k, v in before.items() if k != "lock"}
    assert folder.find(str(short.parent / "store")) == [str(short)]
    assert load(first).step == 21 and load(first).name == load(short).name == TINY
    resume(short.parent / "new" / "x", "--restart", max_step=0)  # of nothing
    assert len(list(short.parent.glob("new/*"))) == 1


FOREIGN = [
    ({"foreign.txt": "x"}, "no flags.json"), ({"flags.json": "{"}, "cannot be read"),
    ({"flags.json": ""}, "cannot be read"), ({"flags.json": "\udcff"}, "cannot be read"),
    ({"flags.json": "[1]"}, "cannot be read"), ({"flags.json": "{}"}, "cannot be read"),
    ({"flags.json": "[" * 100_000}, "cannot be read"), ({"flags.json": {"seed": "x"}}, "cannot be read"),
    ({"flags.json": {"seed": float("inf")}}, "cannot be read"), ({"flags.json": {"model": "all_conv"}}, "all_conv"),
    ({"flags.json": {"model": None}}, "None"), ({"flags.json": {"data": 3}}, "cannot be read"),
    ({"flags.json": {"data": {"radius": 2}}}, "radius was 2, now 1.2"), ({"flags.json": {"lr": [1]}}, "--lr was [1]"),
    ({"flags.json": {"lr": None}}, "--lr was None"), ({"flags.json": {"seed": 1}}, "--seed was 1, now 0"),
]


@pytest.mark.parametrize("content, says", FOREIGN)
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, short_once, capsys, content, says):
    path = tmp_path / short_once.name
    path.mkdir()
    for name, text in content.items():
        if isinstance(text, dict):
            text = json.dumps({**flags_of(short_once), **text})
        (path / name).write_text(text, errors="surrogateescape")
    before = listing(path)
    resume(path, code=2)
    one_line(capsys.readouterr().err, says, path)
    assert listing(path) == before
    with pytest.raises(ValueError, match=path.name):
        load(path)


@pytest.mark.parametrize("key", ["hidden_size", "weight_init", "friction", "model", "seed", "num_balls", "beta"])
def test_loading_with_a_flag_lost(short, key):
    flags = flags_of(short)
    del flags[key]
    (short / "flags.json").write_text(json.dumps(flags))
    with pytest.raises(ValueError, match=f"flags.json cannot be read.*{key} not found"):
        load(short)


def test_flags_that_make_no_model_or_another(short):
    for key, value, says in (("hidden_size", "x", "no model"), ("hidden_size", 3, "do not fit"),
                             ("weight_init", "x", "no model"), ("hidden_size", -1, "no model")):
        (short / "flags.json").write_text(json.dumps({**flags_of(short), key: value}))
        with pytest.raises(ValueError, match=f"{short.name}: its .*flags.json.*{says}|{says}.*flags.json"):
            load(short)
        (short / "flags.json").write_text(json.dumps({**flags_of(short), "hidden_size": 2, "weight_init": 0.1}))


def test_a_folder_left_empty_by_a_kill_is_taken_up(tmp_path):
    path = tmp_path / f"store_{TINY}"
    path.mkdir()
    (path / "lock").write_text("12345\n")
    for left in "flags.json.new", "flags.json.12345.new":
        (path / left).write_text("{")
    resume(path, max_step=1)
    assert checkpoints.newest(path)[0] == 1 and not list(path.glob("*.12345.new"))


def test_a_file_that_is_not_ours_is_kept(short, tmp_path, capsys):
    for file in "ideas.new", "ideas.2026.new":
        (short / file).write_text("mine")
    resume(short)
    assert (short / "ideas.new").read_text() == (short / "ideas.2026.new").read_text() == "mine"
    path = tmp_path / f"other_{TINY}"
    path.mkdir()
    (path / "ideas.new").write_text("mine")
    train(tmp_path / "other", **OF_TINY, max_step=1, code=2)
    one_line(capsys.readouterr().err, path, "no flags.json")
    assert os.listdir(path) == ["ideas.new"]


def test_two_processes_that_write_one_file(tmp_path, monkeypatch):
    path = str(tmp_path / "file")
    with folder.replacing(path) as mine:
        with open(mine, "w") as file:
            file.write("mine, ")
            monkeypatch.setattr(os, "getpid", lambda: -1)
            folder.write_whole(path, "another's")
            assert (tmp_path / "file").read_text() == "another's"
            file.write("whole")
    assert (tmp_path / "file").read_text() == "mine, whole"
    with pytest.raises(ZeroDivisionError), folder.replacing(path) as mine:
        open(mine, "w").close()
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "mine, whole"


def test_a_run_kept_with_its_numbers_alone_is_not_trained_again(short, capsys):
    for file in short.glob("ckpt-*"):
        file.unlink()
    (short / "numbers.json").write_text("{}")
    before = listing(short)
    resume(short, code=2)
    one_line(capsys.readouterr().err, "comes without weights")
    train(short.parent / "next", **OF_TINY, init_from=short, code=2)
    one_line(capsys.readouterr().err, f"--init_from: {short}: it comes without weights")
    assert listing(short) == before


def test_a_run_that_another_process_has_trained_on_meanwhile(short, unbroken, monkeypatch, capsys):
    """While this one loaded TensorFlow, before it could lock the folder."""
    set_up = device.set_up

    def meanwhile(*args):
        monkeypatch.setattr(device, "set_up", set_up)
        resume(short)
        return set_up(*args)
    monkeypatch.setattr(device, "set_up", meanwhile)
    resume(short, max_step=50, code=2)
    one_line(capsys.readouterr().err, short, "another process", "the same command resumes")
    assert same(short, unbroken)


def test_two_writers(short, capsys):
    before = listing(short)
    with folder._take(str(short)):
        for words in [], ["--restart"]:
            resume(short, *words, code=2)
            one_line(capsys.readouterr().err, short, f"by process {os.getpid()}")
    assert {**listing(short), "lock": before["lock"]} == before
    assert load(short).step == 21
    resume(short, max_step=22)  # the lock has gone with its holder


@pytest.fixture
def of_nobody(short):
    """The short run in a folder of one who is not root, whom this process is meanwhile."""
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(shutil.copytree(short, f"{place}/{short.name}"))
        if os.getuid() == 0:
            for file in [path.parent, path, *path.iterdir()]:
                os.chown(file, 65534, -1)
            os.seteuid(65534)
        try:
            if not os.path.exists(path):
                pytest.skip("the folder of temporary files is root's alone")
            yield path
        finally:
            os.seteuid(os.getuid())
            for file in path.parent, path, path / "flags.json":
                file.chmod(0o700)


@pytest.mark.parametrize("what, rights", [
    ("", 0o000), ("", 0o500), ("flags.json", 0o000), ("lock", 0o000), ("../", 0o500)])
def test_a_folder_without_permission(of_nobody, capsys, what, rights):
    (of_nobody / what).chmod(rights)
    resume(of_nobody.parent / "new" / "x" if what == "../" else of_nobody, code=2)
    one_line(capsys.readouterr().err, of_nobody.parent)
    if rights == 0 and what != "lock":
        with pytest.raises(ValueError, match="Permission denied"):
            load(of_nobody)
    else:
        assert load(of_nobody).step == 21


def weights_alone(path):
    """Take Adam's state from a run's checkpoint."""
    vae = load(path)
    for file in path.glob("ckpt*"):
        file.unlink()
    checkpoints.save(checkpoints.parts(vae.model), str(path), vae.step, 3)


def test_weights_alone_are_not_trained_on_but_are_a_start(short, unbroken, tmp_path, capsys):
    weights_alone(short)
    (short / "lock").unlink()
    (short / "log.txt").unlink()
    before = listing(short)
    resume(short, code=2)
    one_line(capsys.readouterr().err, "weights alone", f"--init_from={short}")
    assert listing(short) == before  # no lock and no log among files that are kept
    resume(short, max_step=21)
    assert "is trained: step 21" in capsys.readouterr().out and listing(short) == before

    start = train(tmp_path / "next", **OF_TINY, max_step=0, init_from=short)
    assert start.name == f"next_{TINY}_init_from_store_{TINY}"
    for found, expected in zip(load(start).model.variables, load(short).model.variables, strict=True):
        np.testing.assert_array_equal(found, expected)
    state = [value for key, value in tensors(start).items() if re.search("/_(variables|iterations)/", key)]
    assert len(state) == 9 and not any(value.any() for value in state)
    assert all(value.any() for key, value in tensors(unbroken).items() if re.search("/_(variables|iterations)/", key))
    said = f"starts from the weights of {short} at its step 21"
    assert said in (start / "log.txt").read_text() and said in capsys.readouterr().out
    assert flags_of(start)["init_from"] == str(short)


def test_a_run_from_weights_resumes_as_any_other(short, tmp_path, capsys):
    """The folder that it started from may be gone by then."""
    flags = {**OF_TINY, "init_from": short, "max_step": 20}
    unbroken = train(tmp_path / "unbroken", **flags)
    assert losses(unbroken)[0][1] < losses(short)[0][1] - 1
    train(tmp_path / "broken", **{**flags, "max_step": 7})
    shutil.move(short, tmp_path / "elsewhere")
    broken = train(tmp_path / "broken", **{**flags, "init_from": f"{short.parent}/./{short.name}/"})
    assert same(unbroken, broken) and "resumed from step 7" in capsys.readouterr().out
    train(tmp_path / "anew", **flags, code=2)
    one_line(capsys.readouterr().err, "--init_from", "no such folder")
    assert not list(tmp_path.glob("anew*"))


@pytest.mark.parametrize("changed, says", [
    ({"model": "all_conv"}, "its model is tiny"), ({"hidden_size": 3}, "its hidden_size is 2"),
    ({"model": "conv"}, "its model is tiny and its hidden_size is 2"), ({"init_from": "nowhere"}, "no such folder")])
def test_weights_that_do_not_fit_are_refused(short, tmp_path, capsys, changed, says):
    train(tmp_path / "next", **{**OF_TINY, "max_step": 3, "init_from": short, **changed}, code=2)
    one_line(capsys.readouterr().err, "--init_from: ", says)
    assert not list(tmp_path.glob("next*"))


def test_a_start_without_a_whole_checkpoint_is_refused(short, tmp_path, capsys):
    for file in short.glob("ckpt*.data*"):
        file.write_bytes(b"")
    train(tmp_path / "next", **OF_TINY, max_step=3, init_from=short, code=2)
    assert "it has no whole checkpoint" in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("next*"))


def test_a_run_of_the_older_form_keeps_its_name(tmp_path, unbroken, capsys):
    """It had suffixes for friction and seed alone, and no word on the data and on annealing in its flags."""
    new = resume(tmp_path / "x", max_step=14)
    old = new.rename(tmp_path / "store_model_tiny_num_balls_1_beta_0.1")
    flags = flags_of(old)
    for key in "data", "beta_start", "beta_steps", "init_from", "keep":
        del flags[key]
    (old / "flags.json").write_text(json.dumps(flags))
    rows = (old / "losses.csv").read_text().splitlines()
    (old / "losses.csv").write_text("".join(row.rpartition(",")[0] + "\n" for row in rows))
    assert resume(old) == old and same(old, unbroken) and "resumed from step 14" in capsys.readouterr().out
    assert [row[:3] + row[4:] for row in losses(old)] == [row[:3] + row[4:] for row in losses(unbroken)]
    assert flags_of(old)["data"]["radius"] == 1.2 and load(old).step == 40
    beside = resume(old, max_step=1, lr=0.5)
    assert beside.name == f"store_{TINY}_lr_0.5" and sorted(tmp_path.glob("store_*")) == sorted([old, beside])


def test_a_run_of_the_older_form_with_friction_and_seed(tmp_path):
    new = resume(tmp_path / "x", "--friction", max_step=7, seed=3)
    assert new.name == "store_model_tiny_num_balls_1_beta_0.1_friction_batch_size_4_seed_3"
    old = new.rename(tmp_path / "store_model_tiny_num_balls_1_beta_0.1_friction_seed_3")
    assert resume(old, "--friction", max_step=8, seed=3) == old
    assert main.parse(None, main.FLAGS, []).seed == 0
