"""Bouncing balls in a box: the physics (NumPy) and the images (TensorFlow).

    simulate: seeds -> positions [trajectories, frames, balls, 2], box units
    render:   positions [..., balls, 2] -> images [..., 32, 32, 1], intensities in [0, 1]

    python ball_generator.py

prints an image of one ball and one of two.
"""
import numpy as np

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

IMAGE_SHAPE = RESOLUTION, RESOLUTION, CHANNELS
MAX_BALLS = 6     # 7 fit, but 0.001 % of random starts keep their distance: a search without end


def constants():
    """The constants of the data: name -> number."""
    return {"box": BOX, "radius": RADIUS, "resolution": RESOLUTION, "channels": CHANNELS, "lowest_start": LOWEST_START,
            "speed": SPEED, "sub_steps": SUB_STEPS, "sub_step": SUB_STEP, "gravity": GRAVITY, "drag": DRAG}


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
    lower, upper = np.tril_indices(num_balls, -1)
    waiting = np.arange(len(rngs))
    while waiting.size:  # a start takes 1.4 tries on average for one ball, 3,000 for six: many at once
        tries = np.array([rngs[i].uniform(LOWEST_START, BOX, (64, num_balls, 2)) for i in waiting])
        inside = ((tries >= RADIUS) & (tries <= BOX - RADIUS)).all(axis=(2, 3))
        gaps = tries[:, :, lower] - tries[:, :, upper]                              # [waiting, tries, pairs, 2]
        good = inside & ((gaps ** 2).sum(-1) >= (2 * RADIUS) ** 2).all(-1)
        found = good.any(axis=1)
        positions[waiting[found]] = tries[found, good[found].argmax(axis=1)]
        waiting = waiting[~found]
    return positions, velocities


def simulate(seeds, num_balls, frames, friction=False):
    """Positions of the balls along many trajectories at once, [len(seeds), frames, num_balls, 2], float32.

    seeds: one tuple of ints a trajectory, see `starts`. Box units; masses are 1.
    """
    # Trajectories last, so that NumPy's inner loops run along them: [balls, 2, trajectories].
    x, v = (np.ascontiguousarray(np.moveaxis(part, 0, -1)) for part in starts(seeds, num_balls))
    record = np.empty((frames,) + x.shape, np.float32)
    for frame in range(frames):
        record[frame] = x
        for _ in range(SUB_STEPS):
            _sub_step(x, v, friction)
    return np.ascontiguousarray(np.moveaxis(record, -1, 0))


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


def render(positions):
    """Images of balls at positions [..., balls, 2] in float32: [..., 32, 32, 1], float32 in [0, 1]; a TensorFlow graph.

    A ball's intensity at distance d is exp(-(d^2 / RADIUS^2)^4); balls add up, cut at 1. x runs along columns, y along
    rows.
    """
    import tensorflow as tf  # not needed to simulate, and seconds to import

    centres = (tf.range(RESOLUTION, dtype=tf.float32) + 0.5) * (BOX / RESOLUTION)
    squares = ((centres - positions[..., None]) / RADIUS) ** 2                  # [..., balls, 2, 32]
    squares = squares[..., 1, :, None] + squares[..., 0, None, :]               # [..., balls, 32 rows, 32 columns]
    intensities = tf.exp(-tf.square(tf.square(squares)))
    grey = tf.minimum(tf.reduce_sum(intensities, -3), 1.0)                      # [..., 32 rows, 32 columns]
    return tf.stack([grey] * CHANNELS, axis=-1)


if __name__ == "__main__":
    for balls in 1, 2:
        image = render(simulate([(0, 0, 0)], balls, frames=1)[0, 0]).numpy()[..., 0]
        print("\n".join("".join(" .:oO@"[int(5.99 * value)] * 2 for value in row) for row in image))
