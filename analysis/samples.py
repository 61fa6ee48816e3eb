"""The states and images that every model is measured on: functions of the data set alone, none of the training's."""
import functools

import numpy as np

import architecture
from architecture import tf
from training.seeds import Evaluation, Purpose

SAMPLES = 10_000                # drawn states that scores and maps are over
PAIRS = 10_000                  # pairs of images: half to fit the classifier, half to count
TRAJECTORIES, TEST_FRAMES = 100, 32  # of the test images


@functools.cache
def states_of(data):
    """Every set of states that a code is scored on: the drawn ones, then the two sets of pairs, where there are."""
    pairs = pairs_of(data)
    return [data.draw(Evaluation.STATES.seed, SAMPLES), *(pairs[:2] if pairs else ())]


@functools.cache
def pairs_of(data):
    """Two sets of states that differ in one factor each, and its number; or None."""
    return data.pairs(Evaluation.CHANGES.seed, PAIRS)


@functools.cache
def factor_values(data):
    """[samples, factors]: of the drawn states."""
    return data.factors_of(states_of(data)[0])


def entropy(images):
    """Cross-entropy of images with themselves, the least any model can reach; nats, summed over pixels (the last
    three axes)."""
    p = images.astype(float)
    return -(tf.math.xlogy(p, p) + tf.math.xlog1py(1 - p, -p)).numpy().sum(axis=(-3, -2, -1))


@functools.cache
def test_images(data):
    """The test images [TRAJECTORIES * TEST_FRAMES, *image_shape], the same for every model, and their mean entropy."""
    seeds = [(0, int(Purpose.EVALUATION), i) for i in range(TRAJECTORIES)]
    images = data.render(data.simulate(seeds, TEST_FRAMES)).numpy()
    return images.reshape(-1, *images.shape[2:]), entropy(images).mean()


@functools.cache
def test_noise(latents):
    """Of the codes, the same for all models of as many latents: [TRAJECTORIES * TEST_FRAMES, latents]."""
    return np.concatenate([architecture.normal((TEST_FRAMES, latents), (int(Purpose.EVALUATION), i)).numpy()
                           for i in range(TRAJECTORIES)])
