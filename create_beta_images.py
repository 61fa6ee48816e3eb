"""What beta does: for each model, the most active latents at every beta.

    python create_beta_images.py --train_dir=./checkpoints/train_store --figures=figures

writes what_beta_does_<model>_<data set>.png: a row a beta or variant; in it the means of up to four active latents over
the data set's first view, and the image while the first two go through the ranges that they take.
two_latents_<model>_<data set>.png: images decoded over a grid of the two most active latents, beta constant beside
annealed. Of several seeds, the first is shown. And for every run that kept 20 checkpoints or more (main.py
--keep=1000), code_<run>.gif: its response maps as they come to be.
"""
import os
import sys

import numpy as np

from analysis import animation, map_sheets, maps, plotting, runs
from analysis.measure import KEPT
from training import checkpoints, process
from training.latents import NONE_ACTIVE
from training.pictures import visible
from training.progress import say

MAPS, MOVED, VALUES = 4, 2, 5  # latents as maps, latents that go through their range, and images of that
ROWS = 9    # of a figure
GRID = 7    # images a side


def latents_of(run):
    """The most active latents of a run, their response maps, and images while each goes through its range."""
    latents = run.vae.active[:MAPS]
    if not len(latents):
        return latents, [], []
    moved = latents[:MOVED]
    values = np.linspace(*maps.ranges(run.vae, moved).T, VALUES, axis=1)
    return (latents, maps.response_map(run.vae, run.data.views[0], latents),
            visible(maps.traverse(run.vae, maps.bases(run.vae, moved), moved, values), run.data.image_shape))


def draw(title, rows):
    """rows: (run, latents_of it) each."""
    tiles = plotting.Tiles(title, len(rows), [1] * MAPS + ([-0.3] + [1] * VALUES) * MOVED, 0.62, 2.0, 0.26, 0.8)
    limit = max(maps.centred(responses)[1] for _, (latents, responses, _) in rows if len(latents))
    for row, (run, (latents, responses, images)) in enumerate(rows):
        tiles.label(row, plotting.wrapped(run.setting, 24), 9)
        if not len(latents):
            tiles.write(row, 0, 0, 0.5, NONE_ACTIVE.split(":")[0], va="center", fontsize=9)
        for tile, (latent, response) in enumerate(zip(latents, responses, strict=True)):
            tiles.show(row, tile, maps.centred(response)[0], (-limit, limit), map_sheets.colours())
            tiles.write(row, tile, 0.5, -0.05, plotting.symbol(latent), ha="center", fontsize=8)
        for place, moving in enumerate(images):
            for tile, image in enumerate(moving, MAPS + place * VALUES):
                tiles.show(row, tile, image)
            tiles.write(row, MAPS + place * VALUES, 0, -0.05, f"{plotting.symbol(latents[place])}: low to high",
                        fontsize=8)
    over = " and ".join(rows[0][0].data.views[0].axes)
    above = f"means of up to {MAPS} active latents over {over}: blue low, red high"
    tiles.write(0, 0, 0, -0.35, plotting.wrapped(above, 44), fontsize=8)
    tiles.write(0, MAPS, 0, -0.35, "the image while a latent goes through its range", fontsize=10)
    return tiles.figure


def draw_grids(title, grids):
    """grids: (label, names of what goes along columns and rows, images [GRID, GRID, rows, columns]) each, side by
    side."""
    side, gap = 4.0, 0.5
    figure, axes = plotting.sheet(title, len(grids) * (side + gap) + 0.3, side + 1.15)
    for number, (label, (a, b), images) in enumerate(grids):
        left, top = 0.5 + number * (side + gap), 0.75
        mosaic = np.pad(images, [(0, 0), (0, 0), (0, 1), (0, 1), (0, 0)][:images.ndim], constant_values=1)
        mosaic = np.concatenate(np.concatenate(mosaic, axis=1), axis=1)
        axes.imshow(mosaic, "gray", vmin=0, vmax=1, aspect="auto", extent=(left, left + side, top + side, top))
        axes.text(left + side / 2, top - 0.08, plotting.wrapped(label, 60), ha="center", va="bottom", fontsize=10)
        axes.text(left + side / 2, top + side + 0.08, a, ha="center", va="top", fontsize=9)
        axes.text(left - 0.08, top + side / 2, b, ha="right", va="center", fontsize=9, rotation=-90)
    return figure


def grid_of(run):
    """A row of draw_grids, turned so that what is seen moves to the right along the columns and down along the rows, as
    far as it does: a latent's sign is chance, and so is which of the two comes first."""
    a, b = run.vae.active[:2]
    images = visible(run.vae.grid(a, b, GRID), run.data.image_shape)
    grey = images.reshape(*images.shape[:4], -1).mean(axis=-1)                     # [GRID, GRID, rows, columns]
    places = np.stack([(grey.sum(axis=axis) * np.arange(grey.shape[-1])).sum(axis=-1) for axis in (2, 3)], axis=-1)
    places = places / np.maximum(grey.sum(axis=(2, 3)), 1e-9)[..., None]           # centres of what is seen: x, y
    across, down = (places[:, -1] - places[:, 0]).mean(axis=0), (places[-1] - places[0]).mean(axis=0)
    if abs(across[1]) + abs(down[0]) > abs(across[0]) + abs(down[1]):
        a, b, across, down, images = b, a, down, across, images.swapaxes(0, 1)
    images = images[::1 if down[1] > 0 else -1, ::1 if across[0] > 0 else -1]
    names = [f"{plotting.symbol(latent)}: {'low to high' if forward else 'high to low'}"
             for latent, forward in ((a, across[0] > 0), (b, down[1] > 0))]
    return run.setting, names, images


def draw_all(found, figures):
    found = runs.with_numbers([run for run in found if run.has_weights], "stddev")
    for (key, model), mine in runs.groups(found, lambda run: (run.data.key, run.flags.model)).items():
        words = f"{model}, {mine[0].data.words}"
        firsts = [group[0] for group in runs.groups(mine, lambda run: run.label).values()]
        chosen = [firsts[i] for i in np.unique(np.linspace(0, len(firsts) - 1, ROWS).astype(int))]
        rows = runs.each(chosen, f"what_beta_does_{model}_{key}", latents_of)
        if any(len(latents) for _, (latents, *_) in rows):
            some = f"; {len(rows)} of {len(firsts)} settings" * (len(rows) < len(firsts))
            shown = [run for run, _ in rows]
            plotting.save(draw(f"What β does: {model}, {plotting.caption(shown)}{some}", rows),
                          os.path.join(figures, f"what_beta_does_{model}_{key}.png"), shown)
        else:
            say(f"no what_beta_does_{model}_{key}.png: {NONE_ACTIVE}")
        grids = runs.each(runs.pair(mine), f"two_latents_{model}_{key}", grid_of)
        if grids:
            plotting.save(draw_grids(f"Images decoded over two latents: {words}", [grid for _, grid in grids]),
                          os.path.join(figures, f"two_latents_{model}_{key}.png"), [run for run, _ in grids])
    kept = [run for run in found if len(checkpoints.steps(run.path)) >= KEPT and run.numbers["stddev"]["active"]]
    runs.each(kept, "animations", lambda run: animation.save(
        animation.grow(run), os.path.join(figures, f"code_{run.name}.gif"), 100))
    return bool(found)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
