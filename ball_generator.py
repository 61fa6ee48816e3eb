"""Balls that bounce in a box, a data set: the physics (NumPy) and the images (TensorFlow).

    balls = Balls(num_balls=2)
    states = balls.simulate(seeds, frames)     [trajectories, frames, balls, 2]: positions, in box units
    images = balls.render(states)              [..., 32, 32, 1]: intensities in [0, 1]

    python ball_generator.py

prints an image of one ball and one of two.
"""
import dataclasses

import numpy as np

from factors import Factor, View, grid

# The constants of the data. A run's folder records them, and a run is not resumed with others.
BOX = 10.0        # side of the box; every length here is in box units
RADIUS = 1.2      # of a ball
RESOLUTION = 32   # pixels along a side of an image, a multiple of 8
CHANNELS = 1      # grey
LOWEST_START = 2  # no ball starts at a lower x or y, though the walls would let it: a lopsidedness of 2016, kept
SPEED = 0.5       # root of the sum of squares of all velocities at the start
SUB_STEPS = 2     # of a frame
SUB_STEP = 0.5    # time of a sub-step
GRAVITY, DRAG = 0.003, 0.005  # a sub-step, with friction only

LOW, HIGH = RADIUS, BOX - RADIUS  # of a ball's centre, inside the walls
MAX_BALLS = 6     # 7 fit, but 0.001 % of random starts keep their distance: a search without end
NUMBER = "no", "one", "two", "three", "four", "five", "six"
FRAMES = 128      # of a trajectory from which a single image is drawn, with friction


@dataclasses.dataclass(frozen=True)
class Balls:
    """The record of a data set of balls; its fields are the flags that belong to it. A state is the balls' positions,
    [balls, 2]; see training/data_sets.py for what a record answers."""
    num_balls: int = 1
    friction: bool = False

    image_shape = RESOLUTION, RESOLUTION, CHANNELS

    @property
    def key(self):
        return f"{NUMBER[self.num_balls]}_ball" + "_friction" * self.friction

    @property
    def words(self):
        return f"{NUMBER[self.num_balls]} ball{'s' * (self.num_balls > 1)}" + ", friction" * self.friction

    @property
    def picture(self):
        """2016's name of a picture of them, behind real_."""
        return f"balls_{NUMBER[self.num_balls]}_balls" + "_friction" * self.friction

    @property
    def state_shape(self):
        return self.num_balls, 2

    def constants(self):
        found = {"box": BOX, "radius": RADIUS, "resolution": RESOLUTION, "channels": CHANNELS,
                 "lowest_start": LOWEST_START, "speed": SPEED, "sub_steps": SUB_STEPS, "sub_step": SUB_STEP}
        return {**found, "gravity": GRAVITY, "drag": DRAG} if self.friction else found

    def simulate(self, seeds, frames):
        """Positions along many trajectories at once, [len(seeds), frames, balls, 2], float32; masses are 1.

        seeds: a tuple of non-negative ints for each; one int alone gives one trajectory, [frames, balls, 2].
        """
        if isinstance(seeds, int):
            return self.simulate([(seeds,)], frames)[0]
        # Trajectories last, so that NumPy's inner loops run along them: [balls, 2, trajectories].
        x, v = (np.ascontiguousarray(np.moveaxis(part, 0, -1)) for part in starts(seeds, self.num_balls))
        record = np.empty((frames,) + x.shape, np.float32)
        for frame in range(frames):
            record[frame] = x
            for _ in range(SUB_STEPS):
                _sub_step(x, v, self.friction)
        return np.ascontiguousarray(np.moveaxis(record, -1, 0))

    def render(self, states):
        """Images of balls at positions [..., balls, 2]: [..., 32, 32, 1], float32 in [0, 1]; a TensorFlow graph.

        A ball's intensity at distance d is exp(-(d^2 / RADIUS^2)^4); balls add up, cut at 1. x runs along columns, y
        along rows.
        """
        import tensorflow as tf  # not needed to simulate, and seconds to import

        positions = tf.convert_to_tensor(states, tf.float32)
        centres = (tf.range(RESOLUTION, dtype=tf.float32) + 0.5) * (BOX / RESOLUTION)
        squares = ((centres - positions[..., None]) / RADIUS) ** 2                  # [..., balls, 2, 32]
        squares = squares[..., 1, :, None] + squares[..., 0, None, :]               # [..., balls, 32 rows, 32 columns]
        intensities = tf.exp(-tf.square(tf.square(squares)))
        grey = tf.minimum(tf.reduce_sum(intensities, -3), 1.0)                      # [..., 32 rows, 32 columns]
        return tf.stack([grey] * CHANNELS, axis=-1)

    def draw(self, seed, n):
        """Positions drawn one by one, [n, balls, 2]: uniform over the box inside the walls, those that overlap redrawn;
        with friction, a frame each of n trajectories. A function of the seed, a tuple of ints."""
        rng = np.random.default_rng(seed)
        if self.friction:
            trajectories = self.simulate([(*seed, i) for i in range(n)], FRAMES)
            return trajectories[np.arange(n), rng.integers(0, FRAMES, n)].astype(float)
        positions = np.empty((0, *self.state_shape))
        while len(positions) < n:
            tries = rng.uniform(LOW, HIGH, (10000, *self.state_shape))
            positions = np.concatenate([positions, tries[apart(tries)]])
        return positions[:n]

    @property
    def factors(self):
        names = ("x", "y") if self.num_balls == 1 else ("centroid x", "centroid y", "dx² − dy²", "2 dx dy")
        return tuple(Factor(name, "number") for name in names)

    def factors_of(self, states):
        """The factors' values [n, factors] of positions [n, balls, 2].

        One ball: its x and y. An image of more balls is a function of a set without order, in which no ball has a
        number: its factors are the centroid's x and y, and the square of the separation d of two balls as a complex
        number, (dx + i dy)^2, which is the same for d and -d; summed over the pairs.
        """
        if self.num_balls == 1:
            return states[:, 0]
        dx, dy = np.moveaxis(gaps(states), -1, 0)
        return np.column_stack([*states.mean(axis=1).T, (dx ** 2 - dy ** 2).sum(-1), (2 * dx * dy).sum(-1)])

    def pairs(self, seed, n):
        """Pairs of positions of one ball that differ in one coordinate, redrawn uniformly: two of [n, 1, 2], and which
        coordinate it is, [n]. Of more balls there are none, since their factors cannot be set one by one; nor with
        friction."""
        if self.num_balls > 1 or self.friction:
            return None
        rng = np.random.default_rng(seed)
        first = rng.uniform(LOW, HIGH, (n, 1, 2))
        changed = rng.integers(0, 2, n)
        second = first.copy()
        second[np.arange(n), 0, changed] = rng.uniform(LOW, HIGH, n)
        return first, second, changed

    @property
    def views(self):
        ticks = 2, 4, 6, 8
        if self.num_balls == 1:
            cells = 20 if self.friction else 60
            return (View("ball", ("x", "y"), LOW, HIGH, cells, ticks, "with the ball centred at (x, y)",
                         coordinates=lambda states: states[:, 0],
                         states=None if self.friction else lambda: grid(LOW, HIGH, cells)[:, None]),)
        return (View("centroid", ("centroid's x", "centroid's y"), LOW, HIGH, 20, ticks,
                     "of all images whose balls have their centroid at (x, y)",
                     coordinates=lambda states: states.mean(axis=1)),
                View("separation", ("separation's dx", "separation's dy"), LOW - HIGH, HIGH - LOW, 20, (-5, 0, 5),
                     "of all in which one ball is (dx, dy) from another: d and −d are the same image",
                     coordinates=lambda states: gaps(states)[:, 0], mirrored=True))

    @property
    def examples(self):
        """Two states each that differ in one factor alone, where its name does not say enough."""
        if self.num_balls != 2:
            return {}
        both = ((3, 3.6), (3, 6.4)), ((7, 3.6), (7, 6.4)), ((3.6, 3), (6.4, 3)), ((3.6, 7), (6.4, 7)), \
            ((5, 2.6), (5, 7.4)), ((2.6, 5), (7.4, 5)), ((3.3, 6.7), (6.7, 3.3)), ((3.3, 3.3), (6.7, 6.7))
        return {factor.name: pair for factor, pair in zip(self.factors, zip(both[::2], both[1::2], strict=True),
                                                          strict=True)}


def gaps(positions):
    """From one ball to another, of every pair: positions [..., balls, 2] -> [..., pairs, 2]."""
    lower, upper = np.tril_indices(positions.shape[-2], -1)
    return positions[..., lower, :] - positions[..., upper, :]


def apart(positions):
    """Whether no two balls overlap, [...], of positions [..., balls, 2]."""
    return ((gaps(positions) ** 2).sum(-1) >= (2 * RADIUS) ** 2).all(-1)


def starts(seeds, num_balls):
    """Start positions and velocities of many trajectories, [len(seeds), num_balls, 2] each, box units.

    seeds: a tuple of non-negative ints each, such as (experiment's seed, purpose, step). A start is a function of its
    own seed and of num_balls alone.

    Positions are uniform on [LOWEST_START, BOX], all balls redrawn together until every one is inside the walls and no
    two overlap.
    """
    rngs = [np.random.default_rng(seed) for seed in seeds]
    velocities = np.array([rng.standard_normal((num_balls, 2)) for rng in rngs])
    velocities *= SPEED / np.sqrt((velocities ** 2).sum(axis=(1, 2), keepdims=True))

    positions = np.empty_like(velocities)
    waiting = np.arange(len(rngs))
    while waiting.size:  # a start takes 1.4 tries on average for one ball, 3,000 for six: many at once
        tries = np.array([rngs[i].uniform(LOWEST_START, BOX, (64, num_balls, 2)) for i in waiting])
        good = ((tries >= LOW) & (tries <= HIGH)).all(axis=(2, 3)) & apart(tries)   # [waiting, tries]
        found = good.any(axis=1)
        positions[waiting[found]] = tries[found, good[found].argmax(axis=1)]
        waiting = waiting[~found]
    return positions, velocities


def _sub_step(x, v, friction):
    """Move x and v, [balls, 2, trajectories], on by one sub-step, in place."""
    x += SUB_STEP * v
    if friction:
        v[:, 1] += GRAVITY * (x[:, 1] + RADIUS < BOX)
        v -= DRAG * v
    low, high = x - RADIUS < 0, x + RADIUS > BOX
    np.abs(v, out=v, where=low)
    np.negative(np.abs(v), out=v, where=high)
    for i in range(len(x)):
        for j in range(i):
            gap = x[i] - x[j]                                # [2, trajectories]
            square = gap[0] * gap[0] + gap[1] * gap[1]
            hit = square < (2 * RADIUS) ** 2
            if hit.any():
                # Equal masses: the velocity components along the gap change places, also when already parting.
                along = ((v[i] - v[j]) * gap).sum(0)
                push = np.where(hit, along / square, 0) * gap
                v[i] -= push
                v[j] += push


if __name__ == "__main__":
    for count in 1, 2:
        data = Balls(count)
        image = data.render(data.simulate(0, frames=1)[0]).numpy()[..., 0]
        print("\n".join("".join(" .:oO@"[int(5.99 * value)] * 2 for value in row) for row in image))
