"""Average posterior stddev of every latent, sorted: how many latents a model uses.

    python create_stddev_graphs.py --train_dir=./checkpoints/train_store --figures=figures

writes one_ball_stddev_<model>.png and two_ball_stddev_<model>.png, one line a beta over a trajectory of 1,000 frames,
beside 2016's numbers; and all the numbers as stddev.json. A latent near 1 says nothing of the picture.
"""
import os
import sys

import matplotlib.pyplot as plt
import numpy as np

import plotting

FRAMES = 1000


def draw(title, runs, published):
    """One line a beta: the mean over its seeds, with their range.

    runs: name -> object with beta and sorted stddev. published: beta -> 2016's sorted stddev, None where hidden.
    """
    figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
    ours, theirs = [], []
    betas = sorted({run["beta"] for run in runs.values()})
    for beta, colour in zip(betas, plt.cm.plasma(np.linspace(0, 0.8, len(betas)))):
        lines = [run["stddev"] for run in runs.values() if run["beta"] == beta]
        widest = max(map(len, lines))
        lines = np.array([line + [np.nan] * (widest - len(line)) for line in lines])
        place = np.arange(1, widest + 1)
        seeds = f", {len(lines)} seeds" if len(lines) > 1 else ""
        ours += axes.plot(place, np.nanmean(lines, axis=0), "-o", color=colour, markersize=4,
                          label=f"$\\beta$ = {beta:g}{seeds}")
        if len(lines) > 1:
            axes.fill_between(place, np.nanmin(lines, axis=0), np.nanmax(lines, axis=0), color=colour, alpha=0.2)
        if str(beta) in published:
            old = np.array(published[str(beta)], float)
            theirs += axes.plot(np.arange(1, len(old) + 1), old, "--o", color=colour, markersize=5,
                                markerfacecolor="none", linewidth=0.9, label=f"$\\beta$ = {beta:g}, 2016")
    axes.axhline(plotting.DEAD, color="0.7", linewidth=0.8, zorder=0)
    axes.annotate(f"used below {plotting.DEAD}", (1, plotting.DEAD), (-3, -10), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", color="0.45", fontsize=8)
    axes.set(xlabel="latent, sorted by stddev", ylabel="mean posterior stddev (the prior's is 1)", title=title)
    axes.set_ylim(0, max(1.05, axes.get_ylim()[1]))
    axes.set_xlim(left=0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.legend(handles=ours + theirs, fontsize=8, ncols=2, loc="lower right")  # a column each
    return figure


def measure(name, run, model, step):
    """The average stddev of every latent over one trajectory, sorted."""
    _, stddev = plotting.encode(model, plotting.trajectory(run, FRAMES))
    return {"stddev": np.sort(stddev.mean(axis=0)).astype(float).round(5).tolist()}


def main():
    flags = plotting.parse_flags(__doc__)
    groups = plotting.measure_all(flags, "stddev.json", measure, lambda run: (plotting.group(run), run.model))
    published = plotting.published("sorted_latent_stddev")
    for (data, model), (run, runs) in groups.items():
        old = {} if run.friction else published.get(str(run.num_balls), {}).get(model, {})
        figure = draw(f"{model}, {plotting.title(run, runs)}", runs, old)
        plotting.save_figure(figure, os.path.join(flags.figures, f"{data}_stddev_{model}.png"), runs)
    return plotting.finish(groups, flags.train_dir)


if __name__ == "__main__":
    sys.exit(main())
