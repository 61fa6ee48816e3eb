"""The states that a training's images are rendered from, as they are needed.

    for states, count in blocks(flags, data, step): ...
"""
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from training.seeds import Purpose

STEPS_PER_CALL = 50        # of the graph; a row of losses.csv each, and the longest wait of a Ctrl-C
STEPS_PER_SIMULATION = 1000


def simulations(flags, data, step):
    """States of the steps from `step` to max_step, [up to STEPS_PER_SIMULATION, batch, *state_shape] at a time; the
    next ones are made while these are trained on."""
    def simulate(first):
        seeds = [(flags.seed, Purpose.TRAJECTORY, i)
                 for i in range(first, min(first + STEPS_PER_SIMULATION, flags.max_step))]
        return data.simulate(seeds, flags.batch_size)

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(simulate, step)
        while coming:
            states = coming.result()
            step += STEPS_PER_SIMULATION
            coming = pool.submit(simulate, step) if step < flags.max_step else None
            yield states


def blocks(flags, data, step):
    """States for the calls of the graph from `step` to max_step: [STEPS_PER_CALL, batch, *state_shape], of which the
    first `count` are meant. A block ends where a report or a checkpoint is due."""
    chunks, chunk = simulations(flags, data, step), np.empty((0,))
    while step < flags.max_step:
        count = min([STEPS_PER_CALL - step % STEPS_PER_CALL, flags.max_step - step]
                    + [every - step % every for every in (flags.save_every, flags.report_every)])
        while len(chunk) < count:
            chunk = np.concatenate([chunk, next(chunks)]) if len(chunk) else next(chunks)
        yield np.pad(chunk[:count], [(0, STEPS_PER_CALL - count)] + [(0, 0)] * (chunk.ndim - 1)), count
        chunk = chunk[count:]
        step += count
