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
from training import checkpoints, data, device, process  # noqa: E402
from training.flags import whole  # noqa: E402


def losses_after(place, evaluations, threads):
    """A run, and its loss after every 50 of the following steps, [evaluations], nats per image."""
    run = runs.read(place)
    prefix = checkpoints.newest(place)[1] if run.vae else None
    if not prefix or not checkpoints.has_optimizer(prefix):
        raise ValueError(f"{place} comes without Adam's state, which training on needs")
    flags, model = run.flags, run.vae.model
    flags.threads, flags.save_every, flags.report_every = threads, *[data.STEPS_PER_CALL] * 2
    _, xla = device.set_up(flags, device.load_tensorflow())
    flags.max_step = (run.step // data.STEPS_PER_CALL + evaluations) * data.STEPS_PER_CALL
    optimizer = main.new_optimizer(flags, model)
    checkpoints.read(checkpoints.parts(model, optimizer=optimizer), prefix)
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
    parser.add_argument("--threads", type=whole(0), default=0, help="CPU threads, 0 for all cores")
    words = parser.parse_args()
    device.set_up(main.parse(None, main.FLAGS, [f"--threads={words.threads}"]), device.load_tensorflow())
    for place in words.folders:
        try:
            run, losses = losses_after(place, words.evaluations, words.threads)
        except ValueError as error:
            process.refuse(str(error))
        print(f"{run.name}, {len(losses)} evaluations after step {run.step}: mean {losses.mean():.2f}, standard "
              f"deviation {losses.std(ddof=1):.2f}, {losses.min():.2f} to {losses.max():.2f} nats per image", end="")
        old = runs.of_2016("reconstruction_loss", run)
        print(f"; {(losses <= 1.01 * old).sum()} at most 1 % above 2016's" if old else "", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(process.run(main_of_this))
