"""A run's reconstruction loss, on test images that are the same for every model.

    measure(run)                   -> its object in reconstruction_loss.json
    images_of(num_balls, friction) -> the images, and the entropy floor, which no loss can go below
"""
import functools

import numpy as np

import architecture
import ball_generator
from training.device import load_tensorflow
from training.seeds import Purpose

TRAJECTORIES, FRAMES = 100, 32


def entropy(images):
    """Cross-entropy of images with themselves, the least any model can reach; nats, summed over pixels (the last
    three axes)."""
    terms = np.zeros(images.shape)
    grey = (images > 0) & (images < 1)  # black and white ones have none
    p = images[grey].astype(float)
    terms[grey] = p * np.log(p) + (1 - p) * np.log1p(-p)
    return -terms.sum(axis=(-3, -2, -1))


@functools.cache
def images_of(num_balls, friction):
    """The test images [TRAJECTORIES * FRAMES, 32, 32, 1], the same for every model, and their mean entropy."""
    load_tensorflow()
    seeds = [(0, int(Purpose.EVALUATION), i) for i in range(TRAJECTORIES)]
    images = ball_generator.render(ball_generator.simulate(seeds, num_balls, FRAMES, friction)).numpy()
    return images.reshape(-1, *images.shape[2:]), entropy(images).mean()


@functools.cache
def noise_of(latents):
    """Of the codes, the same for all models of as many latents: [TRAJECTORIES * FRAMES, latents]."""
    return np.concatenate([architecture.normal((FRAMES, latents), (int(Purpose.EVALUATION), i)).numpy()
                           for i in range(TRAJECTORIES)])


def measure(run):
    """Mean reconstruction loss, its standard error over the trajectories, and the floor of these images; nats per
    image."""
    images, floor = images_of(run.flags.num_balls, run.flags.friction)
    losses = run.vae.reconstruction_loss(images, noise_of(run.vae.latents))
    losses = losses.astype(float).reshape(TRAJECTORIES, FRAMES).mean(axis=1)
    return {"reconstruction_loss": round(losses.mean(), 4),
            "standard_error": round(losses.std(ddof=1) / np.sqrt(TRAJECTORIES), 4),
            "entropy_floor": round(floor, 4)}
