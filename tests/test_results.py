"""The committed results: README's tables, the JSON files, the figures' metadata and the weights say the same.

`python tests/test_results.py` prints the tables.
"""
import json
import os
import re
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
from conftest import ROOT, script
from PIL import Image

import create_cool_images
import create_disentanglement_graphs
import experiment
import plotting

PRETRAINED = str(ROOT / "checkpoints" / "pretrained" / "train_store")
FIGURES = ROOT / "figures"


def numbers(file):
    with open(FIGURES / file) as content:
        return json.load(content)


def seeds():
    return sorted({run["seed"] for run in numbers("reconstruction_loss.json").values()})


def name_of(model, balls, beta, seed):
    return experiment.name(SimpleNamespace(model=model, num_balls=balls, beta=beta, friction=False, seed=seed))


def data_set(balls):
    return plotting.data_set(SimpleNamespace(num_balls=int(balls), friction=False))


def in_use(run):
    return sum(np.array(run["stddev"]) < plotting.DEAD)


def table():
    """The rows of README's table, in the order of the sweep; all but one column are of seed 0."""
    losses, stddevs = numbers("reconstruction_loss.json"), numbers("stddev.json")
    lines = []
    for name in plotting.expected():
        flags = experiment.read_flags(f"{PRETRAINED}_{name}")
        key = str(flags.num_balls), flags.model, str(flags.beta)
        old, old_active = (plotting.published(quantity)[key[0]][key[1]][key[2]]
                           for quantity in ("reconstruction_loss", "active_latents"))
        others = [name_of(flags.model, flags.num_balls, flags.beta, seed) for seed in seeds()[1:]]
        others = [f"{losses[other]['reconstruction_loss']:.2f}" for other in others if other in losses]
        ours, floor = losses[name]["reconstruction_loss"], losses[name]["entropy_floor"]
        with open(f"{PRETRAINED}_{name}/losses.csv") as rows:
            seconds = float(rows.readlines()[-1].split(",")[3])
        lines.append(f"| {flags.model} | {flags.num_balls} | {flags.beta} | {ours:.2f} ± "
                     f"{losses[name]['standard_error']:.2f} | {', '.join(others) or '–'} | {old:.2f} | "
                     f"{round(100 * (ours / old - 1), 1) + 0:+.1f} % | {ours - floor:.2f} | {old - floor:.2f} | "
                     f"{in_use(stddevs[name])} | {old_active} | {seconds:,.0f} |")
    return lines


def tolerances():
    """The rows of README's table of tolerances: what was asked, how often each seed kept it, and where one did not."""
    by_seed = [kept_by(seed) for seed in seeds()]
    lines = []
    for what in by_seed[0]:
        counts = [f"{sum(kept[what].values())} of {len(kept[what])}" if kept[what] else "–" for kept in by_seed]
        missed = {}
        for seed, kept in zip(seeds(), by_seed):
            for run in (run for run, good in kept[what].items() if not good):
                missed.setdefault(run, []).append(str(seed))
        missed = [f"{run} (seed {', '.join(numbers)})" for run, numbers in missed.items()]
        lines.append(f"| {what} | {' | '.join(counts)} | {'; '.join(missed) or '–'} |")
    return lines


def scores():
    """The rows of README's table of scores, one value a seed, over factors where there are several: every model at
    every beta, then untrained, then what needs no network."""
    found = numbers("disentanglement.json")

    def cells(runs):
        return [", ".join(f"{np.mean(run[key]):.2f}" for run in runs) if key in runs[0] else "–"
                for key in create_disentanglement_graphs.PANELS]

    lines = []
    for balls, models in plotting.published("reconstruction_loss").items():
        data = data_set(balls)
        for model, betas in models.items():
            for beta in betas:
                names = [name_of(model, balls, beta, seed) for seed in seeds()]
                runs = [found[name] for name in names if name in found]
                in_use = ", ".join(str(run["active_latents"]) for run in runs)
                lines.append(f"| {model}, {data}, β {beta} | {in_use} | {' | '.join(cells(runs))} |")
            untrained = [run["others"][create_disentanglement_graphs.UNTRAINED] for run in runs]
            lines.append(f"| {model}, {data}, untrained | {runs[0]['latents']} | {' | '.join(cells(untrained))} |")
        for what in "10 principal components", "ideal code":
            lines.append(f"| {what}, {data} | – | {' | '.join(cells([runs[0]['others'][what]]))} |")
    return lines


def heat_map_rows():
    """The rows of README's table of heat maps: in how many of its ten rows some pixel changes by more than a quarter of
    the grey scale, for each beta, and in 2016's."""
    c = create_cool_images
    lines = []
    for balls, models in plotting.published("heat_map_rows_that_change_the_picture").items():
        for model, betas in models.items():
            ours = []
            for beta in betas:
                picture = cv2.imread(str(FIGURES / f"heat_map_model_{model}_num_balls_{balls}_beta_{beta}.png"), 0)
                grid = np.pad(picture[c.TOP:-c.BOTTOM, c.LEFT:-c.RIGHT], [(0, c.GAP)] * 2)
                grid = grid.reshape(c.ROWS, c.TILE + c.GAP, len(c.VALUES), c.TILE + c.GAP)[:, :c.TILE, :, :c.TILE]
                ours.append(int((np.ptp(grid.astype(int), axis=2).max(axis=(1, 2)) > 255 / 4).sum()))
            lines.append(f"| {model}, {data_set(balls)} | "
                         f"{', '.join(map(str, ours))} | {', '.join(map(str, betas.values()))} |")
    return lines


def kept_by(seed):
    """Tolerance -> run, or line of runs, of this seed -> whether it was kept."""
    losses, stddevs = numbers("reconstruction_loss.json"), numbers("stddev.json")
    kept = {"loss at most 1 % above 2016's": {}, "a higher β costs reconstruction": {},
            "latents in use within 1 of 2016's, fully_connected": {}, "latents in use within 3 of 2016's, conv": {},
            "sorted stddevs within 0.1 of 2016's at four places of five, fully_connected": {}}
    close, ordered, one, three, places = kept.values()
    for balls, models in plotting.published("reconstruction_loss").items():
        for model, betas in models.items():
            words = f"{model}, {data_set(balls)}"
            ours = {}
            for beta in betas:
                name = name_of(model, balls, beta, seed)
                if name not in losses:
                    continue
                run = f"{words}, β {beta}"
                ours[beta] = losses[name]["reconstruction_loss"]
                close[run] = ours[beta] <= 1.01 * betas[beta]
                stddev = np.array(stddevs[name]["stddev"])
                old, active = (plotting.published(quantity)[balls][model][beta]
                               for quantity in ("sorted_latent_stddev", "active_latents"))
                apart = abs(in_use(stddevs[name]) - active)
                if model == "fully_connected":
                    one[run] = apart <= 1
                    places[run] = np.mean(np.abs(stddev - old) <= 0.1) >= 0.8
                if model == "conv":
                    three[run] = apart <= 3
            if len(ours) == len(betas):
                ordered[words] = list(ours.values()) == sorted(ours.values())
    return kept


def test_readme_holds_the_numbers():
    tables = re.findall(r"^(\|.*\n)\|[-|]+\n((?:\|.*\n)+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    found = {header.split("|")[1].strip(): rows.splitlines() for header, rows in tables}
    assert found["code"] == scores()
    assert found["model"] == table() and len(table()) == 18
    assert found["tolerance"] == tolerances()
    assert found["heat map"] == heat_map_rows()


def test_all_say_the_same_runs():
    names = {experiment.name(experiment.read_flags(path)) for path in experiment.find(PRETRAINED)}
    assert set(plotting.expected()) <= names
    for file in "reconstruction_loss.json", "stddev.json", "disentanglement.json":
        found = numbers(file)
        assert set(found) == names, file
        for name, run in found.items():
            path = f"{PRETRAINED}_{name}"
            assert run["step"] == experiment.last_step(path) == 100_000
            assert run["seed"] == experiment.read_flags(path).seed


def test_runs_without_weights_keep_the_numbers():
    """Of conv's and all_conv's runs of seed 0 there are weights, of the others numbers."""
    for path in experiment.find(PRETRAINED):
        run = experiment.read_flags(path)
        if run.model != "fully_connected" and run.seed == 0:
            assert experiment.steps(path) == [100_000]
            continue
        with open(f"{path}/numbers.json") as content:
            kept = json.load(content)
        assert set(kept) == {"reconstruction_loss.json", "stddev.json", "disentanglement.json"}
        for file in kept:
            assert kept[file] == numbers(file)[experiment.name(run)]


def test_figures_are_of_these_runs():
    runs = numbers("stddev.json")
    figures = sorted(FIGURES.glob("*.png"))
    of_one = [figure for figure in figures if figure.name.startswith(("heat_map_", "response_map_"))]
    assert len([figure for figure in of_one if "_seed_" not in figure.name]) == 2 * len(plotting.expected())
    for figure in figures:
        text = Image.open(figure).text
        names = text["run"].split(", ")
        if figure in of_one:
            assert figure.stem.endswith(names[0]) and len(names) == 1
        else:  # a figure of many shows all there are of its kind
            balls = plotting.NUMBER.index(figure.name.split("_")[0])
            expected = {name for name in runs if f"num_balls_{balls}_" in name}
            if "_stddev_" in figure.name:
                expected = {name for name in expected if name.startswith(f"model_{figure.stem.split('_stddev_')[1]}_")}
            assert set(names) == expected
        assert text["step"].split(", ") == ["100000"] * len(names)
        assert text["seed"].split(", ") == [str(runs[name]["seed"]) for name in names]


def test_weights_give_the_numbers_again(tmp_path):
    """Within what rounding on another machine changes."""
    flags = f"--train_dir={PRETRAINED}", f"--figures={tmp_path}"
    with_weights = {experiment.name(experiment.read_flags(path)) for path in experiment.find(PRETRAINED)
                    if experiment.steps(path)}
    for name, file, key in (("create_error_graph.py", "reconstruction_loss.json", "reconstruction_loss"),
                            ("create_stddev_graphs.py", "stddev.json", "stddev")):
        script(name, *flags)
        with open(tmp_path / file) as content:
            found = json.load(content)
        committed = numbers(file)
        assert set(found) == set(committed) and len(with_weights) == 12
        for run in with_weights:
            np.testing.assert_allclose(found[run][key], committed[run][key], atol=2e-3)
    committed = numbers("disentanglement.json")
    for name in with_weights:
        run, model, _ = experiment.restore(f"{PRETRAINED}_{name}")
        _, stddev = plotting.encode(model, create_disentanglement_graphs.data_set(run.num_balls)[0])
        found = create_disentanglement_graphs.measure(run, model, stddev.mean(axis=0))
        for key in "active_latents", "factors":
            assert found[key] == committed[name][key]
        for key in create_disentanglement_graphs.PANELS:
            if key in found:
                np.testing.assert_allclose(found[key], committed[name][key], atol=5e-3)


def test_kept_results_are_drawn_as_the_runs_are(tmp_path, trained):
    store, kept = f"--train_dir={tmp_path}/store", f"--train_dir={tmp_path}/kept"
    large, small = "model_fully_connected_num_balls_1_beta_0.1", "model_conv_num_balls_2_beta_0.1"
    shutil.copytree(f"{trained}_{large}", f"{tmp_path}/store_{large}")
    script("main.py", store, "--num_balls=2", "--batch_size=4", "--max_step=3")
    script("main.py", store, "--num_balls=1", "--batch_size=4", "--max_step=3")
    unfinished = tmp_path / "store_model_conv_num_balls_1_beta_0.1" / "losses.csv"
    unfinished.write_text("".join(unfinished.read_text().splitlines(keepends=True)[:1]))
    scripts = "create_error_graph.py", "create_stddev_graphs.py", "create_disentanglement_graphs.py"
    for name in scripts:
        script(name, store, f"--figures={tmp_path}/figures")
    done = script("tests/keep_results.py", store, f"--figures={tmp_path}/figures", f"--kept={tmp_path}/kept")
    assert "it is not yet trained to step 3" in done.stdout
    assert sorted(folder.name for folder in tmp_path.glob("kept*")) == [f"kept_{small}", f"kept_{large}"]
    assert set(os.listdir(f"{tmp_path}/kept_{large}")) == {"flags.json", "losses.csv", "numbers.json"}
    assert experiment.newest(f"{tmp_path}/kept_{small}")[0] == 3
    for name in scripts:
        script(name, kept, f"--figures={tmp_path}/again")
    for file in (tmp_path / "again").glob("*.json"):
        before = json.loads((tmp_path / "figures" / file.name).read_text())
        del before["model_conv_num_balls_1_beta_0.1"]
        assert json.loads(file.read_text()) == before and len(before) == 2


if __name__ == "__main__":
    print(*scores(), "", *table(), "", *tolerances(), "", *heat_map_rows(), sep="\n")
