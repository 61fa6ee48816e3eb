"""Pictures of what each latent of one run does: maps over the box, and an animation.

    draw_maps: the latents' means as functions of where the balls are
    animate: the decoder's pictures while one latent at a time goes through the range it takes

create_disentanglement_graphs.py draws them for every run.
"""
import os

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

import disentanglement
import experiment
import plotting
from disentanglement import HIGH, LOW

GRID = 60                         # of one ball's map: positions along a side
SAMPLES, CELLS = 50_000, 25       # of more balls' maps: random positions, averaged in cells a side
RARE = 3                          # of which one with fewer positions is left grey
POSITIONS, CODES = (0, experiment.EVALUATION, 103), (0, experiment.EVALUATION, 104)  # seeds
FRAMES, TILE, LINE = 20, 64, 14   # of an animation: frames one way; sides of a tile and height of a name, in dots
RANGE = (0.01, 0.99)              # quantiles of the aggregate posterior that an animation goes through


def response_maps(run, model, latents):
    """The latents' means over the box, by kind of map: [latents, rows, columns], rows along y, downwards as in a
    picture; NaN where no position is.

    One ball: against its position. More: against the balls' centroid and against the separation of two of them, each
    averaged over all else.
    """
    if run.num_balls == 1:
        line = np.linspace(LOW, HIGH, GRID)
        x, y = np.meshgrid(line, line)
        mean, _ = plotting.encode(model, np.column_stack([x.ravel(), y.ravel()])[:, None])
        return {"ball": mean[:, latents].T.reshape(len(latents), GRID, GRID)}
    positions = disentanglement.random_positions(POSITIONS, SAMPLES, run.num_balls)
    mean = plotting.encode(model, positions)[0][:, latents]
    separation = positions[:, 0] - positions[:, 1]
    return {"centroid": average_in_cells(positions.mean(axis=1), LOW, HIGH, mean),
            # Which ball comes first is chance: every sample counts for d and for -d.
            "separation": average_in_cells(np.concatenate([separation, -separation]), LOW - HIGH, HIGH - LOW,
                                           np.concatenate([mean, mean]))}


def average_in_cells(points, low, high, values):
    """Values [samples, latents] averaged over points [samples, 2] in square cells: [latents, rows, columns]."""
    column, row = np.clip((points - low) / (high - low) * CELLS, 0, CELLS - 1).astype(int).T
    cell = row * CELLS + column
    counts = np.bincount(cell, minlength=CELLS ** 2)
    sums = np.array([np.bincount(cell, latent, CELLS ** 2) for latent in values.T])
    return (sums / np.where(counts >= RARE, counts, np.nan)).reshape(-1, CELLS, CELLS)


EXTENT = {"ball": (LOW, HIGH), "centroid": (LOW, HIGH), "separation": (LOW - HIGH, HIGH - LOW)}
CAPTION = {
    1: "Colour: a latent's posterior mean, with the ball centred at (x, y), in a box of 10 × 10; y runs down, as in "
       "the pictures.",
    2: "Colour: a latent's posterior mean, averaged over all pictures whose balls have their centroid at (x, y) (upper "
       "maps), or are apart by (dx, dy) (lower maps; d and −d are the same picture), in a box of 10 × 10. Grey: fewer "
       f"than {RARE} of {SAMPLES:,} pictures."}


def draw_maps(title, maps, texts):
    """Response maps [latents, rows, columns] by kind, all on one colour scale, with a text over each latent's."""
    columns = min(5, len(texts))
    blocks = -(-len(texts) // columns)  # rows of latents; each has a row of axes for every kind of map
    figure, axes = plt.subplots(blocks * len(maps), columns, layout="constrained", squeeze=False,
                                figsize=(max(7, 2.1 * columns + 1.2), (2.1 * len(maps) + 0.55) * blocks + 0.9))
    colours = plt.get_cmap("RdBu_r").with_extremes(bad="0.75")
    limit = max(np.nanmax(np.abs(values)) for values in maps.values())
    for axis in axes.flat:
        axis.set_visible(False)
    for number in range(len(texts)):
        block, column = divmod(number, columns)
        for row, (kind, values) in enumerate(maps.items()):
            axis = axes[block * len(maps) + row, column]
            axis.set_visible(True)
            low, high = EXTENT[kind]
            image = axis.imshow(values[number], cmap=colours, vmin=-limit, vmax=limit, extent=(low, high, high, low))
            difference = "d" * (kind == "separation")
            axis.set_xlabel(f"{difference}x", fontsize=7, labelpad=1)
            if column == 0:
                axis.set_ylabel(f"{kind}'s {difference}y" if kind != "ball" else "y", fontsize=7, labelpad=1)
            axis.tick_params(labelsize=6, length=2)
            if row == 0:
                axis.set_title(texts[number], fontsize=7)
    figure.colorbar(image, ax=axes, shrink=0.5, label="posterior mean")
    figure.suptitle(title, fontsize=9)
    figure.supxlabel(CAPTION[len(maps)], fontsize=7, wrap=True)
    return figure


def animate(model, mean, stddev, latents):
    """Frames, grey pictures in NumPy: in its own tile each latent goes through the range it takes, the others stay as
    in the first picture of the sample. That range: quantiles of the aggregate posterior, the codes sampled for all
    pictures; -3 to 3 is more than most latents ever reach, and shows what the decoder makes up there."""
    import tensorflow as tf
    sampled = mean + stddev * np.random.default_rng(CODES).standard_normal(mean.shape)
    z = np.tile(mean[0], (FRAMES, len(latents), 1))
    for tile, latent in enumerate(latents):
        low, high = np.quantile(sampled[:, latent], RANGE)
        z[:, tile, latent] = (low + high) / 2 - (high - low) / 2 * np.cos(np.linspace(0, np.pi, FRAMES))
    pictures = tf.sigmoid(model.decode(z.reshape(-1, model.latents).astype(np.float32))).numpy()
    pictures = np.uint8(np.round(pictures.reshape(FRAMES, len(latents), 32, 32) * 255))
    columns = min(8, len(latents))
    rows = -(-len(latents) // columns)
    canvas = Image.new("L", (columns * (TILE + 2) - 2, rows * (TILE + LINE)), 255)
    for tile, latent in enumerate(latents):
        corner = tile % columns * (TILE + 2), tile // columns * (TILE + LINE)
        ImageDraw.Draw(canvas).text(corner, f"z{latent}", fill=0)
    frames = []
    for frame in pictures.repeat(TILE // 32, axis=2).repeat(TILE // 32, axis=3):
        frames.append(np.array(canvas))
        for tile, picture in enumerate(frame):
            left, top = tile % columns * (TILE + 2), tile // columns * (TILE + LINE) + LINE
            frames[-1][top:top + TILE, left:left + TILE] = picture
    return frames


def save_animation(frames, path):
    """A GIF that goes there and back for ever, whole or not at all, in 32 greys to keep it small."""
    images = [Image.fromarray(np.uint8(np.round(frame / 255 * 31) * (255 / 31))) for frame in frames + frames[-2:0:-1]]
    images[0].save(path + ".new", format="GIF", save_all=True, append_images=images[1:], duration=60, loop=0)
    os.replace(path + ".new", path)
    print(path)
