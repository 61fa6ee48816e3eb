"""A comparison with annealing: capacity that rises (Burgess et al. 2018, arXiv 1804.03599).

    python benchmarks/capacity.py --model=conv --seed=0 --train_dir=./checkpoints/capacity

trains as main.py, with the objective reconstruction + gamma * |KL - C|, where C rises linearly from 0 to --capacity in
--capacity_steps; --beta is not used. The plot scripts and `load` read its runs as any others.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import main  # noqa: E402
from architecture import tf  # noqa: E402
from training import process  # noqa: E402
from training.flags import Flag, real, whole  # noqa: E402

FLAGS = (
    *main.FLAGS,
    Flag("gamma", real("above 0", lambda x: x > 0), 20.0, "weight of the KL term's distance from C"),
    Flag("capacity", real("from 0 on", lambda x: x >= 0), 9.0, "C at the end; nats"),
    Flag("capacity_steps", whole(1), 50000, "the step at which C is reached"),
)


def objective(flags, model, reconstruction, kl, step):
    capacity = flags.capacity * tf.minimum(1.0, tf.cast(step, tf.float32) / flags.capacity_steps)
    return flags.batch_size * (reconstruction + flags.gamma * tf.abs(kl - capacity))


if __name__ == "__main__":
    main.FLAGS, main.objective = FLAGS, objective
    sys.exit(process.run(main.main))
