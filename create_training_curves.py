"""How each run learns: the plateau, where it is left, and what the last steps gain.

    python create_training_curves.py --train_dir=./checkpoints/train_store --figures=figures

writes training_curves_<data set>.png from every run's losses.csv: the reconstruction loss above the entropy floor of
the images, on a log axis, against steps; a panel a model, a colour a beta, a line a run.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # under PYTHONSAFEPATH too
from training import process  # first: with it, Ctrl-C is a stop, and NumPy computes with one thread

# isort: split

import numpy as np

from analysis import plotting, reconstruction, runs
from training import tables

STEPS = 1000  # that a point is the mean over


def curve(path):
    """Steps and mean reconstruction loss of a run, [points] each."""
    rows, _ = tables.read_losses(path)
    step, loss = np.array([row[:2] for row in rows], float).reshape(-1, 2).T
    weight = tables.weights(rows)
    block = ((step - 1) // STEPS).astype(int)
    total = np.bincount(block, weight)
    seen = total > 0
    return np.bincount(block, weight * step)[seen] / total[seen], np.bincount(block, weight * loss)[seen] / total[seen]


def draw(title, curves, floor):
    """curves: (run, steps, losses) each. floor: nats per image."""
    models = runs.groups(curves, lambda run: run.flags.model)
    figure = plotting.figure(figsize=(4 * len(models) + 0.8, 4.4))
    panels = figure.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
    handles = {}
    for axis, (model, rows) in zip(panels, models.items(), strict=True):
        for run, steps, losses in rows:
            (line,) = axis.plot(steps, losses - floor, color=plotting.colour_of_beta(run.flags.beta), linewidth=1,
                                linestyle=plotting.symbol_of(run)[1], marker="." * (len(steps) == 1),
                                label=plotting.beta_of(run))
            handles.setdefault((run.variant, run.flags.beta), line)
        axis.set(title=model, xlabel="step", yscale="log")
        axis.set_xlim(left=0)
        axis.xaxis.set_major_formatter(lambda step, _: f"{step / 1000:g}k")
        plotting.plain_ticks(axis.yaxis)
        axis.grid(alpha=0.25, which="both")
    panels[0].set_ylabel(f"reconstruction loss above {floor:.2f},\nthe entropy floor (nats per image)")
    plotting.legend(figure, [handles[key] for key in sorted(handles)], len(models))
    figure.suptitle(title, fontsize=11)
    return figure


def draw_all(flags):
    curves = [(run, *curve(run.path)) for run in runs.runs_of(flags.train_dir)]
    curves = [row for row in curves if len(row[1])]
    for data, rows in runs.groups(curves, lambda run: run.data_set).items():
        _, floor = reconstruction.images_of(rows[0][0].flags.num_balls, rows[0][0].flags.friction)
        title = f"How each run learns: {plotting.data_set(rows[0][0].flags)}, one line a seed"
        plotting.save(draw(title, rows, floor), os.path.join(flags.figures, f"training_curves_{data}.png"),
                      [run for run, *_ in rows])
    return bool(curves)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
