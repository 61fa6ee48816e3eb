"""The betas below which latents can become active, and what each would encode, worked out from the images alone.

    python benchmarks/critical_beta.py --figures=figures

prints them for one ball and for two, and draws the codes of one ball as critical_beta.png.

Before it learns, a beta-VAE gives every image the same reconstruction: p, the mean image. Let one latent have a small
mean m(x), and move the logits by w z. To second order the loss changes by

    - E[m (x - p)] . w  +  1/2 w . D w  +  beta / 2 E[m^2],      D = diag(p (1 - p)).

The best m is (x - p) . w / beta, which leaves 1/2 w . (D - C / beta) w, C the covariance of the images. So a latent
gains something if, and only if, beta is below the largest eigenvalue of D^-1/2 C D^-1/2. For each of its eigenvectors
v, m = (x - p) . D^-1/2 v is a code that can appear below its eigenvalue.
"""
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import ball_generator  # noqa: E402
from analysis import maps, metrics, plotting, scores  # noqa: E402
from training import device, folder, process  # noqa: E402
from training.flags import Flag, parse, path  # noqa: E402
from training.seeds import Purpose  # noqa: E402

FLAGS = (Flag("figures", path, "./figures", "folder of the figure"),)
TRAJECTORIES, FRAMES, EVERY = 1000, 128, 8
MOST = 6


def critical_betas(images):
    """The eigenvalues, falling, the first the critical beta, [pixels]; and the codes that can appear below the first
    MOST: a function of images [n, pixels] -> [n, MOST]. images: [n, pixels] in [0, 1]."""
    p = images.mean(axis=0)
    scale = 1 / np.sqrt(p * (1 - p))
    betas, vectors = np.linalg.eigh(np.cov(images.T) * scale * scale[:, None])
    weights = scale[:, None] * vectors[:, :-MOST - 1:-1]
    return betas[::-1], lambda others: (others - p) @ weights


def draw(betas, code, linear):
    """The codes over the ball's position. linear: share of each that is linear in x and y."""
    values = maps.over_box(code(scores.pixels_of(maps.grid_of_positions())))
    title = "Codes of one ball over its x (to the right) and y (down), and the β below which each can appear"
    tiles = plotting.Tiles(title, 1, [1] * MOST, 1.6, 0.1, top=0.75)
    for tile, (beta, value) in enumerate(zip(betas[:MOST], values, strict=True)):
        limit = abs(value).max()
        tiles.show(0, tile, value, (-limit, limit), maps.colours())
        tiles.write(0, tile, 0.5, -0.04, f"β {beta:.1f}, {linear[tile]:.0%} linear", ha="center", fontsize=10)
    return tiles.figure


def main(words=None):
    flags = parse(__doc__, FLAGS, words)
    folder.check_writable(flags.figures)
    device.load_tensorflow()
    for num_balls in 1, 2:
        seeds = [(0, int(Purpose.TRAJECTORY), i) for i in range(TRAJECTORIES)]
        positions = ball_generator.simulate(seeds, num_balls, FRAMES)[:, ::EVERY].reshape(-1, num_balls, 2)
        images = scores.pixels_of(positions).astype(float)
        betas, code = critical_betas(images)
        factors = metrics.factors_of(positions)[1]
        print(f"{num_balls} ball{'s' * (num_balls > 1)}: at beta 1, {(betas > 1).sum()} codes can grow")
        linear = metrics.linear_r2(factors, code(images))
        for beta, share in zip(betas[:MOST], linear, strict=True):
            print(f"{num_balls} ball{'s' * (num_balls > 1)}: below beta {beta:.1f}, a code that is linear in the "
                  f"factors to {share:.0%}")
        if num_balls == 1:
            with process.default_style():
                plotting.save(draw(betas, code, linear), os.path.join(flags.figures, "critical_beta.png"), [])
    return 0


if __name__ == "__main__":
    sys.exit(process.run(main))
