"""Several seeds, of which one goes on: does the loss tell early, without labels, which code will be aligned?

    python main.py --model=conv --beta=1 --beta_start=34 --seed=20 --max_step=14000 --save_every=500 --keep=1000
    python -m experiments.seeds --train_dir=./checkpoints/train_store
    python -m experiments.seeds --draw --figures=figures

Train three seeds by the first, 20, 21 and 22. The one of the lowest loss (reconstruction + beta * KL, mean of the steps
12,000 to 14,000) goes on, by the same command with --max_step=80000. The second command adds a row a run to
experiments/seeds.json: that loss, and the SAP score against steps. The third draws what is there. The rule was found on
seeds of conv below 20; conv's from 20 on and fully_connected's from 10 on, three at a time, try it.
"""
import os
import sys

import numpy as np
from matplotlib.lines import Line2D

from analysis import measure, plotting, runs
from experiments import rows
from training import curves, process
from training.flags import Flag, boolean, parse
from training.progress import say

RESULTS = os.path.join(process.ROOT, "experiments", "seeds.json")
AT, LAST = 14_000, 2000  # the step at which one is chosen, by the mean loss of so many steps
TRIED, OF = 20, 3        # seeds from which on the rule is tried, so many at a time
TRIED_OF = {"fully_connected": 10}  # where it is another
TICKS = 4000, 8000, AT, 20_000, 40_000, 80_000

FLAGS = (
    runs.TRAIN_DIRS,
    Flag("draw", boolean, False, "draw what there is, and add nothing"),
    runs.FIGURES,
)


def row_of(run):
    if run.step < AT:
        raise ValueError(f"it is at step {run.step:,}, short of {AT:,}")
    points = [point for point in run.numbers["over_time"]["points"] or measure.over_time(run.vae, 1)["points"]
              if point["active"]]
    if AT not in [point["step"] for point in points]:
        raise ValueError(f"it kept no checkpoint of step {AT:,}, or no latent is active there")
    early = [row for row in run.losses if AT - LAST < row[0] <= AT]
    loss = np.average([reconstruction + beta * kl for _, reconstruction, kl, _, beta in early],
                      weights=curves.weights(run.losses)[[row in early for row in run.losses]])
    steps, betas = np.array([(row[0], row[4]) for row in run.losses]).T
    return {"model": run.flags.model, "data": run.data.key, "setting": run.setting.split(", so far")[0],
            "seed": run.flags.seed, "loss": round(float(loss), 3),
            "points": [[point["step"], round(float(np.interp(point["step"], steps, betas)), 2), point["active"],
                        round(point["sap"], 3)] for point in points]}


def turn(row):
    """Which of the seeds that try the rule this is, from 0; below 0: an earlier one."""
    return row["seed"] - TRIED_OF.get(row["model"], TRIED)


def chosen(found):
    """The seeds of a model that go on: of every three in turn, that of the lowest loss."""
    groups = runs.groups([row for row in found if turn(row) >= 0], lambda row: turn(row) // OF)
    return {min(group, key=lambda row: row["loss"])["seed"] for group in groups.values() if len(group) == OF}


def draw(found):
    """A row a setting: left, the SAP score of every seed against steps, with beta; right, at the step of the choice
    against the loss."""
    settings = runs.groups(found, lambda row: (row["model"], row["data"].replace("_", " "), row["setting"]))
    figure = plotting.figure(figsize=(10, 0.8 + 3.4 * len(settings)))
    kinds = {"chosen": {"color": "C0"}, "not chosen": {"color": "0.6"},
             "earlier, the rule was found on them": {"color": "0.6", "markerfacecolor": "none"}}
    counts = {active for row in found for step, _, active, _ in row["points"] if step == AT}
    marks = dict(zip(sorted(counts), "o^sDvP<>", strict=False))
    for (left, right), (setting, mine) in zip(figure.subplots(len(settings), 2, squeeze=False), settings.items(),
                                              strict=True):
        best = chosen(mine)
        for row in mine:
            kind = list(kinds.values())[(row["seed"] not in best) + (turn(row) < 0)]
            steps, _, active, scores = np.array(row["points"]).T
            left.plot(steps, scores, linewidth=1.2, color=kind["color"], zorder=2 + (row["seed"] in best))
            ((latents, score),) = np.array([active, scores]).T[steps == AT]
            right.plot(row["loss"], score, marks[int(latents)], markersize=6, zorder=3, **kind)
        left.axvline(AT, color="0.3", linewidth=1, linestyle=":")
        left.set(xscale="log", xlabel="step, and β", ylabel="SAP score", ylim=(-0.03, 1.03))
        left.set_title(", ".join(setting), fontsize=9, loc="left")
        points = np.unique([point[:2] for row in mine for point in row["points"]], axis=0).T
        ticks = [step for step in TICKS if step <= points[0].max()]
        left.set_xticks(ticks, [f"{step // 1000}k\n{np.interp(step, *points):.0f}" for step in ticks])
        left.minorticks_off()
        right.set(xlabel=f"loss at step {AT:,} (nats per image)", ylabel=f"SAP score at step {AT:,}",
                  ylim=(-0.03, 1.03))
        for axis in left, right:
            axis.grid(alpha=0.25)
    figure.suptitle(f"Of three seeds, that of the lowest loss at step {AT:,} goes on", fontsize=11)
    handles = [Line2D([], [], linestyle="none", label=label, marker="s", **look) for label, look in kinds.items()]
    handles += [Line2D([], [], linestyle="none", label=f"{latents} latents", marker=mark, color="black")
                for latents, mark in marks.items()]
    plotting.legend(figure, handles, 5)
    return figure


def run(words=None):
    flags = parse(__doc__, FLAGS, words)
    if flags.draw:
        rows.draw(RESULTS, draw, flags.figures)
        return 0
    for run, row in runs.each(runs.runs_of(flags.train_dir), "measuring", row_of):
        rows.add(RESULTS, row, ("model", "data", "setting", "seed"))
        step, _, _, score = row["points"][-1]
        say(f"{run.name}: loss {row['loss']} at step {AT:,}, SAP score {score} at {step:,}")
    return 0


if __name__ == "__main__":
    sys.exit(process.run(run))
