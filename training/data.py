"""The positions that a training's images are rendered from, as they are needed.

    for positions, count in blocks(flags, step): ...
"""
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import ball_generator
from training.seeds import Purpose

STEPS_PER_CALL = 50        # of the graph; a row of losses.csv each, and the longest wait of a Ctrl-C
STEPS_PER_SIMULATION = 1000


def simulations(flags, step):
    """Positions of the steps from `step` to max_step, [up to STEPS_PER_SIMULATION, batch, balls, 2] at a time; the next
    ones are made while these are trained on."""
    def simulate(first):
        seeds = [(flags.seed, int(Purpose.TRAJECTORY), i)
                 for i in range(first, min(first + STEPS_PER_SIMULATION, flags.max_step))]
        return ball_generator.simulate(seeds, flags.num_balls, flags.batch_size, flags.friction)

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(simulate, step)
        while coming:
            positions = coming.result()
            step += STEPS_PER_SIMULATION
            coming = pool.submit(simulate, step) if step < flags.max_step else None
            yield positions


def blocks(flags, step):
    """Positions for the calls of the graph from `step` to max_step: [STEPS_PER_CALL, batch, balls, 2], of which the
    first `count` are meant. A block ends where a report or a checkpoint is due."""
    chunks, chunk = simulations(flags, step), np.empty((0,))
    while step < flags.max_step:
        count = min([STEPS_PER_CALL - step % STEPS_PER_CALL, flags.max_step - step]
                    + [every - step % every for every in (flags.save_every, flags.report_every)])
        while len(chunk) < count:
            chunk = np.concatenate([chunk, next(chunks)]) if len(chunk) else next(chunks)
        yield np.pad(chunk[:count], [(0, STEPS_PER_CALL - count), (0, 0), (0, 0), (0, 0)]), count
        chunk = chunk[count:]
        step += count
