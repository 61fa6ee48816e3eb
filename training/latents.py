"""Which latents say something about the images.

    stddev = average_stddev(encode, data)     [latents]
    active(stddev)                            their indices, the most certain first
"""
import numpy as np

from training.seeds import Evaluation

ACTIVE_BELOW = 0.9   # a latent is active if its average posterior stddev is lower; the prior's is 1
FRAMES = 1000        # of the trajectory that it is averaged over (of other data sets than balls: images)
NONE_ACTIVE = "no latent is active: the model has collapsed, or has not left the plateau yet"


def average_stddev(encode, data):
    """[latents]: the posterior's stddev, averaged over one trajectory of 1,000 frames, the same for every model and
    none of the training's. encode: images -> mean, log_variance."""
    states = data.simulate([Evaluation.STDDEV.seed], FRAMES)[0]
    return np.exp(encode(data.render(states))[1].numpy() / 2).mean(axis=0)


def active(stddev):
    """Indices of the active latents, that of the lowest average stddev first."""
    return np.array([latent for latent in np.argsort(stddev) if stddev[latent] < ACTIVE_BELOW], int)
