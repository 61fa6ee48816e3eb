"""Reconstruction loss against beta.

    python create_error_graph.py --train_dir=./checkpoints/train_store --figures=figures

writes one_ball_reconstruction_loss.png and two_ball_reconstruction_loss.png (of another data set, its name before it):
one colour a model, over 100 trajectories of 32 frames, from a sampled z, beside 2016's numbers: what the loss is above
the entropy of the images, which no model can go below. Runs at other betas have a graph of their own, in
..._betas_reconstruction_loss.png.
"""
import os
import sys

from analysis import plotting, runs
from training import process


def draw(shown, published):
    """A marker a run; bars are the standard error over the test trajectories. published: model -> beta -> a published
    reconstruction loss."""
    figure = plotting.figure(figsize=(7, 4.6))
    axes = figure.add_subplot()
    floor = shown[0].numbers["reconstruction"]["entropy"]
    legend = plotting.against_beta(axes, shown, lambda run: run.numbers["reconstruction"]["loss"] - floor,
                                   lambda run: run.numbers["reconstruction"]["standard_error"])
    models = dict.fromkeys(run.flags.model for run in shown)
    for model in filter(published.get, models):
        old = published[model]
        legend += axes.plot([float(beta) for beta in old], [loss - floor for loss in old.values()], "s", markersize=8,
                            color=plotting.colour_of(model), markerfacecolor="none", label=f"{model}, 2016")
    plotting.beta_axis(axes, shown)
    axes.set_yscale("log")
    axes.set_title(f"Reconstruction loss against β\n{plotting.caption(shown)}", fontsize=10)
    axes.set_ylabel(f"{plotting.loss_above(floor)}\n(nats per image, log scale)")
    plotting.plain_ticks(axes.yaxis)
    axes.grid(alpha=0.25, which="both")
    plotting.legend(figure, sorted(legend, key=lambda handle: handle.get_label()), min(len(models), 4))
    return figure


def draw_all(found, figures):
    found = runs.with_numbers(found, "reconstruction")
    for name, shown in runs.by_beta(found):
        plotting.save(draw(shown, runs.published("reconstruction_loss", shown[0].data)),
                      os.path.join(figures, f"{name}_reconstruction_loss.png"), shown)
    return bool(found)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
