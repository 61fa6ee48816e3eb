"""Average posterior stddev of every latent, sorted: how many latents are active.

    python create_stddev_graphs.py --train_dir=./checkpoints/train_store --figures=figures

writes one_ball_stddev_<model>.png and two_ball_stddev_<model>.png, one thin line a run over a trajectory of 1,000
frames, one colour a beta, beside 2016's numbers; and all the numbers as stddev.json. A latent near 1 says nothing of
the image.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # under PYTHONSAFEPATH too
from training import process  # first: with it, Ctrl-C is a stop, and NumPy computes with one thread

# isort: split

import numpy as np

from analysis import plotting, runs
from training import loader


def draw(title, measured, published):
    """One line a run, one colour a beta.

    measured: (run, object with sorted stddev) each. published: beta -> 2016's sorted stddev, None where hidden.
    """
    figure = plotting.figure(figsize=(7, 5.4))
    axes = figure.add_subplot()
    ours, theirs = {}, []
    for run, numbers in measured:
        label, (marker, dashes) = plotting.beta_of(run), plotting.symbol_of(run)
        (line,) = axes.plot(np.arange(1, len(numbers["stddev"]) + 1), numbers["stddev"], marker=marker, markersize=3,
                            linewidth=1, linestyle=dashes, color=plotting.colour_of_beta(run.flags.beta))
        ours.setdefault(label, line).set_label(label)
    for beta in sorted({run.flags.beta for run, _ in measured}):
        if str(beta) in published:
            old = np.array(published[str(beta)], float)
            theirs += axes.plot(np.arange(1, len(old) + 1), old, "--s", color=plotting.colour_of_beta(beta),
                                markersize=5, markerfacecolor="none", linewidth=0.9, label=f"β = {beta:g}, 2016")
    axes.axhline(loader.ACTIVE_BELOW, color="0.7", linewidth=0.8, zorder=0)
    axes.annotate(f"active below {loader.ACTIVE_BELOW}", (1, loader.ACTIVE_BELOW), (-3, -10), ha="right",
                  xycoords=("axes fraction", "data"), textcoords="offset points", color="0.45", fontsize=8)
    axes.set(xlabel="latent, sorted by stddev", ylabel="mean posterior stddev (the prior's is 1)", title=title)
    axes.set_ylim(0, max(1.05, axes.get_ylim()[1]))
    axes.set_xlim(left=0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    plotting.legend(figure, [*ours.values(), *theirs], 2)
    return figure


def measure(run):
    """The average stddev of every latent over one trajectory, sorted."""
    return {"stddev": np.sort(run.vae.stddev).astype(float).round(5).tolist()}


def draw_all(flags):
    measured = runs.measure_all(flags, "stddev.json", measure)
    for (data, model), rows in runs.groups(measured, lambda run: (run.data_set, run.flags.model)).items():
        old = runs.published_for("sorted_latent_stddev", rows[0][0]).get(model, {})
        title = f"{model}: how many latents are active\n{plotting.title(rows)}, one line each"
        plotting.save(draw(title, rows, old), os.path.join(flags.figures, f"{data}_stddev_{model}.png"),
                      [run for run, _ in rows])
    return bool(measured)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
