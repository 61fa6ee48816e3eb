"""The tables of RESULTS.md and README.md, made from the committed results and 2016's numbers.

    python -m analysis.tables

writes each between its markers, <!-- name --> and <!-- end of name -->, and prints the files that changed. Go in: the
JSON files among the figures, the folders under checkpoints/pretrained, published_results.json.
"""
import os
import pathlib
import re
import sys

import numpy as np

from analysis import runs
from analysis.metrics import METRICS
from analysis.plotting import data_set, label_of
from analysis.results import Results
from analysis.scores import UNTRAINED
from training import folder, process, sweep, tables
from training.flags import Flag, path

FLAGS = (
    Flag("train_dir", path, os.path.join(process.ROOT, "checkpoints", "pretrained", "train_store"),
         "prefix of the run folders"),
    Flag("figures", path, os.path.join(process.ROOT, "figures"), "folder of the figures"),
    Flag("root", path, process.ROOT, "folder of RESULTS.md and README.md"),
)
NONE = "–"
ALIGNMENT = "axis_score", "mig", "change_accuracy"  # metrics that tell a code of one latent a factor
CHOICE = 0, 1, 2   # seeds that settings of annealing were chosen on
LAST_STEPS = 5000  # that a loss of one_by_one is the mean over


def table(header, rows):
    """Lines of a Markdown table."""
    first, *others = ("| " + " | ".join(map(str, row)) + " |" for row in (header, *rows))
    return [first, "|" + "---|" * len(header), *others]


def results(found):
    """Every experiment of the sweep; all but one column are of seed 0."""
    rows = []
    for run, others in found.sweep():
        numbers, old = found.losses[run.name], runs.of_2016("reconstruction_loss", run)
        ours, floor = numbers["reconstruction_loss"], numbers["entropy_floor"]
        seconds = tables.read_losses(run.path)[0][-1][3]
        rows.append([
            run.flags.model, run.flags.num_balls, f"{run.flags.beta:g}",
            f"{ours:.2f} ± {numbers['standard_error']:.2f}",
            ", ".join(f"{found.losses[other.name]['reconstruction_loss']:.2f}" for other in others) or NONE,
            f"{old:.2f}" if old else NONE, f"{round(100 * (ours / old - 1), 1) + 0:+.1f} %" if old else NONE,
            f"{ours - floor:.2f}", f"{old - floor:.2f}" if old else NONE, found.active(run),
            runs.of_2016("active_latents", run) or NONE, f"{seconds:,.0f}"])
    return table(["model", "balls", "β", "reconstruction loss, ours", "other seeds", "2016's", "difference",
                  "above the floor, ours", "2016's", "active, ours", "2016's", "seconds"], rows)


def tolerances(found):
    """How often each seed came as near 2016's numbers as was asked, and where one did not."""
    seeds = sorted({run.flags.seed for first, others in found.sweep() for run in (first, *others)})
    by_seed = {seed: kept_by(found, seed) for seed in seeds}
    rows = []
    for what in by_seed[seeds[0]]:
        counts = [f"{sum(kept[what].values())} of {len(kept[what])}" if kept[what] else NONE
                  for kept in by_seed.values()]
        missed = {}
        for seed, kept in by_seed.items():
            for words in (words for words, good in kept[what].items() if not good):
                missed.setdefault(words, []).append(str(seed))
        rows.append([what, *counts, "; ".join(f"{words} (seed {', '.join(all_of)})" for words, all_of in missed.items())
                     or NONE])
    return table(["tolerance", *(f"seed {seed}" for seed in seeds), "where not"], rows)


def kept_by(found, seed):
    """Tolerance -> run, or line of runs, of this seed in words -> whether it was kept."""
    close, ordered, one, three, places, lines = {}, {}, {}, {}, {}, {}
    for run in (run for first, others in found.sweep() for run in (first, *others) if run.flags.seed == seed):
        old = runs.of_2016("reconstruction_loss", run)
        if old is None:
            continue
        line = f"{run.flags.model}, {data_set(run.flags)}"
        words = f"{line}, β {run.flags.beta:g}"
        loss = found.losses[run.name]["reconstruction_loss"]
        close[words] = loss <= 1.01 * old
        lines.setdefault(line, {})[run.flags.beta] = loss
        apart = abs(found.active(run) - runs.of_2016("active_latents", run))
        if run.flags.model == "fully_connected":
            one[words] = apart <= 1
            stddev, old = (np.array(values, float) for values in (
                found.stddevs[run.name]["stddev"], runs.of_2016("sorted_latent_stddev", run)))
            places[words] = np.mean(np.abs(stddev - old) <= 0.1) >= 0.8
        if run.flags.model == "conv":
            three[words] = apart <= 3
    for line, losses in lines.items():
        if set(losses) == set(sweep.BETAS):
            ordered[line] = [losses[beta] for beta in sweep.BETAS] == sorted(losses.values())
    return {"loss at most 1 % above 2016's": close, "a higher β costs reconstruction": ordered,
            "active latents within 1 of 2016's, fully_connected": one, "active latents within 3 of 2016's, conv": three,
            "sorted stddevs within 0.1 of 2016's at four places of five, fully_connected": places}


def scores(found, data):
    """The scores of every run on a data set, one value a seed, over factors where there are several; then untrained
    networks, and what needs none."""
    def cells(measured):
        return [", ".join(f"{np.mean(numbers[key]):.2f}" for numbers in measured if key in numbers) or NONE
                for key in METRICS]

    rows, points = [], {key: group for key, group in found.points().items() if key[0] == data}
    for model in dict.fromkeys(key[1] for key in points):
        mine = {key: [found.scores[run.name] for run in group] for key, group in points.items() if key[1] == model}
        for key, measured in mine.items():
            *_, variant, beta = key
            losses = [found.losses[run.name]["reconstruction_loss"] for run in points[key]]
            rows.append([f"{label_of(model, variant)}, β {beta:g}", found.steps(points[key]),
                         ", ".join(str(numbers["active_latents"]) for numbers in measured),
                         ", ".join(f"{loss:.2f}" for loss in losses), *cells(measured)])
        untrained = {run.flags.seed: numbers["others"][UNTRAINED] for key, measured in mine.items()
                     for run, numbers in zip(points[key], measured, strict=True) if not key[2]}
        if untrained:
            rows.append([f"{model}, untrained", 0, next(iter(mine.values()))[0]["latents"], NONE,
                         *cells([untrained[seed] for seed in sorted(untrained)])])
    others = next((found.scores[group[0].name]["others"] for group in points.values()), {})
    rows += [[what, NONE, NONE, NONE, *cells([numbers])] for what, numbers in others.items() if what != UNTRAINED]
    return table(["code", "step", "active", "reconstruction loss", *(row.title for row in METRICS.values())], rows)


def heat_maps(found):
    """In how many of a heat map's rows some pixel changes by more than a quarter of the grey scale."""
    lines = {}
    for run, _ in found.sweep():
        ours, old = found.heat_maps.get(run.name), runs.of_2016("heat_map_rows_that_change_the_picture", run)
        lines.setdefault(f"{run.flags.model}, {data_set(run.flags)}", []).append(
            (run.flags.beta, ours["rows_that_change"] if ours else NONE, NONE if old is None else old))
    betas = ", ".join(f"{beta:g}" for beta in sweep.BETAS)
    return table([f"rows that change the image, at β {betas}", "ours", "2016's"],
                 [[line, *(", ".join(str(row[i]) for row in rows) for i in (1, 2))] for line, rows in lines.items()])


def reproduced(found):
    """README's table: reconstruction losses, ours (the mean over seeds) and 2016's."""
    lines, columns = {}, {}
    for run, others in found.sweep():
        ours = np.mean([found.losses[seed.name]["reconstruction_loss"] for seed in (run, *others)])
        old = runs.of_2016("reconstruction_loss", run)
        columns[data_set(run.flags), run.flags.beta] = f"{data_set(run.flags)}, β {run.flags.beta:g}"
        lines.setdefault(run.flags.model, []).append(f"{ours:.2f} / {old:.2f}" if old else f"{ours:.2f}")
    return table(["ours / 2016's", *columns.values()], [[model, *cells] for model, cells in lines.items()])


def annealed(found):
    """README's table, of one ball: plain runs of beta 1, and runs annealed to it, of seeds not in CHOICE."""
    rows = []
    for (data, model, variant, beta), group in found.compared():
        group = [run for run in group if not variant or run.annealed and run.flags.seed not in CHOICE]
        if (data, beta) != ("one ball", 1) or not group:
            continue
        measured = [found.scores[run.name] for run in group]
        seeds = ", ".join(str(run.flags.seed) for run in group)
        rows.append([label_of(model, variant or "constant β"), f"{beta:g}", seeds, found.steps(group),
                     spread([numbers["active_latents"] for numbers in measured], 0),
                     *(spread([np.mean(numbers[key]) for numbers in measured if key in numbers]) for key in ALIGNMENT),
                     spread([found.losses[run.name]["reconstruction_loss"] for run in group])])
    return table(["one ball", "final β", "seeds", "step", "active latents", *(METRICS[key].title for key in ALIGNMENT),
                  "reconstruction loss"], rows)


def one_by_one(found, points):
    """Runs, with the losses of their last steps, where beta did not change during these. points: as of Results."""
    rows = []
    for (data, model, variant, beta), group in points:
        for run in group:
            lines, _ = tables.read_losses(run.path)
            reconstruction, kl = tables.mean_losses(lines, run.step - LAST_STEPS, run.step)
            steady = {row[4] if len(row) > 4 else beta for row in lines if row[0] > run.step - LAST_STEPS} == {beta}
            numbers = found.scores[run.name]
            losses = reconstruction, kl, reconstruction + beta * kl
            rows.append([label_of(model, variant or "constant β"), data, f"{beta:g}", run.flags.seed, f"{run.step:,}",
                         *(f"{loss:.2f}" if steady else NONE for loss in losses), numbers["active_latents"],
                         *(f"{np.mean(numbers[key]):.2f}" if key in numbers else NONE for key in ("r2", *ALIGNMENT))])
    return table(["model", "data", "final β", "seed", "step", "reconstruction", "KL", "loss", "active", *(
        METRICS[key].title for key in ("r2", *ALIGNMENT))], rows)


def starts(found):
    """What became of the codes of benchmarks/starts.py, a value a seed."""
    rows, betas, asked = [], [], {
        "loss": lambda end, beta: end["reconstruction"] + beta * end["kl"],
        "SAP score": lambda end, beta: end["axis_score"], "linear R²": lambda end, beta: np.mean(end["r2"])}
    for model, seeds in found.starts.items():
        for start, ends in next(iter(seeds.values())).items():
            betas = [*ends]
            rows += [[model, start, what, *(", ".join(f"{value(mine[start][beta], float(beta)):.2f}" for mine in
                      seeds.values()) for beta in betas)] for what, value in asked.items()]
    return table(["model", "start", "after it", *(f"β {float(beta):g}" for beta in betas)], rows)


def spread(values, digits=2):
    """The least and the largest of some numbers; before them, of more than two, the median."""
    ends = " to ".join(dict.fromkeys(f"{end(values):.{digits}f}" for end in (min, max))) if values else NONE
    return f"{np.median(values):.{digits}f} ({ends})" if len(values) > 2 and " to " in ends else ends


TABLES = {  # file > name of its markers > what makes the lines
    "RESULTS.md": {"annealed_seeds": lambda found: one_by_one(found, found.compared()), "starts": starts,
                   "high_betas": lambda found: one_by_one(found, found.high()),
                   "results": results, "tolerances": tolerances, "heat_maps": heat_maps,
                   "scores_of_one_ball": lambda found: scores(found, "one ball"),
                   "scores_of_two_balls": lambda found: scores(found, "two balls")},
    "README.md": {"reproduced": reproduced, "annealed": annealed}}


def put(text, name, lines):
    """A text with a table between the markers of that name. Raises ValueError where it has none."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    new, count = re.subn(f"{start}\n.*?{end}", lambda _: "\n".join([start, "", *lines, "", end]), text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the markers {start} and {end} stand in it {count} times, not once")
    return new


def main(words=None):
    """Returns 0 if every table has its place."""
    flags = runs.parse(__doc__, FLAGS, words)
    found, code = Results.read(flags.train_dir, flags.figures), 0
    for file, makers in TABLES.items():
        place = os.path.join(flags.root, file)
        try:
            old = new = pathlib.Path(place).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            process.refuse(f"--root: {place} cannot be read: {process.first_line(error)}")
        for name, make in makers.items():
            try:
                new = put(new, name, make(found))
            except ValueError as error:
                print(f"{place}: {error}", file=sys.stderr)
                code = 1
        if new != old:
            folder.write_whole(place, new)
            print(place)
    return code


if __name__ == "__main__":
    sys.exit(process.run(main))
