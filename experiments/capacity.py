"""A comparison with annealing: capacity that rises (Burgess et al. 2018, arXiv 1804.03599).

    python -m experiments.capacity --model=conv --seed=0 --train_dir=./checkpoints/capacity

trains as main.py, with the objective reconstruction + beta * |KL - C|, where C rises linearly from 0 to --capacity in
--capacity_steps. Unless given, beta is 20, and C reaches 9 nats after 50,000 steps. The plot scripts and `load` read
its runs as any others.
"""
import sys

import main
from architecture import tf
from training import process
from training.flags import Flag, integer, real

DEFAULTS = "--beta=20", "--capacity=9", "--capacity_steps=50000"
FLAGS = (  # without defaults, so that they are in the run's name
    Flag("capacity", real("from 0 on", lambda x: x >= 0), None, "C at the end, in nats; here 9 unless given"),
    Flag("capacity_steps", integer(1), None, "the step at which C is reached; here 50000 unless given"),
    *main.FLAGS,
)


def objective(flags, model, reconstruction, kl, step):
    capacity = flags.capacity * tf.minimum(1.0, tf.cast(step, tf.float32) / flags.capacity_steps)
    return main.objective(flags, model, reconstruction, tf.abs(kl - capacity), step)


if __name__ == "__main__":
    sys.exit(process.run(lambda: main.main([*DEFAULTS, *sys.argv[1:]], objective, FLAGS)))
