"""What the plot scripts share: how a figure is made, titled and saved.

    main = script(__doc__, draw_all)
"""
import collections
import os
import re
import textwrap
import time

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator

from analysis import runs
from architecture import MODELS
from training.folder import replacing
from training.process import default_style
from training.progress import say

OTHER_COLOUR = "0.4"  # of a model that is no more among MODELS


def colour_of(model):
    return MODELS[model].colour if model in MODELS else OTHER_COLOUR


def colour_of_beta(beta):
    """The same in every figure: dark blue for 0.1, red for 40, along the logarithm."""
    place = np.clip(np.log(max(beta, 1e-9) / 0.1) / np.log(40 / 0.1), 0, 1)
    return 0.8 * np.array(colormaps["turbo"](0.05 + 0.9 * place)[:3])  # darker: its green is hard to see on white


def figure(**kwargs):
    """A figure that lays itself out, for files alone."""
    return Figure(**{"layout": "constrained", **kwargs})


def sheet(title, width, height):
    """A figure and its one axes, of inches from the upper left corner. (For many images: drawing as many axes takes
    seconds.)"""
    drawn = figure(figsize=(width, height), layout="none")
    axes = drawn.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.axis("off")
    axes.text(width / 2, 0.1, title, fontsize=12, ha="center", va="top")
    return drawn, axes


def frame(axes, left, top, side):
    """A square's edge on a sheet."""
    axes.add_patch(Rectangle((left, top), side, side, fill=False, linewidth=0.8))


class Tiles:
    """A sheet of square images in rows, without ticks.

    widths: of a row's tiles and gaps, in sides; a gap is negative. side, left (margin for labels), row_gap, top: in
    inches.
    """

    def __init__(self, title, rows, widths, side, left, row_gap=0.1, top=0.5):
        edges = left + side * 1.06 * np.cumsum([0, *map(abs, widths)])
        self.lefts = [edge for edge, wide in zip(edges, widths, strict=False) if wide > 0]
        self.rights = [edge + side * wide for edge, wide in zip(edges, widths, strict=False) if wide > 0]
        self.tops, self.side = top + (side + row_gap) * np.arange(rows), side
        width, height = edges[-1] + 0.1, top + rows * (side + row_gap) + 0.1
        self.figure, self.axes = sheet(title, width, height)

    def show(self, row, tile, image, limits=(0, 1), cmap="gray"):
        """Draw an image [rows, columns], whose limits are the first and last colour."""
        self.axes.imshow(image, cmap, aspect="auto", vmin=limits[0], vmax=limits[1], extent=(
            self.lefts[tile], self.rights[tile], self.tops[row] + self.side, self.tops[row]))

    def write(self, row, tile, x, y, text, **kwargs):
        """Text at a place of a tile: (0, 0) is its upper left corner, (1, 1) its lower right."""
        self.axes.text(self.lefts[tile] + x * self.side, self.tops[row] + y * self.side, text, **kwargs)

    def label(self, row, text, fontsize=11):
        """A label to the left of a row."""
        self.write(row, 0, -0.12, 0.5, text, ha="right", va="center", fontsize=fontsize)


def data_set(flags):
    """A run's data set in words."""
    return f"{runs.NUMBER[flags.num_balls]} ball{'s' * (flags.num_balls > 1)}" + ", friction" * flags.friction


def listed(word, values):
    """What some runs have of a word, as "step 10", "steps 10, 20" or, of more than two, "steps 10 to 30"."""
    values = [f"{value:,}" for value in sorted(set(values))]
    return f"{word}{'s' * (len(values) > 1)} " + (
        f"{values[0]} to {values[-1]}" if len(values) > 2 else ", ".join(values))


def title(measured):
    """Of a figure of many runs: data set, steps and seeds of all. measured: (run, numbers) each."""
    step, seed = (listed(word, [numbers[word] for _, numbers in measured]) for word in ("step", "seed"))
    seeds = collections.Counter(series_of(run) + (run.flags.beta,) for run, _ in measured).values()
    return (f"{data_set(measured[0][0].flags)}; {step}; {seed}"
            + f" ({min(seeds)} to {max(seeds)} a point)" * (min(seeds) < max(seeds)))


def title_of(run):
    """Of a figure of one run."""
    variant = f", {run.variant}" if run.variant else ""
    return (f"{run.flags.model}, {data_set(run.flags)}, β = {run.flags.beta:g}{variant}, step {run.step:,}, "
            f"seed {run.flags.seed}")


def series_of(run):
    """The line that a run belongs to in a figure of many: its model, and how it differs besides beta and seed."""
    return run.flags.model, run.variant


def series(measured):
    """(model, variant) -> its rows."""
    return runs.groups(measured, series_of)


def label_of(model, variant):
    return f"{model}, {variant}" if variant else model


def beta_of(run):
    """A run's beta, and how the run differs besides, for a legend."""
    return f"β = {run.flags.beta:g}{', ' * bool(run.variant)}{run.variant}"


def symbol_of(run):
    """A run's marker and line: a diamond and dashes if it is annealed, a triangle if it is another variant."""
    if not run.variant:
        return "o", "-"
    return ("D", (0, (4, 2))) if run.annealed else ("^", "-.")


def wrapped(text, width):
    """A text in lines of at most so many characters, none of which begins with a number."""
    glue = "\N{NO-BREAK SPACE}"
    return "\n".join(textwrap.wrap(re.sub(r" (?=\d)", glue, text), width)).replace(glue, " ")


def legend(figure, handles, columns):
    """A legend below a figure's axes, where it hides nothing. handles: with their labels."""
    figure.legend(handles, [wrapped(handle.get_label(), 44) for handle in handles], loc="outside lower center",
                  ncols=columns, fontsize=9)


def draw_line(axes, run, rows, key, error, number):
    """One line against beta: the mean of `key` over the seeds of each beta (and over factors, where it has them), with
    a bar of the mean of `error` (None: no bars), and a marker for every seed. run: one of the line's; rows: (run,
    numbers) of those that it shows; number: of the line, see `aside`. Returns what goes into the legend."""
    def mean(key, beta):
        return np.mean([np.mean(numbers[key]) for run, numbers in rows if run.flags.beta == beta])

    model, variant = series_of(run)
    label, (symbol, dashes) = label_of(model, variant), symbol_of(run)
    look = {"color": colour_of(model), "linestyle": dashes}
    marker = {"marker": symbol, "markersize": 5, "markerfacecolor": "none" if variant else None}
    betas = sorted({run.flags.beta for run, _ in rows})
    axes.errorbar([beta * aside(number) for beta in betas], [mean(key, beta) for beta in betas],
                  [mean(error, beta) for beta in betas] if error else None, capsize=3, label=label, **look)
    axes.plot([run.flags.beta * aside(number) for run, _ in rows], [np.mean(numbers[key]) for _, numbers in rows],
              linestyle="none", color=look["color"], **marker)
    return Line2D([], [], label=label, **look, **marker)


def aside(number):
    """What the markers' betas of a line are multiplied by, so that they hide no other's."""
    return 1 + 0.02 * ((number + 1) // 2) * (-1) ** number


def beta_axis(axes, measured):
    """An x axis of beta: on a log scale once it spans more than a decade, and never narrower than a factor of two."""
    betas = sorted({run.flags.beta for run, _ in measured})
    if betas[0] > 0 and betas[-1] > 10 * betas[0]:
        axes.set_xscale("log")
        axes.set_xlim(betas[0] / 1.3, betas[-1] * 1.3)
    elif len(betas) == 1:
        axes.set_xlim(betas[0] / 2, max(betas[0] * 1.5, 0.1))
    else:
        margin = 0.06 * (betas[-1] - betas[0])
        axes.set_xlim(betas[0] - margin, betas[-1] + margin)
    axes.set_xticks(betas, [f"{beta:g}" for beta in betas])
    axes.minorticks_off()
    axes.set_xlabel("β")


def plain_ticks(axis):
    """Numbers as 0.2 and 20 on a log axis, and not as powers of ten."""
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    for set_formatter in axis.set_major_formatter, axis.set_minor_formatter:
        set_formatter(lambda value, _: f"{value:g}")


def save(fig, path, shown, dpi=150):
    """Write a PNG, whole or not at all, with run, step and seed of what it shows as metadata. shown: runs."""
    metadata = {"run": ", ".join(run.name for run in shown), "step": ", ".join(str(run.step) for run in shown),
                "seed": ", ".join(str(run.flags.seed) for run in shown)}
    with replacing(path) as new:
        fig.savefig(new, format="png", dpi=dpi, metadata=metadata)
    say(path)


def script(description, draw):
    """The main of a plot script, (words) -> exit code. draw: flags -> whether there was something to draw; it is called
    in matplotlib's own style, whatever the user's is."""
    def main(words=None):
        began = time.perf_counter()
        with default_style():
            drawn = draw(runs.parse_flags(description, words))
        say(f"{os.path.basename(draw.__code__.co_filename)}: {time.perf_counter() - began:.0f} s")
        return 0 if drawn else 1
    return main
