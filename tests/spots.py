"""A third data set, small: a spot somewhere around the middle, in one of two channels."""
import dataclasses

import numpy as np

from architecture import tf
from factors import Factor, View


@dataclasses.dataclass(frozen=True)
class Spots:
    """A state is channel, angle, distance."""
    key = picture = words = "spots"
    image_shape = 16, 16, 2
    state_shape = 3,
    factors = (Factor("channel", "class", ("left", "right")), Factor("angle", "angle"), Factor("distance", "number"))
    examples = {"distance": ((0, 1, 1), (0, 1, 5))}

    def constants(self):
        return {"width": 1.0}

    def draw(self, seed, n):
        rng = np.random.default_rng(seed)
        return np.column_stack([rng.integers(0, 2, n), rng.uniform(0, 2 * np.pi, n), rng.uniform(1, 5, n)])

    def simulate(self, seeds, frames):
        return np.stack([self.draw(seed, frames) for seed in seeds]).astype(np.float32)

    def factors_of(self, states):
        return np.asarray(states, float)

    def pairs(self, seed, n):
        first, second, changed = self.draw((*seed, 0), n), self.draw((*seed, 1), n), np.arange(n) % 3
        second[:, 0] = 1 - first[:, 0]
        return first, np.where(np.arange(3) == changed[:, None], second, first), changed

    def render(self, states):
        n, _, channels = self.image_shape
        channel, angle, distance = tf.unstack(tf.cast(states, tf.float32), axis=-1)
        centres = tf.range(n, dtype=tf.float32) + 0.5 - n / 2
        x, y = ((centres - (distance * turn(angle))[..., None]) ** 2 for turn in (tf.cos, tf.sin))
        spots = tf.exp(-(x[..., None, :] + y[..., None]) / 4)                             # [..., 16 rows, 16 columns]
        return spots[..., None] * tf.one_hot(tf.cast(channel, tf.int32), channels)[..., None, None, :]

    @property
    def views(self):
        return (View("place", ("x", "y"), -5, 5, 10, (-4, 0, 4), "with the spot at (x, y)",
                     coordinates=lambda states: states[:, 2:] * np.column_stack([np.cos(states[:, 1]),
                                                                                 np.sin(states[:, 1])])),
                View("angle", ("angle",), 0, 2 * np.pi, 8, (0, 3, 6), "against angle, a curve a channel",
                     coordinates=lambda states: states[:, 1:2],
                     curves=(lambda states: states[:, 0].astype(int), ("left", "right"))),
                View("distance", ("distance",), 1, 5, 5, (1, 3, 5), "against distance, to the right",
                     coordinates=lambda states: states[:, 2:],
                     states=lambda: np.column_stack([np.zeros((5, 2)), np.linspace(1, 5, 5)])))


class Colours(Spots):
    """In the first two of three channels."""
    key = picture = words = "colours"
    image_shape = 24, 24, 3


class Lines(Spots):
    """Of grey images, over which there are no planes."""
    key = picture = words = "lines"
    image_shape = 16, 16, 1
    examples = {}

    @property
    def views(self):
        return super().views[:0:-1]
