"""The tables of README.md, RESULTS.md and docs/tables.md, made from the shipped runs' own numbers and published ones.

    python -m analysis.tables

writes each between its markers, <!-- name --> and <!-- end of name -->, and prints the files that changed.
"""
import json
import os
import pathlib
import re
import sys

import numpy as np

from analysis import runs
from analysis.measure import UNTRAINED
from analysis.metrics import METRICS
from training import curves, folder, process
from training.flags import parse
from training.process import ROOT
from training.sweep import SWEEPS

NONE = "–"
SCORES = "sap", "mig", "change_accuracy"  # metrics that tell a code of one latent a factor
CHOICE = {"fully_connected": (0, 1, 2, 3)}  # seeds that settings of annealing were chosen on; of other models 0 to 2
SUMMARY = ("", "seeds", "steps", "active latents", *(METRICS[key].title for key in SCORES), "reconstruction loss")
LAST_STEPS = 5000  # that a loss in training is the mean over
BETAS = SWEEPS["balls"]["beta"]


def table(header, rows):
    """Lines of a Markdown table."""
    first, *others = ("| " + " | ".join(map(str, row)) + " |" for row in (header, *rows))
    return [first, "|" + "---|" * len(header), *others]


def loss(run):
    return run.numbers["reconstruction"]["loss"]


def score(run, key):
    """A score of a run, over factors where there are several, as a word."""
    return f"{np.mean(run.scores[key]):.2f}" if key in run.scores else NONE


def swept(found):
    """The runs of 2016's experiments."""
    return [run for run in found if run.published("reconstruction_loss")]


def spread(values, form=".2f"):
    """The median of some numbers, and behind it, of more than one, the least and the largest."""
    ends = list(dict.fromkeys(f"{end(values):{form}}" for end in (min, max)))
    return f"{np.median(values):{form}}" + f" ({' to '.join(ends)})" * (len(ends) > 1)


def listed(values):
    """Numbers as 0 to 4 where more than two follow each other, else with commas."""
    parts = []
    for value in sorted(set(values)):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 2 else ", ".join(f"{value:,}" for value in part)
                     for part in parts)


# README

def reproduced(found):
    """Reconstruction losses, ours (the mean over seeds) and 2016's."""
    columns, lines = {}, {}
    for (data, model, beta), mine in runs.groups(swept(found), lambda run: (
            run.data, run.flags.model, run.flags.beta)).items():
        columns[data, beta] = f"{data.words}, β {beta:g}"
        lines.setdefault(model, []).append(f"{np.mean([loss(run) for run in mine]):.2f} / "
                                           f"{mine[0].published('reconstruction_loss'):.2f}")
    return table(["ours / 2016's", *columns.values()], [[model, *cells] for model, cells in lines.items()])


def annealed(found):
    """Of one ball at a final beta of 1: constant beta, and annealed, of seeds that the schedule was not chosen on."""
    chosen = [run for run in found if run.data.key == "one_ball" and run.flags.beta == 1
              and (not run.variant or run.annealed and run.flags.seed not in CHOICE.get(run.flags.model, (0, 1, 2)))]
    return table(SUMMARY, summary_of(chosen))


def summary_of(chosen):
    """A row of SUMMARY for each setting: medians and ranges over the seeds."""
    rows = []
    for words, mine in runs.groups(chosen, lambda run: run.label).items():
        scores = [spread([np.mean(run.scores[key]) for run in mine]) if all(key in run.scores for run in mine) else NONE
                  for key in SCORES]
        rows.append([words, listed([run.flags.seed for run in mine]), listed([run.step for run in mine]),
                     spread([run.numbers["stddev"]["active"] for run in mine], "g"), *scores,
                     spread([loss(run) for run in mine])])
    return rows


# RESULTS and docs/tables.md

def tolerances(found):
    """How often each seed that trained them all came as near 2016's numbers as was asked, and where one did not."""
    seeds = runs.groups(swept(found), lambda run: run.flags.seed)
    most = max(map(len, seeds.values()))
    by_seed = {seed: kept_by(seeds[seed]) for seed in sorted(seeds) if len(seeds[seed]) == most}
    rows = []
    for what in next(iter(by_seed.values())):
        counts = [f"{sum(kept[what].values())} of {len(kept[what])}" if kept[what] else NONE
                  for kept in by_seed.values()]
        missed = {}
        for seed, kept in by_seed.items():
            for words in (words for words, good in kept[what].items() if not good):
                missed.setdefault(words, []).append(str(seed))
        rows.append([what, *counts, "; ".join(f"{words} (seed {', '.join(seeds)})" for words, seeds in missed.items())
                     or NONE])
    return table(["tolerance", *(f"seed {seed}" for seed in by_seed), "where not"], rows)


def kept_by(mine):
    """Tolerance -> run, or line of runs, in words -> whether it was kept; of the runs of one seed."""
    close, ordered, one, three, places = {}, {}, {}, {}, {}
    for run in mine:
        words = f"{run.flags.model}, {run.data.words}, β {run.flags.beta:g}"
        close[words] = loss(run) <= 1.01 * run.published("reconstruction_loss")
        apart = abs(run.numbers["stddev"]["active"] - run.published("active_latents"))
        if run.flags.model == "fully_connected":
            one[words] = apart <= 1
            ours, theirs = (np.array(values, float) for values in (
                run.numbers["stddev"]["sorted"], run.published("sorted_latent_stddev")))
            places[words] = np.mean(np.abs(ours - theirs) <= 0.1) >= 0.8
        if run.flags.model == "conv":
            three[words] = apart <= 3
    for words, line in runs.groups(mine, lambda run: f"{run.flags.model}, {run.data.words}").items():
        losses = [loss(run) for run in sorted(line, key=lambda run: run.flags.beta)]
        if len(losses) == len(BETAS):
            ordered[words] = losses == sorted(losses)
    return {"loss at most 1 % above 2016's": close, "a higher β costs reconstruction": ordered,
            "active latents within 1 of 2016's, fully_connected": one,
            "active latents within 3 of 2016's, conv": three,
            "sorted stddevs within 0.1 of 2016's at four places of five, fully_connected": places}


def settings(found, key):
    """The scores of every setting on a data set, medians over seeds; then untrained networks, and what needs none."""
    mine = [run for run in found if run.data.key == key]
    others = {}
    for model, group in runs.groups(mine, lambda run: run.flags.model).items():
        untrained = [run.scores["others"][UNTRAINED] for run in group]
        others[f"{model}, untrained"] = {name: np.mean([np.mean(scores[name]) for scores in untrained])
                                         for name in SCORES if all(name in scores for scores in untrained)}
    others.update(mine[0].scores["others"] if mine else {})
    others.pop(UNTRAINED, None)
    return table(SUMMARY, summary_of(mine) + [
        [what, NONE, NONE, NONE, *(f"{np.mean(scores[name]):.2f}" if name in scores else NONE for name in SCORES), NONE]
        for what, scores in others.items()])


def paper(found):
    """Which factor changed?, on 2D shapes, in per cent: the paper's beside ours, and the gap of each factor; medians
    over seeds."""
    mine = [run for run in found if run.data.key == "shapes"]
    with open(runs.PUBLISHED, encoding="utf-8") as file:
        published = json.load(file)["change_accuracy"]
    factors, others = ([factor.name for factor in mine[0].data.factors], mine[0].scores["others"]) if mine else ([], {})

    def row(what, theirs, scores, ends=(NONE, NONE)):
        gaps = np.median([score["mig_by_factor"] for score in scores if "mig_by_factor" in score] or [[]], axis=0)
        return [what, f"{100 * theirs:.0f}" if theirs else NONE,
                spread([100 * score["change_accuracy"] for score in scores], ".0f") if scores else NONE,
                *([f"{gap:.2f}" for gap in gaps] or [NONE] * len(factors)), *ends]

    untrained = [run.scores["others"][UNTRAINED] for run in mine if run.flags.model == "paper"]
    rows = [row(what, theirs, untrained if what == UNTRAINED else [others[what]] if what in others else [])
            for what, theirs in published["others"]["shapes"].items()]
    rows += [row(label, group[0].published("change_accuracy"), [run.scores for run in group],
                 [listed([run.flags.seed for run in group]), listed([run.step for run in group])])
             for label, group in runs.groups(mine, lambda run: run.label).items()]
    return table(["code", "accuracy, the paper's", "accuracy, ours", *(f"gap, {name}" for name in factors), "seeds",
                  "steps"], rows)


def losses(found):
    """A line for each run of 2016's experiments."""
    rows = []
    for run in swept(found):
        ours, old, floor = loss(run), run.published("reconstruction_loss"), run.numbers["reconstruction"]["entropy"]
        rows_of_heat_map = run.numbers.get("heat_map", {}).get("rows_that_change", NONE)
        rows.append([run.flags.model, run.data.words, f"{run.flags.beta:g}", run.flags.seed,
                     f"{ours:.2f} ± {run.numbers['reconstruction']['standard_error']:.2f}", f"{old:.2f}",
                     f"{100 * (ours / old - 1) + 0:+.1f} %", f"{ours - floor:.2f}", f"{old - floor:.2f}",
                     run.numbers["stddev"]["active"], run.published("active_latents"),
                     rows_of_heat_map, run.published("heat_map_rows_that_change_the_picture") or NONE])
    return table(["model", "data", "β", "seed", "loss, ours", "2016's", "difference", "above the images' entropy, ours",
                  "2016's", "active, ours", "2016's", "rows that change, ours", "2016's"], rows)


def every_run(found):
    """A line for each run: what its last steps lost, where beta did not change in them, and its scores."""
    rows = []
    for run in found:
        reconstruction, kl = curves.mean_losses(run.losses, run.step - LAST_STEPS, run.step)
        steady = {row[4] for row in run.losses if row[0] > run.step - LAST_STEPS} == {run.flags.beta}
        terms = reconstruction, kl, reconstruction + run.flags.beta * kl
        rows.append([run.flags.model, run.data.words, run.setting, run.flags.seed,
                     f"{run.step:,}", *(f"{value:.2f}" if steady else NONE for value in terms),
                     run.numbers["stddev"]["active"], *(score(run, key) for key in ("r2", *SCORES))])
    return table(["model", "data", "setting", "seed", "step", "reconstruction", "KL", "loss", "active", *(
        METRICS[key].title for key in ("r2", *SCORES))], rows)


TABLES = {  # file > name of its markers > what makes the lines
    "README.md": {"reproduced": reproduced, "annealed": annealed},
    "RESULTS.md": {"tolerances": tolerances, "paper": paper},
    "docs/tables.md": {"losses": losses, "one_ball": lambda found: settings(found, "one_ball"),
                       "two_balls": lambda found: settings(found, "two_ball"),
                       "shapes": lambda found: settings(found, "shapes"), "every_run": every_run}}


def put(text, name, lines):
    """A text with a table between the markers of that name. Raises ValueError where it has none."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    new, count = re.subn(f"{start}\n.*?{end}", lambda _: "\n".join([start, "", *lines, "", end]), text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the markers {start} and {end} stand in it {count} times, not once")
    return new


def main(words=None):
    flags = parse(__doc__, [runs.OF_SHIPPED], words)
    found = runs.with_numbers(runs.runs_of(flags.train_dir), "reconstruction", "stddev", "scores")
    if not swept(found):
        process.refuse("--train_dir: none of 2016's experiments is there")
    for file, makers in TABLES.items():
        place = os.path.join(ROOT, file)
        old = new = pathlib.Path(place).read_text(encoding="utf-8")
        for name, make in makers.items():
            new = put(new, name, make(found))
        if new != old:
            folder.write_whole(place, new)
            print(place)
    return 0


if __name__ == "__main__":
    sys.exit(process.run(main))
