"""How tables are made of results, and how results are kept."""
import json
import os
import shutil

import pytest
from committed import FIGURES, NEEDED, cells
from conftest import ROOT, call, listing, one_line, tensors, train

import ball_generator
from analysis import keep, scores, tables
from analysis.metrics import METRICS, Metric
from training import load


@pytest.fixture
def results(tmp_path):
    """A function: (name, flags) of runs -> tables.Results, with numbers that tell the place in the list."""
    def make(*given):
        found = {file: {} for file in (*NEEDED, "heat_map.json")}
        for place, flags in enumerate(given):
            flags = {"num_balls": 1, "friction": False, "seed": 0, "max_step": 10, "beta": 1.0, "hidden_size": 4,
                     "weight_init": 0.1, **flags}
            name = flags.pop("name")
            path = tmp_path / f"store_{name}"
            path.mkdir()
            (path / "flags.json").write_text(json.dumps(flags))
            (path / "losses.csv").write_text("step,reconstruction,kl,seconds\n10,1,1,7\n")
            found["reconstruction_loss.json"][name] = {
                "reconstruction_loss": 22 + place, "standard_error": 0.5, "entropy_floor": 21}
            found["stddev.json"][name] = {"stddev": [0.1, 0.8999, 0.9, 0.2]}
            found["disentanglement.json"][name] = {
                "latents": 4, "active_latents": 3, **{key: place / 10 for key in METRICS}, "r2": [0, place / 5],
                "others": {scores.UNTRAINED: {key: 0.01 for key in METRICS}, "ideal code": {key: 1 for key in METRICS}}}
            found["heat_map.json"][name] = {"rows_that_change": place}
        for file, objects in found.items():
            (tmp_path / file).write_text(json.dumps(objects))
        return tables.Results.read(f"{tmp_path}/store", tmp_path)
    return make


def test_tables_show_models_and_variants_that_no_list_knows_and_a_seventh_metric(results, monkeypatch):
    monkeypatch.setitem(METRICS, "seventh", Metric("a seventh metric", lambda sample: 0.7))
    found = results({"name": "model_conv_num_balls_1_beta_1.0", "model": "conv"},
                    {"name": "model_gone_num_balls_1_beta_1.0", "model": "gone"},
                    {"name": "model_conv_num_balls_1_beta_1.0_lr_0.0001", "model": "conv"},
                    {"name": "model_conv_num_balls_1_beta_1.0_lr_0.0001_seed_3", "model": "conv", "seed": 3},
                    {"name": "model_conv_num_balls_1_beta_8.0", "model": "conv", "beta": 8.0})
    header, _, *rows = tables.scores(found, "one ball")
    assert header.endswith("| a seventh metric |")
    assert [row.split(" | ")[:5] + [row.split(" | ")[-1]] for row in rows] == [
        ["| conv, β 1", "10", "3", "22.00", "0.00", "0.00 |"],
        ["| conv, β 8", "10", "3", "26.00", "0.40", "0.40 |"],
        ["| conv, lr 0.0001, β 1", "10", "3, 3", "24.00, 25.00", "0.20, 0.30", "0.20, 0.30 |"],
        ["| conv, untrained", "0", "4", "–", "0.01", "0.01 |"],
        ["| gone, β 1", "10", "3", "23.00", "0.10", "0.10 |"],
        ["| gone, untrained", "0", "4", "–", "0.01", "0.01 |"],
        ["| ideal code", "–", "–", "–", "1.00", "1.00 |"]]
    assert tables.scores(found, "two balls")[2:] == tables.annealed(found)[2:] == []
    assert tables.results(found)[2:] == [
        "| conv | 1 | 1 | 22.00 ± 0.50 | – | 22.98 | -4.2 % | 1.00 | 1.98 | 3 | 3 | 7 |"]
    assert tables.reproduced(found)[2:] == ["| conv | 22.00 / 22.98 |"]


def test_annealed_runs_stand_beside_those_of_constant_beta(results):
    """Of the same final beta, and no others."""
    name = "model_conv_num_balls_1_beta_1.0"
    found = results({"name": name, "model": "conv"}, {"name": f"{name}_seed_1", "model": "conv", "seed": 1},
                    {"name": f"{name}_beta_start_45.0_seed_4", "model": "conv", "beta_start": 45.0, "seed": 4},
                    {"name": "model_conv_num_balls_1_beta_8.0", "model": "conv", "beta": 8.0},
                    {"name": f"{name}_beta_start_45.0_seed_2", "model": "conv", "beta_start": 45.0, "seed": 2},
                    {"name": f"{name}_lr_0.1_seed_3", "model": "conv", "seed": 3})
    assert tables.annealed(found)[2:] == [
        "| conv, constant β | 1 | 0, 1 | 10 | 3"
        " | 0.00 to 0.10 | 0.00 to 0.10 | 0.00 to 0.10 | 22.00 to 23.00 |",
        "| conv, annealed from β 45 | 1 | 4 | 10 | 3 | 0.20 | 0.20 | 0.20 | 24.00 |"]
    with open(f"{found.runs[name].path}/losses.csv", "w") as file:  # the last 5,000 steps are those after 1,000
        file.write("step,reconstruction,kl,seconds,beta\n1000,90,9,1,1\n3000,20,5,1,1\n6000,22,7,1,1\n")
    with open(f"{found.runs[f'{name}_seed_1'].path}/losses.csv", "w") as file:
        file.write("step,reconstruction,kl,seconds,beta\n3000,20,5,1,1.5\n6000,22,7,1,1\n")
    for run in found.runs.values():
        run.step = 6000 if "beta_start" not in run.name else 10
    assert tables.one_by_one(found, found.compared())[2:] == [
        "| conv, constant β | one ball | 1 | 0 | 6,000 | 21.20 | 6.20 | 27.40 | 3 | 0.00 | 0.00 | 0.00 | 0.00 |",
        "| conv, constant β | one ball | 1 | 1 | 6,000 | – | – | – | 3 | 0.10 | 0.10 | 0.10 | 0.10 |",  # β fell
        "| conv, annealed from β 45 | one ball | 1 | 2 | 10 | 1.00 | 1.00 | 2.00 | 3 | 0.40 | 0.40 | 0.40 | 0.40 |",
        "| conv, annealed from β 45 | one ball | 1 | 4 | 10 | 1.00 | 1.00 | 2.00 | 3 | 0.20 | 0.20 | 0.20 | 0.20 |",
        "| conv, lr 0.1 | one ball | 1 | 3 | 6,000 | – | – | – | 3 | 0.50 | 0.50 | 0.50 | 0.50 |"]  # nothing so late
    found.runs["model_conv_num_balls_1_beta_8.0"].step = 10
    assert [row.split(" | ")[:8] for row in tables.one_by_one(found, found.high())[2:]] == [
        ["| conv, constant β", "one ball", "8", "0", "10", "1.00", "1.00", "9.00"]]  # 1 + 8 * 1


def test_what_became_of_starts(results, tmp_path):
    """The loss is the reconstruction and beta times the KL: 20 + 0.1 * 10, 30 + 0.1 * 10; 20 + 4 * 10, 30 + 4 * 10."""
    ends = {seed: {"reconstruction": first, "kl": 10, "axis_score": first / 100, "r2": [first / 100, 1]}
            for seed, first in (("0", 20), ("1", 30))}
    (tmp_path / "starts_conv.json").write_text(json.dumps(
        {seed: {"rotated 15°": {"0.1": end, "4.0": end}} for seed, end in ends.items()}))
    assert tables.starts(results({"name": "model_conv_num_balls_1_beta_1.0", "model": "conv"})) == [
        "| model | start | after it | β 0.1 | β 4 |", "|---|---|---|---|---|",
        "| conv | rotated 15° | loss | 21.00, 31.00 | 60.00, 70.00 |",
        "| conv | rotated 15° | SAP score | 0.20, 0.30 | 0.20, 0.30 |",
        "| conv | rotated 15° | linear R² | 0.60, 0.65 | 0.60, 0.65 |"]


def test_tolerances(results):
    """Losses are 22, 23 and 24, 2016's 22.16; three latents are active, of 2016's five."""
    name = "model_conv_num_balls_1_beta_0.5"
    found = results(*({"name": name + f"_seed_{seed}" * bool(seed), "model": "conv", "beta": 0.5, "seed": seed}
                      for seed in (0, 1, 3)))
    header, _, *rows = tables.tolerances(found)
    assert header == "| tolerance | seed 0 | seed 1 | seed 3 | where not |"
    assert rows[0].endswith(" | 1 of 1 | 0 of 1 | 0 of 1 | conv, one ball, β 0.5 (seed 1, 3) |")
    assert rows[3].endswith(", conv | 1 of 1 | 1 of 1 | 1 of 1 | – |")
    assert all(row.endswith(" | – | – | – | – |") for row in (rows[1], rows[2], rows[4]))


def test_tables_are_written_between_their_markers(tmp_path, capsys):
    for file, names in tables.TABLES.items():
        (tmp_path / file).write_text("before\n" + "".join(
            f"<!-- {name} -->\nstale\n<!-- end of {name} -->\n\n" for name in names) + "after\n")
    call(tables.main, f"--root={tmp_path}")
    assert capsys.readouterr().out == f"{tmp_path}/RESULTS.md\n{tmp_path}/README.md\n"
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "stale" not in text
    assert cells(text, "results") == cells((ROOT / "RESULTS.md").read_text(), "results")
    call(tables.main, f"--root={tmp_path}")
    assert capsys.readouterr().out == ""
    (tmp_path / "README.md").write_text("no marker\n")
    call(tables.main, f"--root={tmp_path}", code=1)
    assert f"{tmp_path}/README.md: the markers <!-- reproduced --> and" in capsys.readouterr().err
    shutil.copytree(FIGURES, tmp_path / "figures", ignore=lambda folder, files: [
        file for file in files if not file.endswith(".json")])
    (tmp_path / "figures" / "stddev.json").write_text("{}")
    call(tables.main, f"--root={tmp_path}", f"--figures={tmp_path}/figures", code=2)
    assert "does not show model_" in capsys.readouterr().err


@pytest.mark.parametrize("content, says", [
    ({}, "it has no flags.json"), (None, "there is no run"),
    ({"flags.json": '{"model": "conv", "num_balls": 1, "beta": 1.0, "friction": false, "hidden_size": 4, '
                    '"weight_init": 0.1, "seed": 0}'}, "its losses.csv has no rows")])
def test_tables_of_what_is_no_run(tmp_path, capsys, content, says):
    if content is not None:
        place = tmp_path / "s_model_conv_num_balls_1_beta_1.0"
        place.mkdir()
        for file, text in content.items():
            (place / file).write_text(text)
    call(tables.main, f"--train_dir={tmp_path}/s", code=2)
    one_line(capsys.readouterr().err, "--train_dir", says)


# How results are kept

@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny):
    """Three runs of a small model, one of them stopped early, and figures' JSON of them."""
    home = tmp_path_factory.mktemp("finished")
    names = {}
    for words in {"seed": 0}, {"seed": 1}, {"seed": 2}:
        path = train(home / "store", model="tiny", batch_size=4, max_step=3, **words)
        names[path.name[len("store_"):]] = words["seed"]
    losses = path / "losses.csv"
    losses.write_text("".join(losses.read_text().splitlines(keepends=True)[:1]))
    for file in *NEEDED, "heat_map.json":
        (home / file).write_text(json.dumps({name: {"from": file, "step": 3, "seed": seed}
                                             for name, seed in names.items() if file in NEEDED or not seed}))
    return home, list(names)


def kept(finished, to, *words, code=0):
    home, names = finished
    call(keep.main, f"--train_dir={home}/store", f"--figures={home}", f"--kept={to}/kept", *words, code=code)
    return {name: set(os.listdir(f"{to}/kept_{name}")) for name in names if os.path.exists(f"{to}/kept_{name}")}


WEIGHTS = {"flags.json", "losses.csv", "checkpoint", *(f"ckpt-3.{end}" for end in (
    "index", "sha256", "data-00000-of-00001"))}
NUMBERS = {"flags.json", "losses.csv", "numbers.json"}


def test_what_is_kept_of_a_run(finished, tmp_path, capsys):
    home, (zero, one, two) = finished
    assert kept(finished, tmp_path, code=1) == {zero: WEIGHTS, one: NUMBERS}
    assert f"left out {home}/store_{two}: it is at step 0 of 3" in capsys.readouterr().err
    before, after = (load(path) for path in (home / f"store_{zero}", tmp_path / f"kept_{zero}"))
    assert before.step == after.step == 3
    for one_variable, other in zip(before.model.variables, after.model.variables, strict=True):
        assert (one_variable.numpy() == other.numpy()).all()
    assert not any(key.startswith("optimizer") for key in tensors(tmp_path / f"kept_{zero}"))
    with open(tmp_path / f"kept_{one}" / "numbers.json") as file:
        assert json.load(file) == {file: {"from": file, "step": 3, "seed": 1} for file in NEEDED}
    with open(tmp_path / f"kept_{one}" / "flags.json") as file:
        assert json.load(file)["data"] == ball_generator.constants()
    for name in zero, one:
        assert (tmp_path / f"kept_{name}" / "losses.csv").read_text() == (
            home / f"store_{name}" / "losses.csv").read_text()


def test_weights_are_kept_by_size_and_by_name(finished, tmp_path, monkeypatch):
    _, (zero, one, _) = finished
    assert kept(finished, tmp_path, f"--weights={one}", code=1) == {zero: WEIGHTS, one: WEIGHTS}
    (tmp_path / f"kept_{zero}" / "ckpt-9.index").touch()  # of the same run, trained longer
    assert kept(finished, tmp_path, f"--weights={one}", code=1) == {zero: WEIGHTS, one: WEIGHTS}
    monkeypatch.setattr(keep, "SMALL", 1000)
    assert kept(finished, tmp_path, code=1) == {zero: NUMBERS, one: NUMBERS}  # and nothing is left of the first time
    with open(tmp_path / f"kept_{zero}" / "numbers.json") as file:
        assert set(json.load(file)) == {*NEEDED, "heat_map.json"}


def test_what_is_not_kept(finished, tmp_path, capsys):
    home, (zero, one, _) = finished
    kept(finished, tmp_path, "--weights=model_none", code=2)
    assert "--weights: there is no run model_none" in capsys.readouterr().err
    call(keep.main, f"--train_dir={home}/store", f"--kept={home}/store", f"--figures={home}", code=2)
    assert "--kept" in capsys.readouterr().err and "ckpt-3.index" in os.listdir(home / f"store_{zero}")
    (tmp_path / "link").symlink_to(home)
    before = listing(home / f"store_{zero}")
    call(keep.main, f"--train_dir={home}/store", f"--kept={tmp_path}/link/store", f"--figures={home}", code=2)
    assert f"--kept: {home}/store_{zero} is there already" in capsys.readouterr().err
    assert listing(home / f"store_{zero}") == before
    figures = tmp_path / "figures"
    figures.mkdir()
    for file in NEEDED[:2]:
        shutil.copy(home / file, figures)
    call(keep.main, f"--train_dir={home}/store", f"--figures={figures}", f"--kept={tmp_path}/other", code=2)
    assert "has no disentanglement.json" in capsys.readouterr().err
    found = json.loads((home / NEEDED[2]).read_text())
    found[one]["step"] = 2
    (figures / NEEDED[2]).write_text(json.dumps(found))
    call(keep.main, f"--train_dir={home}/store", f"--figures={figures}", f"--kept={tmp_path}/other", code=1)
    assert "the figures do not show it as it is now" in capsys.readouterr().err
    assert not (tmp_path / f"other_{one}").exists() and (tmp_path / f"other_{zero}").exists()
