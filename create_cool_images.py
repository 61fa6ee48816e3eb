"""Heat maps: what each latent does to the image. And an image of each data set.

    python create_cool_images.py --train_dir=./checkpoints/train_store --figures=figures

writes heat_map_<run>.png for every run: one image's z, in which the ten latents of lowest average stddev, lowest on
top, are each set to -3, -1.5, 0, 1.5 and 3 while the others are kept, decoded. Rows of latents that are not active are
pale. And real_balls_one_balls.jpg, real_balls_two_balls.jpg (of another data set, real_<data set>.jpg).
"""
import os
import sys

import numpy as np

from analysis import maps, plotting, runs
from analysis.measure import VALUES, edit
from training import device, pictures, process, progress
from training.seeds import Evaluation

TILE, GAP = 96, 16    # sides of a tile and of the space between two, in dots
LEFT, RIGHT, TOP, BOTTOM = 150, 24, 140, 40  # margins, in dots
DPI = 150
SAMPLE = 256          # pixels a side of a sample image
PALE = 0.25           # what is left of the contrast of a row whose latent is not active


def draw(title, latents, stddev, images, unchanged, values, ranges, active):
    """A grid of images [rows, values, rows, columns], all on one grey scale from 0 to 1; or in colour.

    unchanged: the image that is edited, and values: of its latents, [rows]. ranges: that the latents take, [rows, 2].
    active: [rows]; the others are pale.
    """
    (rows, columns), step = images.shape[:2], TILE + GAP
    width, height = LEFT + columns * step - GAP + RIGHT, TOP + rows * step - GAP + BOTTOM
    enlarged = np.ix_(*(np.arange(TILE) * side // TILE for side in unchanged.shape[:2]))
    mosaic = np.ones((rows * step - GAP, columns * step - GAP, *unchanged.shape[2:]))
    for row in range(rows):
        for column in range(columns):
            tile = images[row, column][enlarged]
            if not active[row]:
                tile = 1 - PALE * (1 - tile)
            mosaic[row * step:row * step + TILE, column * step:column * step + TILE] = tile
    figure = plotting.figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="none")
    figure.figimage(mosaic, LEFT, BOTTOM, cmap="gray", vmin=0, vmax=1)
    figure.figimage(unchanged[enlarged], 30, height - TOP + 24, cmap="gray", vmin=0, vmax=1)
    lines = figure.add_axes((0, 0, 1, 1), zorder=2, xlim=(0, width), ylim=(height, 0))
    lines.axis("off")

    def write(x, y, text, **kwargs):  # in dots from the upper left
        lines.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": 8, **kwargs})

    def place(value):  # of a value on the line below a row, on which the columns stand at theirs
        return np.interp(value, VALUES, LEFT + np.arange(columns) * step + TILE / 2)

    wrapped, size = plotting.wrapped(title, 54), 8
    if wrapped.count("\n") > 2:
        wrapped, size = plotting.wrapped(title, 80), 5.5
    write(LEFT + (columns * step - GAP) / 2, 36, wrapped, fontsize=size)
    write(LEFT + (columns * step - GAP) / 2, 84, "value that the latent is set to")
    write(78, 12, "unchanged", fontsize=7)
    for column, value in enumerate(VALUES):
        write(LEFT + column * step + TILE / 2, TOP - 18, f"{value:g}".replace("-", "\N{MINUS SIGN}"))
    for row, (latent, spread) in enumerate(zip(latents, stddev, strict=True)):
        colour, y = "black" if active[row] else "0.6", TOP + row * step + TILE
        write(LEFT - 12, y - TILE / 2, f"{spread:.2f}  {plotting.symbol(latent)}", ha="right", color=colour)
        if active[row]:
            lines.plot(place(ranges[row]), (y + GAP / 2, y + GAP / 2), color="0.6", linewidth=2, solid_capstyle="butt")
            lines.plot(place(values[row]), y + GAP / 2, "o", color="black", markersize=3.5)
    write(LEFT - 12, TOP - 2, "mean stddev", fontsize=7, ha="right", va="bottom")
    below = "below a row: the range that the latent takes (grey), and its value in the unchanged image (dot)"
    write(width / 2, height - 14, below if any(active) else plotting.ON_PLATEAU, fontsize=6.5)
    return figure


def draw_sample(data, path):
    """A sample image of a data set, enlarged to 256 pixels a side, or a few more."""
    image = data.render(data.simulate([Evaluation.STDDEV.seed], 1)[0, 0]).numpy()
    times = -(-SAMPLE // len(image))
    pictures.write(path, pictures.visible(image, data.image_shape).repeat(times, axis=0).repeat(times, axis=1))
    progress.say(path)


def draw_run(figures, run):
    vae = run.vae
    latents, z, images = edit(vae)
    images, unchanged = (pictures.visible(some, vae.data.image_shape) for some in (images, vae.decode(z[None])[0]))
    figure = draw(plotting.title_of(run), latents, vae.stddev[latents], images, unchanged, z[latents],
                  maps.ranges(vae, latents), np.isin(latents, vae.active))
    plotting.save(figure, os.path.join(figures, f"heat_map_{run.name}.png"), [run], DPI)


def draw_all(found, figures):
    device.set_up()
    for data in {run.data: None for run in found}:
        draw_sample(data, os.path.join(figures, f"real_{data.picture}.jpg"))
    return bool(runs.each([run for run in found if run.has_weights], "heat maps", lambda run: draw_run(figures, run)))


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
