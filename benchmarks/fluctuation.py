"""How much a run's reconstruction loss depends on the very step at which it is taken.

    python benchmarks/fluctuation.py checkpoints/train_store_model_all_conv_num_balls_2_beta_1.0

trains on from the newest checkpoint of each run folder named, for 2,000 steps, and evaluates every 50 as
create_error_graph.py does, on the same images and noise. Prints the spread of these losses. The folders are left as
they are; Adam's state has to be in them.
"""
import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import main  # noqa: E402
from analysis import reconstruction, runs  # noqa: E402
from training import checkpoints, data, device, folder, process  # noqa: E402
from training.flags import whole  # noqa: E402


def losses_after(place, evaluations):
    """A run, and its loss after every 50 of the following steps, [evaluations], nats per image."""
    _, xla = device.set_up(folder.read_flags(place), device.load_tensorflow())
    run = runs.read(place)
    if not run.vae:
        raise ValueError(f"{place} {folder.WITHOUT_WEIGHTS}")
    flags, model = run.flags, run.vae.model
    flags.max_step = run.step + evaluations * data.STEPS_PER_CALL
    flags.save_every = flags.report_every = data.STEPS_PER_CALL
    optimizer = main.new_optimizer(flags, model)
    checkpoints.read(checkpoints.parts(model, optimizer=optimizer), checkpoints.newest(run.path)[1])
    train_steps, step, losses = main.make_train_steps(flags, model, optimizer, xla), run.step, []
    for positions, count in data.blocks(flags, step):
        train_steps(positions, step, count)
        step += count
        losses.append(reconstruction.measure(run)["reconstruction_loss"])
    return run, np.array(losses)


def main_of_this():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="run folders, as main.py leaves them")
    parser.add_argument("--evaluations", type=whole(2), default=40, help="%(default)s")
    words = parser.parse_args()
    for place in words.folders:
        try:
            run, losses = losses_after(place, words.evaluations)
        except ValueError as error:
            process.refuse(str(error))
        print(f"{run.name}, {len(losses)} evaluations after step {run.step}: mean {losses.mean():.2f}, standard "
              f"deviation {losses.std(ddof=1):.2f}, {losses.min():.2f} to {losses.max():.2f} nats per image", end="")
        old = runs.published_for("reconstruction_loss", run).get(run.flags.model, {}).get(str(run.flags.beta))
        print(f"; {(losses <= 1.01 * old).sum()} at most 1 % above 2016's" if old else "", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(process.run(main_of_this))
