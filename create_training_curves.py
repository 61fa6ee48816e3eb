"""How each run learns: the plateau, where it is left, and what the last steps gain.

    python create_training_curves.py --train_dir=./checkpoints/train_store --figures=figures

writes training_curves_<data set>.png from every run's losses.csv: the reconstruction loss above the entropy of the
images, on a log axis, against steps; a panel a model, a colour a beta, a line a run, dashed where beta was annealed,
dotted where another flag is not at its default.
"""
import os
import sys

import numpy as np
from matplotlib.lines import Line2D

from analysis import plotting, runs
from training import curves, process

STEPS = 1000  # that a point is the mean over
LINES = {"constant β": "-", "annealed": "--", "other settings": ":"}


def curve(rows):
    """Steps and mean reconstruction loss of rows of losses.csv, [points] each."""
    step, loss = np.array([row[:2] for row in rows], float).T
    weight = curves.weights(rows)
    block = ((step - 1) // STEPS).astype(int)
    total = np.bincount(block, weight)
    seen = total > 0
    return np.bincount(block, weight * step)[seen] / total[seen], np.bincount(block, weight * loss)[seen] / total[seen]


def draw(shown, floor):
    """floor: nats per image."""
    models = runs.groups(shown, lambda run: run.flags.model)
    figure = plotting.figure(figsize=(3.2 * len(models) + 1, 3.6))
    panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    betas, kinds = {}, {}
    for axis, (model, mine) in zip(panels, models.items(), strict=True):
        for run in mine:
            steps, losses = curve(run.losses)
            kind = "annealed" if run.annealed else "other settings" if run.variant else "constant β"
            colour = plotting.colour_of_beta(run.flags.beta)
            axis.plot(steps, losses - floor, LINES[kind], linewidth=1, marker="." * (len(steps) == 1), color=colour)
            betas[run.flags.beta] = Line2D([], [], linewidth=3, color=colour, label=f"β {run.flags.beta:g}")
            kinds[kind] = Line2D([], [], linestyle=LINES[kind], color="0.3", label=kind)
        axis.set(title=model, xlabel="step", yscale="log")
        axis.set_xlim(left=0)
        axis.xaxis.set_major_formatter(lambda step, _: f"{step / 1000:g}k")
        axis.locator_params(axis="x", nbins=5, prune="upper")
        plotting.plain_ticks(axis.yaxis)
        axis.grid(alpha=0.25, which="both")
    panels[0].set_ylabel(f"{plotting.wrapped(plotting.loss_above(floor), 32)}\n(nats per image)")
    figure.suptitle(f"How each run learns: {shown[0].data.words}, a line a run", fontsize=11)
    handles = [betas[beta] for beta in sorted(betas)] + [kinds[kind] for kind in LINES if kind in kinds]
    plotting.legend(figure, handles, 2 * len(models))
    return figure


def draw_all(found, figures):
    shown = [run for run in runs.with_numbers(found, "reconstruction") if run.losses]
    for key, mine in runs.groups(shown, lambda run: run.data.key).items():
        plotting.save(draw(mine, mine[0].numbers["reconstruction"]["entropy"]),
                      os.path.join(figures, f"training_curves_{key}.png"), mine)
    return bool(shown)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
