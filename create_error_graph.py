"""Reconstruction loss against beta.

    python create_error_graph.py --train_dir=./checkpoints/train_store --figures=figures

writes one_ball_reconstruction_loss.png and two_ball_reconstruction_loss.png, one colour a model, over 100 trajectories
of 32 frames, from a sampled z, beside 2016's numbers: what the loss is above the entropy of the images, which no model
can go below. And all the numbers as reconstruction_loss.json.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # under PYTHONSAFEPATH too
from training import process  # first: with it, Ctrl-C is a stop, and NumPy computes with one thread

# isort: split

from analysis import plotting, reconstruction, runs


def draw(title, measured, published):
    """One colour a model: a line through the means over its seeds, a dot for each; bars are the standard error over
    the test trajectories.

    measured: (run, object with reconstruction_loss, standard_error, entropy_floor) each.
    published: model -> beta -> 2016's reconstruction loss.
    """
    figure = plotting.figure(figsize=(7, 5.4))
    axes = figure.add_subplot()
    floor = measured[0][1]["entropy_floor"]
    above = [(run, {"excess": numbers["reconstruction_loss"] - floor, "error": numbers["standard_error"]})
             for run, numbers in measured]
    legend = []
    for number, ((model, variant), rows) in enumerate(plotting.series(above).items()):
        legend.append(plotting.draw_line(axes, rows[0][0], rows, "excess", "error", number))
        old = published.get(model, {})
        if old and not variant:
            legend += axes.plot([float(beta) for beta in old], [loss - floor for loss in old.values()], "--s",
                                color=plotting.colour_of(model), markersize=7, markerfacecolor="none", linewidth=0.9,
                                label=f"{model}, 2016")
    plotting.beta_axis(axes, measured)
    axes.set_yscale("log")
    axes.set(ylabel=f"reconstruction loss above the entropy floor,\n{floor:.2f} (nats per image, log scale)",
             title=title)
    plotting.plain_ticks(axes.yaxis)
    axes.grid(alpha=0.25, which="both")
    plotting.legend(figure, legend, 2)
    return figure


def draw_all(flags):
    measured = runs.measure_all(flags, "reconstruction_loss.json", reconstruction.measure)
    for data, rows in runs.groups(measured, lambda run: run.data_set).items():
        old = runs.published_for("reconstruction_loss", rows[0][0])
        title = f"A higher β costs reconstruction\n{plotting.title(rows)}"
        plotting.save(draw(title, rows, old), os.path.join(flags.figures, f"{data}_reconstruction_loss.png"),
                      [run for run, _ in rows])
    return bool(measured)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
