"""Heat maps: what each latent does to the picture.

    python create_cool_images.py --train_dir=./checkpoints/train_store --figures=figures

writes heat_map_<run>.png for every run: one picture's z, in which the ten latents of lowest average stddev, lowest on
top, are each set to -3, -1.5, 0, 1.5 and 3 while the others are kept, decoded.
"""
import os
import sys

import matplotlib.pyplot as plt
import numpy as np

import experiment
import plotting

VALUES = (-3, -1.5, 0, 1.5, 3)
ROWS = 10
FRAMES = 128        # of the trajectory that stddevs are averaged over; its first picture is the one changed
TILE, GAP = 96, 6   # sides of a tile, three dots a pixel, and of the space between two, in dots
LEFT, RIGHT, TOP, BOTTOM = 150, 24, 120, 12  # margins, in dots
DPI = 150


def traverse(flags, model):
    """Indices of the latents of lowest average stddev, those stddevs, and pictures [rows, values, 32, 32] in [0, 1]."""
    import tensorflow as tf

    import architecture
    mean, stddev = plotting.encode(model, plotting.trajectory(flags, FRAMES))
    average = stddev.mean(axis=0)
    order = np.argsort(average)[:ROWS]
    noise = architecture.normal((model.latents,), (experiment.EVALUATION, 0)).numpy()
    z = np.tile(mean[0] + noise * stddev[0], (len(order), len(VALUES), 1))
    for row, latent in enumerate(order):
        z[row, :, latent] = VALUES
    pictures = tf.sigmoid(model.decode(z.reshape(-1, model.latents))).numpy()
    return order, average[order], pictures.reshape(len(order), len(VALUES), 32, 32)


def draw(title, latents, stddev, pictures):
    """A grid of pictures [rows, values, 32, 32], all on one grey scale from 0 to 1."""
    rows, columns = pictures.shape[:2]
    step = TILE + GAP
    width, height = LEFT + columns * step - GAP + RIGHT, TOP + rows * step - GAP + BOTTOM
    mosaic = np.ones((rows * step - GAP, columns * step - GAP))
    for row in range(rows):
        for column in range(columns):
            tile = np.kron(pictures[row, column], np.ones((TILE // 32, TILE // 32)))
            mosaic[row * step:row * step + TILE, column * step:column * step + TILE] = tile
    figure = plt.figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.figimage(mosaic, LEFT, BOTTOM, cmap="gray", vmin=0, vmax=1)

    def write(x, y, text, **kwargs):  # in dots from the upper left
        figure.text(x / width, 1 - y / height, text, **{"ha": "center", "va": "center", "fontsize": 8, **kwargs})

    middle = LEFT + (columns * step - GAP) / 2
    write(middle, 26, title, fontsize=9)
    write(middle, 66, "value the latent is set to")
    for column, value in enumerate(VALUES):
        write(LEFT + column * step + TILE / 2, TOP - 18, f"{value:g}".replace("-", "\N{MINUS SIGN}"))
    write(LEFT - 12, TOP - 18, "mean stddev", fontsize=7, ha="right")
    for row, (latent, value) in enumerate(zip(latents, stddev)):
        write(LEFT - 12, TOP + row * step + TILE / 2, f"{value:.2f}  $z_{{{latent}}}$", ha="right")
    return figure


def main():
    flags = plotting.parse_flags(__doc__)
    drawn = 0
    for name, run, model, step in plotting.restore_all(flags.train_dir):
        title = f"{run.model}, {plotting.data_set(run)}, $\\beta$ = {run.beta:g}\nstep {step:,}, seed {run.seed}"
        figure = draw(title, *traverse(run, model))
        plotting.save_figure(figure, os.path.join(flags.figures, f"heat_map_{name}.png"),
                             {name: {"step": step, "seed": run.seed}}, DPI)
        drawn += 1
    return plotting.finish(drawn, flags.train_dir)


if __name__ == "__main__":
    sys.exit(main())
