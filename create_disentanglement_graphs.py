"""What each latent encodes: images and numbers, from positions that the generator knows.

    python create_disentanglement_graphs.py --train_dir=./checkpoints/train_store --figures=figures

writes for every run response_map_<run>.png (the active latents' means as functions of where the balls are) and
traversal_<run>.gif (every active latent going through the range it takes); disentanglement.json (the metrics of
analysis/metrics.py over 10,000 random positions) and one_ball_disentanglement.png, two_ball_disentanglement.png.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # under PYTHONSAFEPATH too
from training import process  # first: with it, Ctrl-C is a stop, and NumPy computes with one thread

# isort: split

import numpy as np
from matplotlib.lines import Line2D

import ball_generator
from analysis import animation, maps, plotting, runs, scores
from analysis.metrics import METRICS
from training.loader import NONE_ACTIVE
from training.progress import say

MAPS = 10   # latents in a response map
TILES = 18  # latents in an animation
BAND = (0.01, 0.1)  # of beta * latents / pixels: where the paper found its best codes
PIXELS = np.prod(ball_generator.IMAGE_SHAPE)


def draw_scores(title, measured):
    """The scores that have a panel, against beta: one colour a model, a line through the means over its seeds, a dot
    for each, a cross where no latent is active, dotted what it reaches untrained, and above the panel a bar over the
    paper's best betas for so many latents; in grey, what needs no network. measured: (run, its object of
    disentanglement.json) each."""
    handles = {}
    panels = [key for key, metric in METRICS.items() if metric.limits and any(key in row[1] for row in measured)]
    rows = -(-len(panels) // 2)
    figure = plotting.figure(figsize=(10, 4 * rows + 0.9))
    for key, axis in zip(panels, figure.subplots(rows, 2, squeeze=False).flat, strict=False):
        shown = [row for row in measured if key in row[1]]  # numbers kept from before a metric lack it
        others = {what: np.mean(other[key]) for _, numbers in shown for what, other in numbers["others"].items()
                  if what != scores.UNTRAINED and key in other}
        for rank, (what, value) in enumerate(sorted(others.items(), key=lambda other: other[1])):
            axis.axhline(value, color="0.6", linewidth=1, zorder=1)
            axis.annotate(plotting.wrapped(what, 12), (1, value), (3, 0), xycoords=("axes fraction", "data"),
                          textcoords="offset points", va=("top", "bottom")[rank % 2], fontsize=9, color="0.4")
        for number, ((model, variant), mine) in enumerate(plotting.series(shown).items()):
            alive = [row for row in mine if row[1]["active_latents"]]
            handles[model, variant] = plotting.draw_line(axis, mine[0][0], alive, key, None, number)
            for beta in {run.flags.beta for run, numbers in mine if not numbers["active_latents"]}:
                axis.plot(beta * plotting.aside(number), 0.03, "x", color=plotting.colour_of(model),
                          transform=axis.get_xaxis_transform())
            if not variant:
                axis.axhline(np.mean([np.mean(numbers["others"][scores.UNTRAINED][key]) for _, numbers in mine]),
                             color=plotting.colour_of(model), linestyle=":", linewidth=1.4)
        axis.set_ylim(METRICS[key].limits)
        axis.set_title(METRICS[key].title, fontsize=12, pad=18)
        plotting.beta_axis(axis, measured)
        for number, (model, mine) in enumerate(runs.groups(shown, lambda run: run.flags.model).items()):
            band = np.clip(np.array(BAND) * PIXELS / mine[0][1]["latents"], *axis.get_xlim())
            axis.plot(band, [1.015 + 0.015 * number] * 2, linewidth=3, color=plotting.colour_of(model), clip_on=False,
                      solid_capstyle="butt", transform=axis.get_xaxis_transform())
        axis.grid(alpha=0.25)
    for axis in figure.axes[len(panels):]:
        axis.set_visible(False)
    if not all(numbers["active_latents"] for _, numbers in measured):
        handles["x"] = Line2D([], [], color="0.3", marker="x", linestyle="none", label="no latent is active")
    if any(not run.variant for run, _ in measured):
        handles[scores.UNTRAINED] = Line2D([], [], color="0.3", linestyle=":", label=scores.UNTRAINED)
    handles[BAND] = Line2D([], [], color="0.3", linewidth=3, label="the paper's best betas: β·"
                           f"latents/pixels from {BAND[0]:g} to {BAND[1]:g}")
    figure.suptitle(title, fontsize=12)
    plotting.legend(figure, list(handles.values()), 2)
    return figure


def look_at(flags, run):
    """Draw a run's maps and animation, and return its numbers."""
    active = run.vae.active
    if len(active):
        shown = active[:MAPS]
        title = (plotting.wrapped(f"What each active latent encodes: {plotting.title_of(run)}", 95)
                 + f"\n{len(active)} active latents"
                 + f", the {MAPS} of lowest stddev" * (len(active) > MAPS)
                 + "; below the stddev, how much of the latent's variance follows each factor")
        figure = maps.draw_maps(title, maps.response_maps(run.vae, shown), maps.texts_of(run.vae, shown))
        plotting.save(figure, os.path.join(flags.figures, f"response_map_{run.name}.png"), [run], dpi=110)
        animation.save(animation.animate(run.vae, active[:TILES]),
                       os.path.join(flags.figures, f"traversal_{run.name}.gif"), 60)
    else:
        say(f"{run.name}: {NONE_ACTIVE}. Its scores are 0, its accuracy is chance")
    return scores.measure(run)


def draw_all(flags):
    measured = runs.measure_all(flags, "disentanglement.json", lambda run: look_at(flags, run))
    for data, rows in runs.groups(measured, lambda run: run.data_set).items():
        plotting.save(draw_scores(f"Does one latent encode one factor? {plotting.title(rows)}", rows),
                      os.path.join(flags.figures, f"{data}_disentanglement.png"), [run for run, _ in rows])
    return bool(measured)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
