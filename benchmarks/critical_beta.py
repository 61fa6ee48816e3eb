"""The beta above which no latent can become active, worked out from the images alone.

    python benchmarks/critical_beta.py

Before it learns, a beta-VAE gives every image the same reconstruction: p, the mean image. Let one latent have a small
mean m(x), and move the logits by w z. To second order the loss changes by

    - E[m (x - p)] . w  +  1/2 w . D w  +  beta / 2 E[m^2],      D = diag(p (1 - p)).

The best m is (x - p) . w / beta, which leaves 1/2 w . (D - C / beta) w, C the covariance of the images. So a latent
gains something if, and only if, beta is below the largest eigenvalue of D^-1/2 C D^-1/2. Annealing starts above it.
"""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import ball_generator  # noqa: E402
from training import device, process  # noqa: E402
from training.seeds import Purpose  # noqa: E402

TRAJECTORIES, FRAMES = 1000, 128


def critical_betas(images, most=4):
    """The largest eigenvalues, at each of which another latent can become active. images: [n, pixels] in [0, 1]."""
    p = images.mean(axis=0)
    scale = 1 / np.sqrt(p * (1 - p))
    return np.linalg.eigvalsh(np.cov(images.T) * scale * scale[:, None])[:-most - 1:-1]


def main():
    device.load_tensorflow()
    for num_balls in 1, 2:
        seeds = [(0, int(Purpose.TRAJECTORY), i) for i in range(TRAJECTORIES)]
        positions = ball_generator.simulate(seeds, num_balls, FRAMES)[:, ::8].reshape(-1, num_balls, 2)
        images = ball_generator.render(positions).numpy().reshape(len(positions), -1).astype(float)
        found = ", ".join(f"{beta:.1f}" for beta in critical_betas(images))
        print(f"{num_balls} ball{'s' * (num_balls > 1)}: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(process.run(main))
