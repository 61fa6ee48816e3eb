"""The committed runs: what is in their folders, and that their weights give their numbers again; how runs are kept."""
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import OF_TINY, ROOT, call, change_flags, listing, one_line, train

import create_training_curves
import main
from analysis import keep, load, measure, runs
from training import checkpoints, curves, flags, folder, sweep

PATHS = folder.find(str(ROOT / "checkpoints" / "pretrained" / "train_store"))
WITH_WEIGHTS = {folder.read_flags(path).name: path for path in PATHS if checkpoints.steps(path)}
EVERYDAY = ("model_conv_num_balls_1_beta_0.5", "model_all_conv_num_balls_2_beta_1.0",
            "model_conv_num_balls_1_beta_1.0_beta_start_34.0_seed_22")


# What is committed

def test_committed_runs_are_as_a_run_is_today():
    """Their names, variants and the constants of their images; losses up to their step; every number, as measured."""
    for path in PATHS:
        kept = folder.read_flags(path)
        given = SimpleNamespace(**{**{row.name: None for row in main.FLAGS}, **vars(kept)})
        assert os.path.basename(path) == f"train_store_{kept.name}" and kept.name == flags.name(given, main.FLAGS)
        assert kept.variant == flags.variant(given, main.FLAGS), path
        with open(f"{path}/losses.csv") as file:
            header, *lines = file
        rows = curves.read_losses(path)
        assert header == ",".join(curves.LOSSES) + "\n" and len(rows) == len(lines), path
        run = runs.Run(path)
        assert run.step == rows[-1][0] == kept.max_step == measure.read(path)["step"], path
        numbers = measure.numbers(path, run.step, None)
        expected = set(measure.MEASURES) if run.has_weights else {"reconstruction", "stddev", "scores"}  # for graphs
        assert numbers.keys() >= expected and "null" not in json.dumps(numbers), path
        weights = [f"ckpt-{run.step}.npz"] * (kept.name in WITH_WEIGHTS)
        assert set(os.listdir(path)) == {"flags.json", "losses.csv", "numbers.json", *weights}


def test_the_sweep_is_committed():
    names = {folder.read_flags(path).name for path in PATHS}
    of_2016 = {flags.name(flags.parse(None, main.FLAGS, sweep.words_of(experiment)), main.FLAGS)
               for experiment in sweep.product(sweep.SWEEPS["balls"])}
    assert len(names) == len(PATHS) and of_2016 <= names
    assert {name for name in of_2016 if "conv" in name} <= set(WITH_WEIGHTS)


@pytest.mark.parametrize("name", [name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.long)
                                  for name in WITH_WEIGHTS])
def test_weights_give_the_numbers_again(name):
    """Within what rounding, to float16 or on another machine, changes; but over time: one checkpoint came along."""
    vae, kept = load(WITH_WEIGHTS[name]), measure.read(WITH_WEIGHTS[name])
    _, weights = checkpoints.newest(WITH_WEIGHTS[name])
    rtol = 1e-3 if all(values.dtype == np.float16 for values in weights.values()) else 1e-7
    for key, row in measure.MEASURES.items() - {("over_time", measure.MEASURES["over_time"])}:
        compare(measure.rounded(row.function(vae)), kept[key], f"{name}: {key}", rtol)


def compare(found, kept, where, rtol=1e-7):
    """Objects of JSON, numbers within a tolerance; a metric that was added later may be missing."""
    if isinstance(kept, dict):
        for key in kept.keys() - {"version"}:
            compare(found[key], kept[key], f"{where}: {key}", rtol)
    elif isinstance(found, list):
        for number, (one, other) in enumerate(zip(found, kept, strict=True)):
            compare(one, other, f"{where}: {number}", rtol)
    else:
        np.testing.assert_allclose(found, kept, rtol=rtol, atol=1e-3, err_msg=where)


# How runs are kept

def test_kept_runs_draw_and_load(short, tmp_path, cheap, capsys):
    """With the weights alone, in float16, where they are asked for, else with numbers alone. An unfinished run is named
    and not kept; nor is one drawn whose numbers meant another thing, and has no weights."""
    names = [folder.read_flags(short).name] + [folder.read_flags(train(
        short.parent / "store", **OF_TINY, max_step=2, seed=seed)).name for seed in (1, 2)]
    change_flags(tmp_path / f"store_{names[2]}", max_step=9)
    before = listing(short)
    call(keep.main, f"--train_dir={tmp_path}/store", f"--kept={tmp_path}/kept/k", f"--weights={names[0]}", code=1)
    assert f"keeping: left out {names[2]}: ValueError: it is at step 2 of 9\n" in capsys.readouterr().err
    assert {file: content for file, content in listing(short).items() if file != "numbers.json"} == before
    kept = [tmp_path / "kept" / f"k_{name}" for name in names]
    assert sorted(os.listdir(tmp_path / "kept")) == sorted(path.name for path in kept[:2])
    assert [set(os.listdir(path)) - {"flags.json", "losses.csv", "numbers.json"} for path in kept[:2]] == [
        {"ckpt-21.npz"}, set()]

    half = checkpoints.read(checkpoints.file_of(kept[0], 21))
    assert not checkpoints.has_optimizer(half) and {value.dtype for value in half.values()} == {np.dtype(np.float16)}
    np.testing.assert_allclose(load(kept[0]).sample(2), load(short).sample(2), atol=2e-3)
    with pytest.raises(ValueError, match="it comes without weights, with its numbers only"):
        load(kept[1])
    numbers = listing(kept[1])["numbers.json"]
    call(create_training_curves.main, f"--train_dir={tmp_path}/kept/k", f"--figures={tmp_path}/figures")
    assert "1 of 2 runs come without weights" in capsys.readouterr().out
    assert listing(kept[1])["numbers.json"] == numbers
    old = json.loads(numbers)
    old["reconstruction"]["version"] -= 1
    for text, says in (json.dumps(old), f"left out {names[1]}: ValueError: its numbers.json has no recon"), (
            "", f"left out {kept[1]}: it comes without weights"):
        (kept[1] / "numbers.json").write_text(text)
        call(create_training_curves.main, f"--train_dir={kept[1]}", f"--figures={tmp_path}/figures", code=1)
        assert says in capsys.readouterr().err


def test_what_is_not_kept(short, tmp_path, capsys):
    """A run onto itself, which stays as it was; one that is not there."""
    before = listing(short)
    words = f"--train_dir={tmp_path}/store", f"--weights={folder.read_flags(short).name}"
    call(keep.main, *words, f"--kept={tmp_path}/store", code=1)
    assert "SameFileError" in capsys.readouterr().err and listing(short).items() >= before.items()
    call(keep.main, *words, f"--kept={tmp_path}/k", "--weights=a", "--weights=b", code=2)
    one_line(capsys.readouterr().err, "there is no run a, b")
    assert not list(tmp_path.glob("k_*"))
