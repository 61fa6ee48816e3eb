"""How much a run's reconstruction loss depends on the very step at which it is taken.

    python benchmarks/fluctuation.py checkpoints/train_store_model_all_conv_num_balls_2_beta_1.0

trains on from the newest checkpoint of each run folder named, for 2,000 steps, and evaluates every 50 as
create_error_graph.py does, on the same pictures and noise. Prints the spread of these losses. The folders are left as
they are.
"""
import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import create_error_graph  # noqa: E402
import experiment  # noqa: E402
import main  # noqa: E402
import plotting  # noqa: E402


def losses_after(path, evaluations):
    """A run's flags and step, and its loss after every 50 of the following steps, [evaluations], nats a picture."""
    try:
        flags = experiment.read_flags(path)
    except ValueError as error:
        experiment.refuse(f"{path}: {error}")
    start, prefix = experiment.newest(path)
    if prefix is None:
        experiment.refuse(f"{path}: it has no whole checkpoint")
    flags.threads, flags.max_step = 0, start + evaluations * main.STEPS_PER_CALL
    _, xla = main.set_up_device(flags)
    model, optimizer, _ = main.set_up_training(flags, path, prefix)
    run_steps = main.make_train(flags, model, optimizer, xla)
    losses, step = [], start
    for positions in main.simulations(flags, start):
        for block in np.split(positions, len(positions) // main.STEPS_PER_CALL):
            run_steps(block, step, main.STEPS_PER_CALL)
            step += main.STEPS_PER_CALL
            losses.append(create_error_graph.measure("", flags, model, step)["reconstruction_loss"])
    return flags, start, np.array(losses)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="run folders, as main.py leaves them")
    parser.add_argument("--evaluations", type=experiment.whole(2), default=40, help="%(default)s")
    words = parser.parse_args()
    experiment.import_tensorflow()
    for folder in words.folders:
        run, step, losses = losses_after(folder, words.evaluations)
        print(f"{experiment.name(run)}, {len(losses)} evaluations from step {step} to {run.max_step}: mean "
              f"{losses.mean():.2f}, standard deviation {losses.std(ddof=1):.2f}, {losses.min():.2f} to "
              f"{losses.max():.2f} nats a picture", end="")
        published = plotting.published("reconstruction_loss").get(str(run.num_balls), {}).get(run.model, {})
        if str(run.beta) in published:
            print(f"; {(losses <= 1.01 * published[str(run.beta)]).sum()} at most 1 % above 2016's", end="")
        print(flush=True)
