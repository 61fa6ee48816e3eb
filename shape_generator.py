"""The paper's 2D shapes: hearts, ovals and squares, from five factors (NumPy), by formulas (TensorFlow).

    simulate, draw: seeds -> states [..., 5]: shape (0 heart, 1 oval, 2 square), scale, orientation in radians,
                    x and y in pixels
    render:         states [..., 5] -> images [..., 64, 64, 1], each pixel 0 or 1

    python shape_generator.py

prints an image of each shape.

A pixel is 1 if its centre is in the shape. Centres are at 0.5, 1.5, ..., 63.5; x runs along columns, y along rows. Let
right and up be the distances from (x, y) to a centre, in units of RADIUS * scale, and t the orientation, which turns a
shape counter-clockwise:

    u =  cos(t) right + sin(t) up
    v = -sin(t) right + cos(t) up

    heart   (u / 0.85)^2 + (v / 0.72 + 0.38 - 0.9 |u / 0.85|)^2 <= 1    an oval, its halves slanted
    oval    u^2 + (v / 0.52)^2 <= 1
    square  max(|u|, |v|) <= sqrt(1/2)

Each fills the circle u^2 + v^2 <= 1.
"""
import dataclasses
import math

import numpy as np

from factors import Factor, View

# The constants of the data. A run's folder records them, and a run is not resumed with others. The paper tells the
# counts and the scales. The rest is ours, searched for such that
# - no two images are equal but for the symmetries of oval and square: at one place, any two differ in 3 pixels or more;
# - no pixel is in doubt: the two sides of a formula differ by 2e-5 or more, 15 times what float32 rounds. So the
#   symmetries are exact, and every device draws the same.
RESOLUTION = 64     # pixels along a side of an image
RADIUS = 10.1       # pixels, of the circle that the largest shapes fill
STEP = 1.25         # pixels from a place to the next, exact in float32; leaves 2.5 pixels to the edge of the image
SMALLEST = 0.5      # of the scales; the largest is 1
SHAPES, SCALES, ORIENTATIONS, PLACES = 3, 6, 40, 32  # how many there are; places along each of x and y
OVAL_HEIGHT = 0.52  # over its width
HEART_WIDTH, HEART_HEIGHT, HEART_LIFT, HEART_SLANT = 0.85, 0.72, 0.38, 0.9  # less of a slant: no cleft in small hearts

# A row a shape. With u / width for u and v / height + lift for v, each is u^2 + (v - slant |u|)^2 <= 1, but the square
# max(|u|, |v|) <= 1.
WIDTH, HEIGHT, LIFT, SLANT = zip(
    (HEART_WIDTH, HEART_HEIGHT, HEART_LIFT, HEART_SLANT),
    (1, OVAL_HEIGHT, 0, 0),
    (math.sqrt(0.5), math.sqrt(0.5), 0, 0), strict=True)
SYMMETRY = np.array([1, 2, 4])  # how often in a turn a shape comes back to itself
SQUARE = 2       # of the shapes
ORIENTATION = 2  # of the factors

_PLACES = RESOLUTION / 2 + STEP * (np.arange(PLACES) - (PLACES - 1) / 2)
VALUES = (np.arange(SHAPES), np.linspace(SMALLEST, 1, SCALES), np.arange(ORIENTATIONS) * (2 * math.pi / ORIENTATIONS),
          _PLACES, _PLACES)  # of each factor
COUNTS = tuple(map(len, VALUES))


def _states(indices):
    """States [..., 5], float32, from the index of each factor's value, [5, ...]."""
    return np.stack([values[index].astype(np.float32) for values, index in zip(VALUES, indices, strict=True)], axis=-1)


@dataclasses.dataclass(frozen=True)
class Shapes:
    """The data set, of 3 * 6 * 40 * 32 * 32 = 737,280 states."""
    key = picture = "shapes"
    words = "2D shapes"
    examples = {}
    image_shape = RESOLUTION, RESOLUTION, 1
    state_shape = len(COUNTS),
    factors = (Factor("shape", "class", ("heart", "oval", "square")), Factor("scale", "number"),
               Factor("orientation", "angle"), Factor("x", "number"), Factor("y", "number"))

    @property
    def views(self):
        half, angle = STEP / 2, math.pi / ORIENTATIONS
        by_shape = (lambda states: np.round(states[:, 0]).astype(int)), self.factors[0].labels
        return (View("place", ("x", "y"), _PLACES[0] - half, _PLACES[-1] + half, PLACES // 2, (16, 32, 48),
                     "of all images whose shape is at (x, y)", coordinates=lambda states: states[:, 3:]),
                View("scale", ("scale",), SMALLEST - 0.05, 1.05, SCALES, tuple(VALUES[1]),
                     "against scale", coordinates=lambda states: states[:, 1:2], curves=by_shape),
                View("orientation", ("orientation",), -angle, 2 * math.pi - angle, ORIENTATIONS, (0, 1.6, 3.1, 4.7),
                     "against orientation in radians, a curve a shape", coordinates=lambda states: states[:, 2:3],
                     curves=by_shape))

    def constants(self):
        """The constants of the data: name -> number."""
        return {"resolution": RESOLUTION, "radius": RADIUS, "step": STEP, "smallest": SMALLEST, "shapes": SHAPES,
                "scales": SCALES, "orientations": ORIENTATIONS, "places": PLACES, "oval_height": OVAL_HEIGHT,
                "heart_width": HEART_WIDTH, "heart_height": HEART_HEIGHT, "heart_lift": HEART_LIFT,
                "heart_slant": HEART_SLANT}

    def simulate(self, seeds, frames):
        """States [len(seeds), frames, 5], float32: each by itself, uniform over all there are.

        seeds: a tuple of non-negative ints each, such as (experiment's seed, purpose, step). A row is a function of its
        own seed alone.
        """
        numbers = [np.random.default_rng(seed).integers(math.prod(COUNTS), size=frames) for seed in seeds]
        return _states(np.unravel_index(numbers, COUNTS))

    def draw(self, seed, n):
        """n states, each by itself: [n, 5]."""
        return self.simulate([seed], n)[0]

    def factors_of(self, states):
        """The factors' values, [n, 5], float64: a state is these."""
        return np.asarray(states, np.float64)

    def pairs(self, seed, n):
        """States [n, 5] and [n, 5] that differ in one factor, and in which, [n]: any of the five, with any of its other
        values that makes another image."""
        rng = np.random.default_rng(seed)
        first = rng.integers(0, np.array(COUNTS)[:, None], (len(COUNTS), n))
        changed = rng.integers(len(COUNTS), size=n)
        count = np.array(COUNTS)[changed]
        # Of every `period` values one shows the same: itself, and an oval after half a turn, a square after a quarter.
        period = np.where(changed == ORIENTATION, count // SYMMETRY[first[0]], count)
        shift = rng.integers(count - count // period)
        second, pair = first.copy(), np.arange(n)
        second[changed, pair] = (first[changed, pair] + 1 + shift + shift // (period - 1)) % count
        return _states(first), _states(second), changed

    def render(self, states):
        """Images of states [..., 5] in float32, any numbers: [..., 64, 64, 1], float32, 0 or 1; a TensorFlow graph."""
        import tensorflow as tf  # not needed to draw states, and seconds to import

        shape, scale, angle, x, y = tf.unstack(states, axis=-1)
        shape = tf.cast(tf.round(shape), tf.int32)
        width, height, lift, slant = (tf.gather(tf.constant(column, tf.float32), shape)[..., None]
                                      for column in (WIDTH, HEIGHT, LIFT, SLANT))
        cos, sin = tf.cos(angle)[..., None], tf.sin(angle)[..., None]
        centres = tf.range(RESOLUTION, dtype=tf.float32) + 0.5
        right = (centres - x[..., None]) / (RADIUS * scale[..., None])                               # [..., 64 columns]
        up = (y[..., None] - centres) / (RADIUS * scale[..., None])                                     # [..., 64 rows]
        u = (cos * right / width)[..., None, :] + (sin * up / width)[..., None]           # [..., 64 rows, 64 columns]
        v = (cos * up / height + lift)[..., None] - (sin * right / height)[..., None, :]
        u = tf.abs(u)
        v = tf.abs(v - slant[..., None] * u)
        size = tf.where((shape == SQUARE)[..., None, None], tf.maximum(u, v), u * u + v * v)
        return tf.cast(size <= 1, tf.float32)[..., None]


if __name__ == "__main__":
    for image in Shapes().render([[shape, 1.0, 0.0, 32.0, 32.0] for shape in (0.0, 1.0, 2.0)]).numpy():
        for upper, lower in image.astype(int).reshape(RESOLUTION // 2, 2, RESOLUTION):
            print("".join(" ▄▀█"[2 * a + b] for a, b in zip(upper, lower, strict=True)))
