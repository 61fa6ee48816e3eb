"""The betas below which latents can become active, and what each would encode, worked out from the images alone.

    python -m experiments.critical_beta --figures=figures

prints them for one ball, two balls and 2D shapes, and draws the codes of one ball and of shapes over the data set's
first view: critical_beta_one_ball.png, critical_beta_shapes.png.

Before it learns, a beta-VAE gives every image the same reconstruction: p, the mean image. Let one latent have a small
mean m(x), and move the logits by w z. To second order the loss changes by

    - E[m (x - p)] . w  +  1/2 w . D w  +  beta / 2 E[m^2],      D = diag(p (1 - p)).

The best m is (x - p) . w / beta, which leaves 1/2 w . (D - C / beta) w, C the covariance of the images. So a latent
gains something if, and only if, beta is below the largest eigenvalue of D^-1/2 C D^-1/2. For each of its eigenvectors
v, m = (x - p) . D^-1/2 v is a code that can appear below its eigenvalue.
"""
import os
import sys

import numpy as np

from analysis import map_sheets, maps, metrics, plotting, runs
from ball_generator import Balls
from shape_generator import Shapes
from training import device, folder, process
from training.flags import parse
from training.seeds import Purpose

FLAGS = (runs.FIGURES,)
BATCHES, FRAMES, EVERY = 1000, 128, 8  # of a training, and the frames of each that are looked at
MOST = 6


def critical_betas(images):
    """The eigenvalues, falling, the first the critical beta, [pixels]; and the codes that can appear below the first
    MOST: a function of images [n, pixels] -> [n, MOST]. images: [n, pixels] in [0, 1]. Pixels that are the same in all
    are left out."""
    p = images.mean(axis=0)
    scale = np.where(p * (1 - p) > 1e-9, 1 / np.sqrt(np.maximum(p * (1 - p), 1e-9)), 0)
    betas, vectors = np.linalg.eigh(np.cov(images.T) * scale * scale[:, None])
    weights = scale[:, None] * vectors[:, :-MOST - 1:-1]
    return betas[::-1], lambda others: (others - p) @ weights


def pixels_of(data, states):
    return data.render(states.astype(np.float32)).numpy().reshape(len(states), -1).astype(float)


def draw(data, betas, code, linear):
    """The codes over the data set's first view. linear: share of each that is linear in the factors."""
    view = data.views[0]
    if view.states:
        values = maps.over_view(view, code(pixels_of(data, view.states())))
    else:
        states = data.draw((0, int(Purpose.EVALUATION), 0), 10_000)
        values = maps.average_in_cells(view, view.coordinates(states), 0, 1, code(pixels_of(data, states)))
    title = f"Codes of {data.words} over x (to the right) and y (down), and the β below which each can appear"
    tiles = plotting.Tiles(title, 1, [1] * MOST, 1.4, 0.1, top=0.75)
    for tile, (beta, value) in enumerate(zip(betas[:MOST], values, strict=True)):
        limit = np.nanmax(abs(value))
        tiles.show(0, tile, value, (-limit, limit), map_sheets.colours())
        tiles.write(0, tile, 0.5, -0.04, f"β {beta:.1f}, {linear[tile]:.0%} linear", ha="center", fontsize=9)
    return tiles.figure


def main(words=None):
    flags = parse(__doc__, FLAGS, words)
    folder.check_writable(flags.figures)
    device.set_up()
    for data in Balls(1), Balls(2), Shapes():
        seeds = [(0, int(Purpose.TRAJECTORY), i) for i in range(BATCHES)]
        states = data.simulate(seeds, FRAMES)[:, ::EVERY].reshape(-1, *data.state_shape)
        images = pixels_of(data, states)
        betas, code = critical_betas(images)
        values, codes = data.factors_of(states), code(images)
        print(f"{data.words}: at beta 1, {(betas > 1).sum()} codes can grow")
        numbers = [number for number, factor in enumerate(data.factors) if factor.kind == "number"]
        linear = metrics.linear_r2(values[:, numbers], codes)
        shares = metrics.explained(metrics.Sample(codes, values, data.factors)).T
        for beta, share, by_factor in zip(betas[:MOST], linear, shares, strict=True):
            follows = ", ".join(f"{factor.name} {part:.0%}"
                                for factor, part in zip(data.factors, by_factor, strict=True))
            print(f"{data.words}: below beta {beta:.1f}, a code that is linear in the factors to {share:.0%}; of its "
                  f"variance follow {follows}")
        if data != Balls(2):
            with process.default_style():
                plotting.save(draw(data, betas, code, linear),
                              os.path.join(flags.figures, f"critical_beta_{data.key}.png"), [])
    return 0


if __name__ == "__main__":
    sys.exit(process.run(main))
