"""Response maps and traversals: what each latent encodes, as images.

    response_maps(vae, latents) -> kind of map: [latents, rows, columns], posterior means over the box
    traverse(vae, z, values)    -> [latents, values, 32, 32], images of codes with one latent changed
"""
import functools

import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Circle

from analysis import metrics, plotting
from analysis.metrics import HIGH, LOW
from analysis.scores import SAMPLES, code_of, positions_of
from training.seeds import Evaluation

GRID = 60                         # of one ball's map: positions along a side
CELLS = 20                        # a side, of more balls' maps: random positions are averaged in them
RARE = 3                          # of which one with fewer positions is left grey
RANGE = (0.01, 0.99)              # quantiles of the aggregate posterior: the range that a latent takes
EXTENT = {"ball": (LOW, HIGH), "centroid": (LOW, HIGH), "separation": (LOW - HIGH, HIGH - LOW)}
TICKS = {"ball": (2, 4, 6, 8), "centroid": (2, 4, 6, 8), "separation": (-5, 0, 5)}
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
CAPTION = {
    1: "Colour: the latent's posterior mean with the ball centred at (x, y), less its average over the box. y runs "
       "down, as in the images.",
    2: "Colour: the latent's posterior mean less its average; above, of all images whose balls have their centroid at\n"
       "(x, y); below, of all in which one is (dx, dy) from another: d and −d are the same image. Grey: fewer than "
       f"{RARE} images."}


def response_maps(vae, latents):
    """The latents' means over the box, by kind of map: [latents, rows, columns], rows along y, downwards as in an
    image; NaN where no position is.

    One ball: against its position. More: against the balls' centroid and against the separation of two of them, each
    averaged over all else.
    """
    if vae.flags.num_balls == 1:
        return {"ball": over_box(code_over_box(vae)[:, latents])}
    positions, mean = positions_of(vae.flags.num_balls)[0], code_of(vae)[0][:, latents]
    separation = positions[:, 0] - positions[:, 1]
    return {"centroid": average_in_cells(positions.mean(axis=1), LOW, HIGH, mean),
            # Which ball comes first is chance: every sample counts for d and for -d.
            "separation": average_in_cells(np.concatenate([separation, -separation]), LOW - HIGH, HIGH - LOW,
                                           np.concatenate([mean, mean]))}


@functools.cache
def code_over_box(vae):
    """The means of the images at grid_of_positions, [GRID ** 2, latents]."""
    return vae.encode_positions(grid_of_positions())[0]


def over_box(code):
    """A code of the images at grid_of_positions [GRID ** 2, latents] as maps [latents, GRID, GRID]."""
    return code.T.reshape(-1, GRID, GRID)


def grid_of_positions():
    """Every place of one ball, row by row as in an image: [GRID ** 2, 1, 2]."""
    line = np.linspace(LOW, HIGH, GRID)
    x, y = np.meshgrid(line, line)
    return np.column_stack([x.ravel(), y.ravel()])[:, None]


def average_in_cells(points, low, high, values):
    """Values [samples, latents] averaged over points [samples, 2] in square cells: [latents, rows, columns]."""
    column, row = np.clip((points - low) / (high - low) * CELLS, 0, CELLS - 1).astype(int).T
    cell = row * CELLS + column
    counts = np.bincount(cell, minlength=CELLS ** 2)
    sums = np.array([np.bincount(cell, latent, CELLS ** 2) for latent in values.T])
    return (sums / np.where(counts >= RARE, counts, np.nan)).reshape(-1, CELLS, CELLS)


def centred(maps):
    """Maps [..., rows, columns] less the average of each, and the limit of their common colour scale: at least 1, so
    that a latent that does nothing is white."""
    values = maps - np.nanmean(maps, axis=(-2, -1), keepdims=True)
    return values, max(1.0, float(np.nanmax(np.abs(values))))


def colours():
    return colormaps["RdBu_r"].with_extremes(bad="0.75")


SIDE, GAP, LEFT, RIGHT, FOOT = 2.0, 0.3, 0.75, 1.3, 0.6  # of draw_maps, in inches


def draw_maps(title, maps, texts):
    """Response maps [latents, rows, columns] by kind, on one colour scale, with a text over each latent's."""
    columns = min(5, len(texts))
    blocks = -(-len(texts) // columns)  # rows of latents; each has a row of squares for every kind of map
    head = 0.36 + 0.17 * (title.count("\n") + 1)
    above = 0.28 + 0.17 * texts[0].count("\n")
    block = above + len(maps) * (SIDE + 0.45)
    sketch = 1.3 * (len(maps) > 1)
    width, height = LEFT + max(3, columns) * (SIDE + GAP) + RIGHT, head + blocks * block + FOOT + sketch
    figure, axes = plotting.sheet(title, width, height)
    limit = max(centred(values)[1] for values in maps.values())
    write = functools.partial(axes.text, ha="center", va="center", fontsize=9)
    for number, text in enumerate(texts):
        row, column = divmod(number, columns)
        left, top = LEFT + column * (SIDE + GAP), head + row * block + above
        write(left + SIDE / 2, top - 0.07, text, va="bottom")
        for kind, values in maps.items():
            image = axes.imshow(centred(values[number])[0], cmap=colours(), vmin=-limit, vmax=limit, aspect="auto",
                                extent=(left, left + SIDE, top + SIDE, top))
            draw_scale(axes, left, top, kind, labelled=column == 0)
            top += SIDE + 0.45
    bar = figure.add_axes((1 - (RIGHT - 0.3) / width, 0.5 - 0.9 / height, 0.15 / width, 1.8 / height))
    figure.colorbar(image, cax=bar, label="posterior mean, centred")
    write(width / 2, height - sketch - 0.12, CAPTION[len(maps)], va="bottom")
    if sketch:
        draw_factors(axes, width, height)
    return figure


def draw_scale(axes, left, top, kind, labelled):
    """Frame, ticks and names of a map's x and, where labelled, y."""
    plotting.frame(axes, left, top, SIDE)
    low, high = EXTENT[kind]
    ticks = np.array(TICKS[kind])
    places = (ticks - low) / (high - low) * SIDE
    axes.vlines(left + places, top + SIDE, top + SIDE + 0.03, color="black", linewidth=0.8)
    axes.hlines(top + places, left - 0.03, left, color="black", linewidth=0.8)
    difference = "d" * (kind == "separation")
    for place, tick in zip(places, ticks, strict=True):
        axes.text(left + place, top + SIDE + 0.06, f"{tick}", fontsize=8, ha="center", va="top")
        if labelled:
            axes.text(left - 0.06, top + place, f"{tick}", fontsize=8, ha="right", va="center")
    axes.text(left + SIDE / 2, top + SIDE + 0.2, f"{difference}x", fontsize=9, ha="center", va="top")
    if labelled:
        name = "y" if kind == "ball" else f"{kind}'s {difference}y"
        axes.text(left - 0.36, top + SIDE / 2, name, fontsize=9, ha="center", va="center", rotation=90)


def draw_factors(axes, width, height):
    """At the foot of a sheet, the factors of two balls: two images each that differ in one of them."""
    pairs = {"centroid x": ((3, 3.6, 3, 6.4), (7, 3.6, 7, 6.4)), "centroid y": ((3.6, 3, 6.4, 3), (3.6, 7, 6.4, 7)),
             "dx² − dy²": ((5, 2.6, 5, 7.4), (2.6, 5, 7.4, 5)), "2 dx dy": ((3.3, 6.7, 6.7, 3.3), (3.3, 3.3, 6.7, 6.7))}
    side, top = 0.9, height - 1
    for number, (name, both) in enumerate(pairs.items()):
        for end, balls in enumerate(both):
            left = width * (number + 0.08 + 0.45 * end) / len(pairs)
            plotting.frame(axes, left, top, side)
            for x, y in zip(balls[::2], balls[1::2], strict=True):
                axes.add_patch(Circle((left + x / 10 * side, top + y / 10 * side), 0.12 * side, color="0.2"))
            axes.text(left + side / 2, top - 0.04, f"{name}: {'high' if end else 'low'}", fontsize=8, ha="center",
                      va="bottom")


def ranges(vae, latents):
    """[latents, 2]: the range that each latent takes, quantiles of the aggregate posterior: of the codes sampled for
    the images at random positions. (−3 to 3 is more than most latents ever reach.)"""
    mean, stddev = (values[:, latents] for values in code_of(vae))
    return np.quantile(mean + stddev * noise_of(vae.latents)[:, latents], RANGE, axis=0).T


@functools.cache
def noise_of(latents):
    """Of the sampled codes, the same for all models of as many latents: [samples, latents]."""
    return np.random.default_rng(Evaluation.CODES.seed).standard_normal((SAMPLES, latents))


def traverse(vae, z, latents, values):
    """Images [latents, values, 32, 32] of a code z [latents of the model], each with one latent set to each of its
    values [latents, values]."""
    codes = np.tile(z, (*np.shape(values), 1))
    for row, latent in enumerate(latents):
        codes[row, :, latent] = values[row]
    images = vae.decode(codes.reshape(-1, vae.latents))
    return images.reshape(*np.shape(values), *images.shape[1:])


def symbol(latent):
    """Its name in figures: z₇."""
    return "z" + str(latent).translate(SUBSCRIPTS)


def texts_of(vae, latents):
    """Over each latent's map: what it is, and the share of its variance that follows each factor."""
    _, names, factors = positions_of(vae.flags.num_balls)
    mean, stddev = (values[:, latents] for values in code_of(vae))
    kl = ((mean ** 2 + stddev ** 2 - 1) / 2 - np.log(stddev)).mean(axis=0)
    shares = metrics.explained(mean, factors)
    texts = []
    for place, latent in enumerate(latents):
        parts = [f"{name} {share:.0%}" for name, share in zip(names, shares[:, place], strict=True)]
        lines = [", ".join(parts[i:i + 2]) for i in range(0, len(parts), 2)]
        texts.append("\n".join([f"{symbol(latent)}: stddev {stddev[:, place].mean():.2f}, KL {kl[place]:.1f} nats",
                                *lines]))
    return texts
