"""Average posterior stddev of every latent, sorted: how many latents are active.

    python create_stddev_graphs.py --train_dir=./checkpoints/train_store --figures=figures

writes one_ball_stddev_<model>.png and two_ball_stddev_<model>.png (of another data set, its name before it), a line a
run over a trajectory of 1,000 frames, one colour a beta, beside 2016's numbers. A latent near 1 says nothing of the
image. Runs at other betas have graphs of their own, in ..._betas_stddev_<model>.png.
"""
import os
import sys

import numpy as np

from analysis import plotting, runs
from training import process
from training.latents import ACTIVE_BELOW


def draw(shown, published):
    """One line a run, one colour a beta. published: beta -> published sorted stddevs, None where they are hidden."""
    figure = plotting.figure(figsize=(7, 4.6))
    axes = figure.add_subplot()
    handles = {}
    for run in shown:
        beta, stddev = run.flags.beta, run.numbers["stddev"]["sorted"]
        (line,) = axes.plot(np.arange(1, len(stddev) + 1), stddev, marker="o", markersize=3, linewidth=1,
                            markerfacecolor=None if plotting.finished(run) else "white",
                            color=plotting.colour_of_beta(beta), label=f"β = {beta:g}")
        handles.setdefault(beta, line)
    for beta in [beta for beta in handles if str(beta) in published]:
        old = np.array(published[str(beta)], float)
        (handles[beta, 2016],) = axes.plot(np.arange(1, len(old) + 1), old, "s", color=plotting.colour_of_beta(beta),
                                           markersize=6, markerfacecolor="none", label=f"β = {beta:g}, 2016")
    axes.axhline(ACTIVE_BELOW, color="0.7", linewidth=0.8, zorder=0)
    axes.annotate(f"active below {ACTIVE_BELOW}", (1, ACTIVE_BELOW), (-3, -10), ha="right",
                  xycoords=("axes fraction", "data"), textcoords="offset points", color="0.45", fontsize=8)
    axes.set(xlabel="latent, sorted by stddev", ylabel="mean posterior stddev (the prior's is 1)")
    axes.set_title(f"How many latents are active: {shown[0].flags.model}\n{plotting.caption(shown)}", fontsize=10)
    axes.set_ylim(0, max(1.05, axes.get_ylim()[1]))
    axes.set_xlim(left=0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    plotting.legend(figure, list(handles.values()), 4)
    return figure


def draw_all(found, figures):
    found = runs.with_numbers(found, "stddev")
    for name, of_data in runs.by_beta(found):
        for model, shown in runs.groups(of_data, lambda run: run.flags.model).items():
            old = runs.published("sorted_latent_stddev", shown[0].data).get(model, {})
            plotting.save(draw(shown, old), os.path.join(figures, f"{name}_stddev_{model}.png"), shown)
    return bool(found)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
