"""What the plot scripts share: how a figure is made, titled and saved.

    main = script(__doc__, draw_all)
"""
import re
import textwrap

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from analysis import runs
from architecture import MODELS
from training.folder import replacing
from training.process import default_style
from training.progress import say

OTHER_COLOUR = "0.4"  # of a model that is no more among MODELS
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
ON_PLATEAU = "no latent is active yet in any of them: these runs are still on the plateau, or have collapsed"


def colour_of(model):
    return MODELS[model].colour if model in MODELS else OTHER_COLOUR


def colour_of_beta(beta):
    """The same in every figure: dark blue for 0.1, red for 40, along the logarithm."""
    place = np.clip(np.log(max(beta, 1e-9) / 0.1) / np.log(40 / 0.1), 0, 1)
    return 0.8 * np.array(colormaps["turbo"](0.05 + 0.9 * place)[:3])  # darker: its green is hard to see on white


def symbol(latent):
    """A latent's name in figures: z₇."""
    return "z" + str(latent).translate(SUBSCRIPTS)


def said(number):
    """A number, with a minus sign of its own width."""
    return f"{number:g}".replace("-", "\N{MINUS SIGN}")


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


def ranged(word, values):
    """What some runs have of a word, as "step 10", "steps 10, 20" or, of more than two, "steps 10 to 30"."""
    values = [f"{value:,}" for value in sorted(set(values))]
    return f"{word}{'s' * (len(values) > 1)} " + (
        f"{values[0]} to {values[-1]}" if len(values) > 2 else ", ".join(values))


def caption(shown):
    """Which runs a figure shows: data set, steps, seeds; and what its marks say of them."""
    variants = {run.variant for run in shown}
    text = "; ".join([shown[0].data.words, *([variants.pop()] if len(variants) == 1 and shown[0].variant else []),
                      ranged("step", [run.step for run in shown]), ranged("seed", [run.flags.seed for run in shown])])
    return text + "; hollow: not trained to its end" * any(not finished(run) for run in shown)


def loss_above(floor):
    """The words for a reconstruction loss less the entropy of the images, which black and white ones have none of."""
    return f"reconstruction loss above {floor:.2f}, the images' entropy" if floor else "reconstruction loss"


def finished(run):
    return run.step >= run.flags.max_step


def title_of(run):
    """Of a figure of one run."""
    return f"{run.flags.model}, {run.data.words}, {run.setting}, step {run.step:,}, seed {run.flags.seed}"


def wrapped(text, width):
    """A text in lines of at most so many characters, none of which begins with a number."""
    glue = "\N{NO-BREAK SPACE}"
    return "\n".join(textwrap.wrap(re.sub(r" (?=\d)", glue, text), width)).replace(glue, " ")


def legend(figure, handles, columns):
    """A legend below a figure's axes, where it hides nothing: the figure grows by its height. handles: with their
    labels."""
    labels = [wrapped(handle.get_label(), 44) for handle in handles]
    lines = sum(max(label.count("\n") + 1 for label in labels[row::-(-len(labels) // columns)])
                for row in range(-(-len(labels) // columns)))
    figure.set_figheight(figure.get_figheight() + 0.17 * lines + 0.15)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9)


def against_beta(axes, shown, value, error=None):
    """A point for each run at its beta, a colour a model, hollow where it is not trained to its end; a line through the
    medians over the seeds, between betas that have several. value, error: of a run; without a value it has no point.
    Returns handles for the legend."""
    handles, by_model = [], runs.groups(shown, lambda run: run.flags.model)
    for number, (model, mine) in enumerate(by_model.items()):
        look, place = {"color": colour_of(model)}, aside(number)
        handles.append(Line2D([], [], label=model, marker="o", markersize=5, **look))
        mine = [run for run in mine if value(run) is not None]
        for run in mine:
            axes.errorbar(run.flags.beta * place, value(run), error(run) if error else None, marker="o", markersize=5,
                          markerfacecolor=None if finished(run) else "white", capsize=3, linewidth=1, **look)
        points = {beta: [value(run) for run in group]
                  for beta, group in sorted(runs.groups(mine, lambda run: run.flags.beta).items())}
        for (low, some), (high, others) in zip(points.items(), list(points.items())[1:], strict=False):
            if len(some) > 1 and len(others) > 1:
                axes.plot([low * place, high * place], [np.median(some), np.median(others)], **look)
    return handles


def aside(number):
    """What the markers' betas of a model are multiplied by, so that they hide no other's."""
    return 1 + 0.02 * ((number + 1) // 2) * (-1) ** number


def beta_axis(axes, shown):
    """An x axis of beta: on a log scale once it spans more than a decade, and never narrower than a factor of two; with
    as many of the betas written on it as there is room for."""
    betas = sorted({run.flags.beta for run in shown})
    if betas[0] > 0 and betas[-1] > 10 * betas[0]:
        axes.set_xscale("log")
        axes.set_xlim(betas[0] / 1.3, betas[-1] * 1.3)
        place = np.log
    else:
        margin = 0.06 * (betas[-1] - betas[0]) or max(betas[0] / 2, 0.05)
        axes.set_xlim(betas[0] - margin, betas[-1] + margin)
        place = float
    inch = np.diff(list(map(place, axes.get_xlim())))[0] / (axes.get_position().width * axes.figure.get_figwidth())
    ticks = betas[:1]
    for beta in betas[1:]:
        if place(beta) - place(ticks[-1]) > (0.1 + 0.04 * len(f"{beta:g}{ticks[-1]:g}")) * inch:
            ticks.append(beta)
    axes.set_xticks(ticks, [f"{beta:g}" for beta in ticks])
    axes.minorticks_off()
    axes.set_xlabel("β")


def strips(axes, shown, value):
    """A row for each setting, a dot for each run in it at its value, hollow where it is not trained to its end, and a
    bar at the median. Rows are as tall however many there are."""
    rows = runs.groups(shown, lambda run: run.label)
    for place, mine in enumerate(rows.values()):
        values = [value(run) for run in mine]
        colour = colour_of(mine[0].flags.model)
        if len(mine) > 2:
            axes.plot([np.median(values)] * 2, [place - 0.4, place + 0.4], color="0.6", linewidth=2)
        heights = place + (np.arange(len(mine)) - (len(mine) - 1) / 2) * min(0.15, 0.7 / len(mine))  # that all are seen
        for run, number, height in zip(mine, values, heights, strict=True):
            axes.plot(number, height, "o", markersize=4, color=colour, alpha=0.8,
                      markerfacecolor=None if finished(run) else "white")
    axes.set(ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [wrapped(name, 52) for name in rows], fontsize=8)
    axes.grid(alpha=0.25, axis="x")
    for place in range(len(rows)):
        axes.axhline(place, color="0.9", linewidth=0.8, zorder=0)


def plain_ticks(axis, narrow=False):
    """Numbers as 0.2 and 20 on a log axis, and not as powers of ten; on a narrow one with many decades, these alone,
    and with less than one, a few."""
    low, high = axis.get_view_interval()
    axis.set_minor_locator(LogLocator(subs=() if narrow and high > 40 * low else (2, 5)))
    if narrow and high < 10 * low:
        axis.set_major_locator(MaxNLocator(3))
        axis.set_minor_locator(NullLocator())
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
    """The main of a plot script, (words) -> exit code. draw: (runs, folder of figures) -> whether there was something
    to draw; it is called in matplotlib's own style, whatever the user's is."""
    def main(words=None):
        flags = runs.parse_flags(description, words)
        with default_style():
            found = runs.runs_of(flags.train_dir)
            return 0 if found and draw(found, flags.figures) else 1
    return main
