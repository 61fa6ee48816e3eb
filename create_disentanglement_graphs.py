"""What each latent encodes: images and numbers, from states that the generator knows.

    python create_disentanglement_graphs.py --train_dir=./checkpoints/train_store --figures=figures

writes for every run response_map_<run>.png (the active latents' means over the data set's views: where the balls are)
and traversal_<run>.gif (every active latent going through the range it takes); for every data set
<data set>_disentanglement.png: the metrics of analysis/metrics.py against beta, of the runs of its own sweep;
..._betas_disentanglement.png, of runs at other betas, too; and <data set>_settings.png: of every model and setting,
such as annealed runs, a dot a seed; <data set>_over_time.png: the SAP scores of runs that kept 20 checkpoints or more
(main.py --keep=1000), against steps.
"""
import os
import sys

import numpy as np
from matplotlib.lines import Line2D

from analysis import animation, map_sheets, maps, plotting, runs
from analysis.measure import UNTRAINED
from analysis.metrics import METRICS
from training import process
from training.latents import NONE_ACTIVE
from training.progress import say

MAPS = 10   # latents in a response map
TILES = 18  # latents in an animation
BAND = (0.01, 0.1)  # of beta * latents / pixels: where the paper found its best codes


def score(run, key):
    return np.mean(run.scores[key])


def draw_scores(shown):
    """The scores that have a panel, against beta: a marker a run, a cross where no latent is active, dotted what a
    model reaches untrained; above a panel, a bar over the paper's best betas for so many latents; in grey, what needs
    no network."""
    panels = [key for key, metric in METRICS.items() if metric.limits and all(key in run.scores for run in shown)]
    rows = -(-len(panels) // 2)
    figure = plotting.figure(figsize=(9, 3.4 * rows + 0.6))
    axes = figure.subplots(rows, 2, squeeze=False).flat
    handles = []
    for key, axis in zip(panels, axes, strict=False):
        draw_baselines(axis, shown, key)
        handles = plotting.against_beta(axis, shown, lambda run, key=key: (
            score(run, key) if run.numbers["stddev"]["active"] else None))
        published = runs.published(key, shown[0].data)
        for model, by_beta in published.items():
            axis.plot([float(beta) for beta in by_beta], by_beta.values(), "s", markersize=8,
                      color=plotting.colour_of(model), markerfacecolor="none")
        for number, (model, mine) in enumerate(runs.groups(shown, lambda run: run.flags.model).items()):
            colour = plotting.colour_of(model)
            for run in mine:
                if not run.numbers["stddev"]["active"]:
                    axis.plot(run.flags.beta * plotting.aside(number), 0.06, "x", color=colour,
                              transform=axis.get_xaxis_transform())
            axis.axhline(np.mean([np.mean(run.scores["others"][UNTRAINED][key]) for run in mine]), color=colour,
                         linestyle=":", linewidth=1.4)
        plotting.beta_axis(axis, shown)
        draw_bands(axis, shown)
        axis.set_ylim(METRICS[key].limits)
        axis.set_title(METRICS[key].title, fontsize=11, pad=16)
        axis.grid(alpha=0.25)
    for axis in figure.axes[len(panels):]:
        axis.remove()
    handles += [Line2D([], [], color="0.3", linestyle=":", label=UNTRAINED),
                Line2D([], [], color="0.3", linewidth=3, label="the paper's best betas: β·latents/pixels from "
                       f"{BAND[0]:g} to {BAND[1]:g}")]
    if not all(run.numbers["stddev"]["active"] for run in shown):
        handles.append(Line2D([], [], color="0.3", marker="x", linestyle="none", label="no latent is active"))
    if runs.published("change_accuracy", shown[0].data):
        handles.append(Line2D([], [], color="0.3", marker="s", markerfacecolor="none", linestyle="none",
                              label="the paper's"))
    figure.suptitle(f"Does one latent encode one factor?\n{plotting.caption(shown)}", fontsize=11)
    plotting.legend(figure, handles, 2)
    return figure


def draw_baselines(axis, shown, key):
    """Grey lines at the scores of what needs no network."""
    others = {what: np.mean(numbers[key]) for what, numbers in shown[0].scores["others"].items()
              if what != UNTRAINED and key in numbers}
    free = -np.inf  # above the last label
    for what, value in sorted(others.items(), key=lambda other: other[1]):
        text = plotting.wrapped(what, 14)
        half = 0.03 * (1 + text.count("\n"))
        free = max(value, free + half) + half
        axis.axhline(value, color="0.6", linewidth=1, zorder=1)
        axis.annotate(text, (1, free - half), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                      va="center", fontsize=8, color="0.4")


def draw_bands(axis, shown):
    """Above a panel, the betas in the paper's best band, a bar a model."""
    for number, (model, mine) in enumerate(runs.groups(shown, lambda run: run.flags.model).items()):
        latents = len(mine[0].numbers["stddev"]["sorted"])
        band = np.clip(np.array(BAND) * np.prod(mine[0].data.image_shape) / latents, *axis.get_xlim())
        axis.plot(band, [1.015 + 0.015 * number] * 2, linewidth=3, color=plotting.colour_of(model), clip_on=False,
                  solid_capstyle="butt", transform=axis.get_xaxis_transform())


def draw_settings(shown):
    """The scores and the loss of every setting: a row each, a dot a run, a bar at the median of three or more."""
    floor = shown[0].numbers["reconstruction"]["entropy"]
    panels = {METRICS[key].title: lambda run, key=key: score(run, key) for key in ("sap", "mig", "change_accuracy")
              if all(key in run.scores for run in shown)}
    loss = plotting.loss_above(floor)
    panels[loss] = lambda run: run.numbers["reconstruction"]["loss"] - floor
    rows = len({run.label for run in shown})
    figure = plotting.figure(figsize=(2.1 * len(panels) + 3.3, 0.44 * rows + 1.6))
    for axis, (title, value) in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(),
                                    strict=True):
        plotting.strips(axis, shown, value)
        axis.set_title(plotting.wrapped(title, 24), fontsize=9)
        if title == loss:
            axis.set_xlabel("nats per image, log scale", fontsize=9)
            axis.set_xscale("log")
            plotting.plain_ticks(axis.xaxis, narrow=True)
        else:
            axis.set(xlim=(-0.05, 1.05), xticks=(0, 0.5, 1))
    figure.suptitle("What other settings change: a dot a seed, a bar at the median of three or more\n"
                    f"{plotting.caption(shown)}", fontsize=11)
    return figure


def followed(run):
    """Whether it has scores over time: a data set without a number among its factors has no SAP score."""
    return any("sap" in point for point in run.numbers.get("over_time", {}).get("points", ()))


def draw_over_time(shown):
    """The SAP score of every run that kept its checkpoints, against steps, and its beta below; a colour a model."""
    figure = plotting.figure(figsize=(8, 4.6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    handles = {}
    for run in shown:
        points = run.numbers["over_time"]["points"]
        look = {"color": plotting.colour_of(run.flags.model), "linestyle": "-" if run.annealed else ":"}
        (handles[run.label],) = above.plot([point["step"] for point in points], [point["sap"] for point in points],
                                              linewidth=1.2, label=run.label, **look)
        below.plot([row[0] for row in run.losses], [row[4] for row in run.losses], **look)
    above.set(ylim=(-0.03, 1.03), ylabel="SAP score")
    below.set(xlabel="step", ylabel="β")
    for axis in above, below:
        axis.grid(alpha=0.25)
        axis.set_xlim(left=0)
    below.xaxis.set_major_formatter(lambda step, _: f"{step / 1000:g}k")
    figure.suptitle(f"When latents align: a line a run\n{plotting.caption(shown)}", fontsize=11)
    plotting.legend(figure, list(handles.values()), 2)
    return figure


def draw_run(figures, run):
    """A run's maps and its animation."""
    vae, active = run.vae, run.vae.active
    if not len(active):
        say(f"{run.name}: {NONE_ACTIVE}. Its scores are 0, its accuracy is chance")
        return
    latents = active[:MAPS]
    title = (plotting.wrapped(f"What each active latent encodes: {plotting.title_of(run)}", 95)
             + f"\n{len(active)} active latents" + f", the {MAPS} of lowest stddev" * (len(active) > MAPS)
             + "; below the stddev, how much of the latent's variance follows each factor")
    texts = [text_of(numbers) for numbers in run.numbers["active_latents"]["list"][:MAPS]]
    figure = map_sheets.draw(title, run.data, maps.response_maps(vae, latents), texts)
    plotting.save(figure, os.path.join(figures, f"response_map_{run.name}.png"), [run], dpi=110)
    animation.save(animation.animate(vae, active[:TILES]), os.path.join(figures, f"traversal_{run.name}.gif"), 60)


def text_of(numbers):
    """Over a latent's map: what it is, and the share of its variance that follows each factor."""
    parts = [f"{name} {share:.0%}" for name, share in numbers["explained"].items()]
    lines = [", ".join(parts[i:i + 2]) for i in range(0, len(parts), 2)]
    return "\n".join([f"{plotting.symbol(numbers['latent'])}: stddev {numbers['stddev']:.2f}, "
                      f"KL {numbers['kl']:.1f} nats", *lines])


def draw_all(found, figures):
    runs.each([run for run in found if run.has_weights], "response maps", lambda run: draw_run(figures, run))
    found = runs.with_numbers(found, "scores", "stddev", "reconstruction")
    for name, shown in runs.by_beta(found):
        plotting.save(draw_scores(shown), os.path.join(figures, f"{name}_disentanglement.png"), shown)
    for key, mine in runs.groups(found, lambda run: run.data.key).items():
        varied = {(run.flags.model, run.flags.beta) for run in mine if run.variant}
        shown = [run for run in mine if (run.flags.model, run.flags.beta) in varied]
        if shown:
            plotting.save(draw_settings(shown), os.path.join(figures, f"{key}_settings.png"), shown)
    for key, mine in runs.groups(found, lambda run: run.data.key).items():
        shown = [run for run in mine if followed(run)]
        if shown:
            plotting.save(draw_over_time(shown), os.path.join(figures, f"{key}_over_time.png"), shown)
    return bool(found)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
