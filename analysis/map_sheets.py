"""Response maps as a figure: for every latent a square, or a graph of curves, for each of the data set's views.

    figure = draw(title, data, maps, texts)      maps: of analysis.maps.response_maps
"""
import functools

import numpy as np
from matplotlib import colormaps

from analysis import plotting
from analysis.maps import RARE, centred
from training.pictures import visible

SIDE, GAP, LEFT, RIGHT, FOOT = 2.0, 0.3, 0.75, 1.3, 0.25  # in inches
BELOW = 0.45     # of a square: its ticks and axis
ICON = 0.9       # side of an example's image
COLUMNS = 5


def colours():
    return colormaps["RdBu_r"].with_extremes(bad="0.75")


def draw(title, data, maps, texts):
    """maps: view's name -> the latents' means over it; texts: over each latent's."""
    columns = min(COLUMNS, len(texts))
    blocks = -(-len(texts) // columns)  # rows of latents; each has a row of squares for every view
    head = 0.36 + 0.17 * (title.count("\n") + 1) + (ICON + 0.5) * bool(data.examples)
    above = 0.28 + 0.17 * texts[0].count("\n")
    block = above + len(maps) * (SIDE + BELOW)
    lines = caption_of(data)
    width = LEFT + max(3, columns) * (SIDE + GAP) + RIGHT
    height = head + blocks * block + FOOT + 0.17 * len(lines)
    figure, axes = plotting.sheet(title, width, height)
    draw_examples(axes, data, width, head - ICON - 0.15)
    limit = max((centred(maps[view.name])[1] for view in data.views if len(view.axes) == 2), default=None)
    write = functools.partial(axes.text, ha="center", va="center", fontsize=9)
    image = None
    for number, text in enumerate(texts):
        row, column = divmod(number, columns)
        left, top = LEFT + column * (SIDE + GAP), head + row * block + above
        write(left + SIDE / 2, top - 0.07, text, va="bottom")
        for view in data.views:
            values = maps[view.name][number]
            if len(view.axes) == 2:
                image = axes.imshow(centred(values)[0], cmap=colours(), vmin=-limit, vmax=limit, aspect="auto",
                                    extent=(left, left + SIDE, top + SIDE, top))
                draw_plane(axes, left, top, view, labelled=column == 0)
            else:
                draw_curves(axes, left, top, view, values, maps[view.name], labelled=column == 0)
            top += SIDE + BELOW
    if image:
        bar = figure.add_axes((1 - (RIGHT - 0.3) / width, 0.5 - 0.9 / height, 0.15 / width, 1.8 / height))
        figure.colorbar(image, cax=bar, label="posterior mean, centred")
    write(width / 2, height - 0.12, "\n".join(lines), va="bottom")
    return figure


def caption_of(data):
    """What the colours and curves are, in lines."""
    planes, curves = ([view for view in data.views if len(view.axes) == axes] for axes in (2, 1))
    lines = ["Colour: the latent's posterior mean less its average, " + "; ".join(
        view.words for view in planes) + "."] if planes else []
    lines += ["Curves: the mean " + "; ".join(view.words for view in curves) + "."] if curves else []
    grey = f"Grey: fewer than {RARE} images. " * any(not view.states for view in planes)
    lines.append(grey + f"{planes[0].axes[1].split()[-1]} runs down." if planes else "")
    return [line for text in lines for line in plotting.wrapped(text, 120).split("\n")]


def draw_frame(axes, left, top, view):
    """Frame and x axis of a square; returns where a value of the view is along it, in inches."""
    plotting.frame(axes, left, top, SIDE)
    ticks = np.array(view.ticks)
    places = (ticks - view.low) / (view.high - view.low) * SIDE
    axes.vlines(left + places, top + SIDE, top + SIDE + 0.03, color="black", linewidth=0.8)
    for place, tick in zip(places, ticks, strict=True):
        axes.text(left + place, top + SIDE + 0.06, plotting.said(tick), fontsize=8, ha="center", va="top")
    axes.text(left + SIDE / 2, top + SIDE + 0.2, view.axes[0].split()[-1] if len(view.axes) == 2 else view.axes[0],
              fontsize=9, ha="center", va="top")
    return places, ticks


def draw_plane(axes, left, top, view, labelled):
    """Frame, ticks and names of a map's x and, where labelled, y."""
    places, ticks = draw_frame(axes, left, top, view)
    axes.hlines(top + places, left - 0.03, left, color="black", linewidth=0.8)
    if labelled:
        for place, tick in zip(places, ticks, strict=True):
            axes.text(left - 0.06, top + place, plotting.said(tick), fontsize=8, ha="right", va="center")
        axes.text(left - 0.36, top + SIDE / 2, view.axes[1], fontsize=9, ha="center", va="center", rotation=90)


def draw_curves(axes, left, top, view, values, everyone, labelled):
    """A latent's mean along a line, a curve each [curves, cells]; on one scale for all latents."""
    draw_frame(axes, left, top, view)
    low, top_value = min(-1.0, np.nanmin(everyone)), max(1.0, np.nanmax(everyone))
    labels = view.curves[1] if view.curves else ()
    high = top_value + 0.08 * len(labels) * (top_value - low)  # with room for the labels
    x = left + (np.arange(view.cells) + 0.5) / view.cells * SIDE
    for number, (curve, label) in enumerate(zip(values, labels or [""], strict=True)):
        colour = colormaps["Dark2"](number)
        axes.plot(x, top + SIDE * (high - curve) / (high - low), color=colour, linewidth=1.2)
        if labelled:
            axes.text(left + 0.06, top + 0.1 + 0.14 * number, label, color=colour, fontsize=8, va="center")
    zero = top + SIDE * high / (high - low)
    axes.hlines(zero, left, left + SIDE, color="0.8", linewidth=0.6, zorder=0)
    if labelled:
        for value in (low, 0, top_value):
            axes.text(left - 0.06, top + SIDE * (high - value) / (high - low), plotting.said(round(value, 1)),
                      fontsize=8, ha="right", va="center")
        axes.text(left - 0.42, top + SIDE / 2, "posterior mean", fontsize=9, ha="center", va="center", rotation=90)


def draw_examples(axes, data, width, top):
    """The factors as icons: for each two images that differ in it alone."""
    for number, (name, states) in enumerate(data.examples.items()):
        images = visible(data.render(np.array(states, np.float32)).numpy(), data.image_shape)
        for end, image in enumerate(images):
            left = width * (number + 0.5) / len(data.examples) + (ICON + 0.2) * (end - 1) + 0.1
            axes.imshow(image, "gray", vmin=0, vmax=1, aspect="auto",
                        extent=(left, left + ICON, top + ICON, top))
            axes.text(left + ICON / 2, top - 0.04, f"{name}: {'high' if end else 'low'}", fontsize=8, ha="center",
                      va="bottom")
