"""Reconstruction loss against beta.

    python create_error_graph.py --train_dir=./checkpoints/train_store --figures=figures

writes one_ball_reconstruction_loss.png and two_ball_reconstruction_loss.png, one colour a model, over 100 trajectories
of 32 frames, from a sampled z, beside 2016's numbers; and all the numbers as reconstruction_loss.json.
"""
import os
import sys

import matplotlib.pyplot as plt
import numpy as np

import experiment
import plotting

TRAJECTORIES, FRAMES = 100, 32


def entropy(pictures):
    """Cross-entropy of pictures with themselves, the least any model can reach; nats, summed over pixels (the last
    three axes)."""
    p = pictures.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where((p > 0) & (p < 1), p * np.log(p) + (1 - p) * np.log1p(-p), 0)
    return -terms.sum(axis=(-3, -2, -1))


def measure(name, run, model, step):
    """Mean reconstruction loss, its standard error over the trajectories, and the floor of these pictures; nats a
    picture. The same pictures for every model, the same noise for every one of as many latents."""
    import tensorflow as tf

    import architecture
    import ball_generator
    seeds = [(0, experiment.EVALUATION, i) for i in range(TRAJECTORIES)]
    pictures = ball_generator.render(ball_generator.simulate(seeds, run.num_balls, FRAMES, run.friction))
    loss_of = tf.function(model.losses)
    losses = []
    for i in range(TRAJECTORIES):
        noise = architecture.normal((FRAMES, model.latents), (experiment.EVALUATION, i))
        losses.append(float(loss_of(pictures[i], noise)[0]))
    return {"reconstruction_loss": round(np.mean(losses), 4),
            "standard_error": round(np.std(losses, ddof=1) / np.sqrt(TRAJECTORIES), 4),
            "entropy_floor": round(entropy(pictures.numpy()).mean(), 4)}


def draw(title, runs, published):
    """One colour a model: a line through the means over its seeds, a dot for each; bars are the standard error.

    runs: name -> object with model, beta, reconstruction_loss, standard_error, entropy_floor.
    published: model -> beta -> 2016's reconstruction loss.
    """
    figure, axes = plt.subplots(figsize=(7, 4.6), layout="constrained")
    legend = []
    for model, colour in plotting.MODEL_COLOURS.items():
        if any(run["model"] == model for run in runs.values()):
            legend.append(plotting.draw_line(axes, runs, model, "reconstruction_loss", model, "standard_error"))
            old = published.get(model, {})
            if old:
                legend += axes.plot([float(beta) for beta in old], list(old.values()), "--o", color=colour,
                                    markersize=7, markerfacecolor="none", linewidth=0.9, label=f"{model}, 2016")
    floor = next(iter(runs.values()))["entropy_floor"]
    legend.append(axes.axhline(floor, color="0.3", linestyle=(0, (6, 3)), linewidth=1,
                               label=f"entropy floor, {floor:.2f}"))
    axes.set(xlabel="$\\beta$", ylabel="reconstruction loss (nats a picture)", title=title)
    axes.grid(alpha=0.25)
    axes.legend(handles=legend, fontsize=8)
    return figure


def main():
    flags = plotting.parse_flags(__doc__)
    groups = plotting.measure_all(flags, "reconstruction_loss.json", measure, plotting.group)
    for data, (run, runs) in groups.items():
        old = {} if run.friction else plotting.published("reconstruction_loss").get(str(run.num_balls), {})
        plotting.save_figure(draw(plotting.title(run, runs), runs, old),
                             os.path.join(flags.figures, f"{data}_reconstruction_loss.png"), runs)
    return plotting.finish(groups, flags.train_dir)


if __name__ == "__main__":
    sys.exit(main())
