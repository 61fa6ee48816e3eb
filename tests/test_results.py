"""The committed results: tables, JSON files, the figures' metadata, weights and numbers say the same."""
import json
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
from committed import FIGURES, NEEDED, PRETRAINED, cells, numbers
from conftest import ROOT
from PIL import Image

import ball_generator
import create_cool_images
import create_stddev_graphs
from analysis import reconstruction, runs, scores, tables
from training import checkpoints, folder, load, sweep
from training.tables import last_step

PATHS = folder.find(PRETRAINED)


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
        if not text.get("run"):  # 2016's, or of no run
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
    for file, measure, tolerance in (("reconstruction_loss.json", reconstruction.measure, 2e-3),
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

@pytest.mark.parametrize("file, name", [(file, name) for file, names in tables.TABLES.items() for name in names])
def test_tables_are_as_they_are_made(file, name):
    """After new results: python -m analysis.tables."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert tables.put(text, name, tables.TABLES[file][name](tables.Results.read(PRETRAINED, FIGURES))) == text


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
