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

SIDE, GAP = 0.72, 0.12  # of a tile, and between two rows, in inches
SAMPLE = 256            # pixels a side of a sample image
PALE = 0.25             # what is left of the contrast of a row whose latent is not active


def draw(title, latents, stddev, images, unchanged, values, ranges, active):
    """A row of images [values, rows, columns] for each latent, all on one grey scale from 0 to 1; or in colour.

    unchanged: the image that is edited, and values: of its latents, [rows]. ranges: that the latents take, [rows, 2].
    active: [rows]; the others are pale.
    """
    widths, title = [1, -0.9, *[1] * len(VALUES)], plotting.wrapped(title, 54)
    tiles = plotting.Tiles(title, len(latents), widths, SIDE, 0.15, GAP, 0.95 + 0.2 * title.count("\n"))
    columns = range(1, 1 + len(VALUES))
    centres = np.mean([tiles.lefts, tiles.rights], axis=0)[1:]
    tiles.show(0, 0, unchanged)
    tiles.write(0, 0, 0.5, 1.2, "unchanged", ha="center", fontsize=8)
    below = "below a row: the range that the latent takes (grey), and its value in the unchanged image (dot)"
    tiles.write(0, 0, 0, -0.65, below if any(active) else plotting.ON_PLATEAU, fontsize=7)
    tiles.write(0, 3, 0.5, -0.3, "value that the latent is set to", ha="center", fontsize=8)
    tiles.write(0, 1, -0.1, -0.05, "mean stddev", ha="right", fontsize=8)
    for column, value in zip(columns, VALUES, strict=True):
        tiles.write(0, column, 0.5, -0.05, plotting.said(value), ha="center", fontsize=8)
    for row, latent in enumerate(latents):
        tiles.write(row, 1, -0.1, 0.5, f"{stddev[row]:.2f}  {plotting.symbol(latent)}", ha="right", va="center",
                    fontsize=9, color="black" if active[row] else "0.6")
        for column, image in zip(columns, images[row], strict=True):
            tiles.show(row, column, image if active[row] else 1 - PALE * (1 - image))
        if active[row]:
            y = tiles.tops[row] + SIDE + GAP / 2
            tiles.axes.plot(np.interp(ranges[row], VALUES, centres), (y, y), color="0.6", linewidth=2,
                            solid_capstyle="butt")
            tiles.axes.plot(np.interp(values[row], VALUES, centres), y, "o", color="black", markersize=3.5)
    return tiles.figure


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
    plotting.save(figure, os.path.join(figures, f"heat_map_{run.name}.png"), [run])


def draw_all(found, figures):
    device.set_up()
    for data in {run.data: None for run in found}:
        draw_sample(data, os.path.join(figures, f"real_{data.picture}.jpg"))
    return bool(runs.each([run for run in found if run.has_weights], "heat maps", lambda run: draw_run(figures, run)))


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
