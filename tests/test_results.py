"""The committed results: tables, JSON files, the figures' metadata, weights and numbers say the same. How results are
kept, and how tables are made of them."""
import json
import os
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, call, tensors, train
from PIL import Image

import ball_generator
import create_cool_images
import create_error_graph
import create_stddev_graphs
from analysis import keep, runs, scores, tables
from analysis.metrics import METRICS, Metric
from training import checkpoints, folder, load, sweep
from training.tables import last_step

PRETRAINED = str(ROOT / "checkpoints" / "pretrained" / "train_store")
FIGURES = ROOT / "figures"
NEEDED = "reconstruction_loss.json", "stddev.json", "disentanglement.json"
PATHS = folder.find(PRETRAINED)


def numbers(file):
    with open(FIGURES / file) as content:
        return json.load(content)


def kept_flags():
    """name -> flags of the committed runs."""
    found = {}
    for path in PATHS:
        flags = folder.read_flags(path)
        found[folder.name_of(path, flags)] = flags
    return found


# What is committed

def test_all_say_the_same_runs():
    flags = kept_flags()
    assert set(sweep.names()) <= set(flags)
    for file in *NEEDED, "heat_map.json":
        found = numbers(file)
        assert set(found) == set(flags) if file in NEEDED else set(sweep.names()) <= set(found) <= set(flags), file
        for name, run in found.items():
            assert run["step"] == last_step(f"{PRETRAINED}_{name}") == flags[name].max_step
            assert run["seed"] == flags[name].seed


def test_committed_runs_record_the_constants_of_their_images(monkeypatch):
    for path in PATHS:
        with open(f"{path}/flags.json") as file:
            assert json.load(file)["data"] == ball_generator.constants()
    monkeypatch.setattr(ball_generator, "RADIUS", 0.8)
    with pytest.raises(ValueError, match="radius was 1.2, now 0.8"):
        folder.read_flags(PATHS[0])


def test_a_committed_run_has_weights_or_numbers():
    for path in PATHS:
        assert not [file for file in os.listdir(path) if file in ("lock", "log.txt") or file.endswith(".new")]
        name = os.path.basename(path)[len("train_store_"):]
        if os.path.exists(f"{path}/numbers.json"):
            with open(f"{path}/numbers.json") as content:
                kept = json.load(content)
            assert set(NEEDED) <= set(kept) and not checkpoints.steps(path)
            for file in kept:
                assert kept[file] == numbers(file)[name]
        else:
            assert checkpoints.newest(path)[0] == last_step(path)
    weights = {f"model_{model}_num_balls_{balls}_beta_{beta}" for model in ("conv", "all_conv") for balls in (1, 2)
               for beta in ("0.1", "0.5", "1.0")}
    assert weights <= {os.path.basename(path)[len("train_store_"):] for path in PATHS if checkpoints.steps(path)}


def test_figures_are_of_these_runs():
    flags = kept_flags()
    figures = sorted(FIGURES.glob("*.png"))
    assert {f"heat_map_{name}.png" for name in sweep.names()} <= {figure.name for figure in figures}
    for figure in figures:
        text = Image.open(figure).text
        if "run" not in text:
            continue
        shown = text["run"].split(", ")
        assert text["step"].split(", ") == [str(last_step(f"{PRETRAINED}_{name}")) for name in shown], figure.name
        assert text["seed"].split(", ") == [str(flags[name].seed) for name in shown]
        if figure.name.startswith(("heat_map_", "response_map_")):
            assert len(shown) == 1 and figure.stem.endswith(f"map_{shown[0]}")
        found = re.fullmatch(r"(one|two)_ball_(\w+?)(_fully_connected|_conv|_all_conv)?", figure.stem)
        if found:  # shows all there are of its kind
            kind = f"num_balls_{runs.NUMBER.index(found[1])}_"
            assert set(shown) == {name for name in flags if kind in name and (
                not found[3] or name.startswith(f"model{found[3]}_num_balls"))}, figure.name


WITH_WEIGHTS = [os.path.basename(path)[len("train_store_"):] for path in PATHS if checkpoints.steps(path)]
EVERYDAY = "model_conv_num_balls_1_beta_0.5", "model_all_conv_num_balls_2_beta_1.0"


@pytest.mark.parametrize("name", [name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.long)
                                  for name in WITH_WEIGHTS])
def test_weights_give_the_numbers_again(name):
    """Within what rounding on another machine changes."""
    vae = load(f"{PRETRAINED}_{name}")
    run = SimpleNamespace(flags=vae.flags, vae=vae)
    for file, measure, tolerance in (("reconstruction_loss.json", create_error_graph.measure, 2e-3),
                                     ("stddev.json", create_stddev_graphs.measure, 2e-3),
                                     ("disentanglement.json", scores.measure, 5e-3)):
        committed = numbers(file)[name]
        found = measure(run)
        assert set(found) == set(committed) - {"step", "seed"}
        compare(found, committed, tolerance, file)
    committed = numbers("heat_map.json").get(name)
    if committed:
        _, _, _, images = create_cool_images.edit(vae)
        changing = [any(abs(one - other).max() > 0.25 for one in row for other in row) for row in images]
        assert sum(changing) == committed["rows_that_change"]


def compare(found, committed, tolerance, where):
    """Objects of JSON, numbers within a tolerance."""
    if isinstance(found, dict):
        for key in found:
            compare(found[key], committed[key], tolerance, f"{where}: {key}")
    elif isinstance(found, str | int) or found and isinstance(found[0] if isinstance(found, list) else 0, str):
        assert found == committed, where
    else:
        np.testing.assert_allclose(found, committed, atol=tolerance, err_msg=where)


# The tables

def cells(text, name):
    """The rows of a table between its markers, as lists of cells; the header first."""
    inside = re.search(f"<!-- {name} -->(.*)<!-- end of {name} -->", text, re.DOTALL)[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in inside.split("\n") if line]
    assert len({len(row) for row in rows}) == 1
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize("file, function", [(file, function) for file, functions in tables.TABLES.items()
                                            for function in functions], ids=lambda value: getattr(
                                                value, "__name__", value))
def test_tables_are_as_they_are_made(file, function):
    """After new results: python -m analysis.tables."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert tables.put(text, function.__name__, function(tables.Results.read(PRETRAINED, FIGURES))) == text


def test_the_table_of_results_holds_the_numbers():
    """Read back from Markdown, against the JSON files and 2016's numbers."""
    header, *rows = cells((ROOT / "RESULTS.md").read_text(), "results")
    assert len(rows) == len(sweep.names()) == 18
    losses, stddevs = numbers("reconstruction_loss.json"), numbers("stddev.json")
    for model, balls, beta, loss, others, old, difference, excess, old_excess, active, old_active, seconds in rows:
        name = f"model_{model}_num_balls_{balls}_beta_{float(beta)}"
        ours, theirs = losses[name]["reconstruction_loss"], runs.published("reconstruction_loss")[balls][model][
            str(float(beta))]
        assert float(loss.split(" ")[0]) == pytest.approx(ours, abs=0.0051)
        assert float(old) == pytest.approx(theirs, abs=0.0051)
        assert float(difference.split(" ")[0]) == pytest.approx(100 * (ours - theirs) / theirs, abs=0.051)
        assert float(excess) == pytest.approx(ours - losses[name]["entropy_floor"], abs=0.0051)
        assert float(old_excess) == pytest.approx(theirs - losses[name]["entropy_floor"], abs=0.0051)
        assert int(active) == sum(stddev < 0.9 for stddev in stddevs[name]["stddev"])
        assert int(old_active) == runs.published("active_latents")[balls][model][str(float(beta))]
        assert [float(word) for word in others.split(", ")] == pytest.approx(
            [losses[f"{name}_seed_{seed}"]["reconstruction_loss"] for seed in range(1, 9)
             if f"{name}_seed_{seed}" in losses], abs=0.0051)
        with open(f"{PRETRAINED}_{name}/losses.csv") as file:
            assert float(seconds.replace(",", "")) == pytest.approx(float(file.readlines()[-1].split(",")[3]), abs=0.51)


def test_how_many_are_as_near_2016_as_readme_says():
    losses = numbers("reconstruction_loss.json")
    for seed in "", "_seed_1":
        near = 0
        for name in sweep.names():
            found = re.fullmatch(r"model_(\w+)_num_balls_(\d)_beta_([\d.]+)", name)
            old = runs.published("reconstruction_loss")[found[2]][found[1]][found[3]]
            near += losses[name + seed]["reconstruction_loss"] <= 1.01 * old
        text = (ROOT / "README.md").read_text()
        assert set(re.findall(r"(\d+) of 18", text)) == {str(near)}
        _, tolerances, *_ = cells((ROOT / "RESULTS.md").read_text(), "tolerances")
        assert tolerances[2 if seed else 1] == f"{near} of 18"


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
    monkeypatch.setitem(METRICS, "seventh", Metric("a $7^2$ metric", lambda sample: 0.7))
    found = results({"name": "model_conv_num_balls_1_beta_1.0", "model": "conv"},
                    {"name": "model_gone_num_balls_1_beta_1.0", "model": "gone"},
                    {"name": "model_conv_num_balls_1_beta_1.0_lr_0.0001", "model": "conv"},
                    {"name": "model_conv_num_balls_1_beta_1.0_lr_0.0001_seed_3", "model": "conv", "seed": 3},
                    {"name": "model_conv_num_balls_1_beta_8.0", "model": "conv", "beta": 8.0})
    header, _, *rows = tables.scores(found)
    assert header.endswith("| a 7² metric |")
    assert [row.split(" | ")[:4] + [row.split(" | ")[-1]] for row in rows] == [
        ["| conv, one ball, β 1", "3", "22.00", "0.00", "0.00 |"],
        ["| conv, one ball, β 8", "3", "26.00", "0.40", "0.40 |"],
        ["| conv, lr 0.0001, one ball, β 1", "3, 3", "24.00, 25.00", "0.20, 0.30", "0.20, 0.30 |"],
        ["| conv, one ball, untrained", "4", "–", "0.01", "0.01 |"],
        ["| gone, one ball, β 1", "3", "23.00", "0.10", "0.10 |"],
        ["| gone, one ball, untrained", "4", "–", "0.01", "0.01 |"],
        ["| ideal code, one ball", "–", "–", "1.00", "1.00 |"]]
    assert tables.results(found)[2:] == [
        "| conv | 1 | 1 | 22.00 ± 0.50 | – | 22.98 | -4.2 % | 1.00 | 1.98 | 3 | 3 | 7 |"]
    assert tables.reproduced(found)[2:] == ["| conv | 22.00 / 22.98 |"]


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
    for file, functions in tables.TABLES.items():
        (tmp_path / file).write_text("before\n" + "".join(
            f"<!-- {function.__name__} -->\nold\n<!-- end of {function.__name__} -->\n\n" for function in functions)
            + "after\n")
    call(tables.main, f"--root={tmp_path}")
    assert capsys.readouterr().out == f"{tmp_path}/RESULTS.md\n{tmp_path}/README.md\n"
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
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
