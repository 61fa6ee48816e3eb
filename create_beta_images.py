"""What beta does: for each model, the most active latents at every beta.

    python create_beta_images.py --train_dir=./checkpoints/train_store --figures=figures

writes beta_<model>_<data set>.png: a row a beta; in it the three latents of lowest average stddev, each as its response
map (one ball) and as the image that it edits, going through the range that it takes. Of several seeds, the first is
shown. what_beta_does.png is the same of conv on one ball, at a few betas, with up to six active latents. And for every
run of one ball that kept 20 checkpoints or more (main.py --keep=1000), code_<run>.gif: its response maps as they come
to be.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # under PYTHONSAFEPATH too
from training import process  # first: with it, Ctrl-C is a stop, and NumPy computes with one thread

# isort: split

import numpy as np

from analysis import animation, maps, plotting, runs, scores
from training import checkpoints
from training.loader import NONE_ACTIVE
from training.progress import say

LATENTS, VALUES = 3, 5
KEPT = 20  # checkpoints from which on a run has an animation
OVERVIEW, MAPS = (0.1, 1, 8, 32), 6  # betas of conv on one ball, and latents, that what_beta_does.png shows


def rows_of(run):
    """The most active latents of a run: (latent, stddev, response map or None, images [values, 32, 32]) each."""
    latents = run.vae.active[:MAPS]
    if not len(latents):
        return []
    mean, _ = scores.code_of(run.vae)
    responses = [None] * len(latents)
    if run.flags.num_balls == 1:
        responses = maps.response_maps(run.vae, latents)["ball"]
    low, high = maps.ranges(run.vae, latents).T
    images = maps.traverse(run.vae, mean[0], latents, np.linspace(low, high, VALUES, axis=1))
    return list(zip(latents, run.vae.stddev[latents], responses, images, strict=True))


def draw(title, lines):
    """lines: (label, rows_of a run) each."""
    with_maps = any(response is not None for _, rows in lines for _, _, response, _ in rows)
    group = with_maps + VALUES  # columns of a latent
    tiles = plotting.Tiles(title, len(lines), ([1] * group + [-0.3]) * LATENTS, 0.72, 2, 0.35, 0.75)
    limit = max([maps.centred(response)[1] for _, rows in lines for _, _, response, _ in rows if response is not None],
                default=1)
    for line, (label, rows) in enumerate(lines):
        tiles.label(line, label)
        if not rows:
            tiles.write(line, 0, 0, 0.5, NONE_ACTIVE, va="center", fontsize=10)
        for number, (latent, stddev, response, images) in enumerate(rows):
            first = number * group
            tiles.write(line, first, 0, -0.06, f"{maps.symbol(latent)}, stddev {stddev:.2f}", fontsize=9)
            if response is not None:
                tiles.show(line, first, maps.centred(response)[0], (-limit, limit), maps.colours())
            for tile, image in enumerate(images, first + with_maps):
                tiles.show(line, tile, image)
    return tiles.figure


def draw_overview(title, lines):
    """lines: (label, rows_of a run) each."""
    tiles = plotting.Tiles(title, len(lines), [1] * MAPS + [-0.3] + [1] * VALUES, 1, 2.2, 0.12, 0.75)
    limit = max(maps.centred(response)[1] for _, rows in lines for _, _, response, _ in rows)
    for line, (label, rows) in enumerate(lines):
        tiles.label(line, label, 13)
        for tile, (_, _, response, _) in enumerate(rows):
            tiles.show(line, tile, maps.centred(response)[0], (-limit, limit), maps.colours())
        for tile, image in enumerate(rows[0][-1], MAPS):
            tiles.show(line, tile, image)
    tiles.write(0, 0, 0, -0.1, "each active latent's mean over the ball's position", fontsize=12)
    tiles.write(0, MAPS, 0, -0.1, "the first of them, going through its range", fontsize=12)
    return tiles.figure


def draw_all(flags):
    found = [(run,) for run in runs.runs_of(flags.train_dir) if run.vae]
    for (data, model), rows in runs.groups(found, lambda run: (run.data_set, run.flags.model)).items():
        shown = [mine[0][0] for mine in runs.groups(rows, lambda run: (run.variant, run.flags.beta)).values()]
        shown.sort(key=lambda run: (run.variant, run.flags.beta))
        lines = {run.name: (f"β = {run.flags.beta:g}" + bool(run.variant) * f",\n{plotting.wrapped(run.variant, 20)}",
                            rows_of(run)) for run in runs.progress(shown, f"beta_{model}_{data}")}
        title = f"What β does: {model}, {plotting.data_set(shown[0].flags)}, the {LATENTS} most active latents"
        plotting.save(draw(title, [(label, most[:LATENTS]) for label, most in lines.values()]),
                      os.path.join(flags.figures, f"beta_{model}_{data}.png"), shown)
        if (data, model) == ("one_ball", "conv"):
            wanted = [run for run in shown if run.variant or run.flags.beta in OVERVIEW]
            chosen = [run for run in wanted if lines[run.name][1]]
            if chosen:
                plotting.save(draw_overview("What β does: conv, one ball", [lines[run.name] for run in chosen]),
                              os.path.join(flags.figures, "what_beta_does.png"), chosen)
            elif wanted:
                say(f"no what_beta_does.png: {NONE_ACTIVE}")
    for run, in found:
        if len(checkpoints.steps(run.path)) >= KEPT and run.flags.num_balls == 1 and len(run.vae.active):
            frames = animation.grow(run, checkpoints.whole(run.path, run.step))
            animation.save(frames, os.path.join(flags.figures, f"code_{run.name}.gif"), 100)
    return bool(found)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
