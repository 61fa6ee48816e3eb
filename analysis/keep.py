"""Keep the results of finished runs without the bulk of their folders.

    python -m analysis.keep --train_dir=./checkpoints/train_store

writes a folder for every finished run, under --kept, which the plot scripts and `load` read as any other: flags.json,
losses.csv, numbers.json (measured now, if it was not yet), and, of those that --weights names, the weights in float16,
without the optimizer's state.
"""
import os
import shutil
import sys

import numpy as np

from analysis import runs
from training import checkpoints, folder, process
from training.flags import Flag, parse, path
from training.progress import say

FLAGS = (
    runs.TRAIN_DIRS,
    Flag("kept", path, runs.SHIPPED, "prefix of the folders to write"),
    Flag("weights", str, [], "a run to keep the weights of, by its name; may be given more than once", many=True),
)


def keep(run, place, with_weights):
    """Write the folder `place` of a run."""
    step, values = checkpoints.newest(run.path)
    if values is None:
        raise ValueError(folder.why_not_loaded(run.path))
    if step < run.flags.max_step:
        raise ValueError(f"it is at step {step} of {run.flags.max_step}")
    numbers = run.numbers
    os.makedirs(place, exist_ok=True)
    for file in "flags.json", "losses.csv", folder.NUMBERS:
        shutil.copy(os.path.join(run.path, file), place)
    if with_weights:
        weights = {key: value.astype(np.float16) for key, value in values.items() if not key.startswith("optimizer/")}
        with folder.replacing(checkpoints.file_of(place, step)) as new, open(new, "wb") as file:
            np.savez(file, **weights)
    say(f"{place}: {', '.join(numbers)}")


def main(words=None):
    """Returns 0 if all that was asked for was kept."""
    flags = parse(__doc__, FLAGS, words)
    found = runs.runs_of(flags.train_dir)
    unknown = set(flags.weights) - {run.name for run in found}
    if unknown:
        process.refuse(f"--weights: there is no run {', '.join(sorted(unknown))}")
    kept = runs.each(found, "keeping", lambda run: keep(run, f"{flags.kept}_{run.name}", run.name in flags.weights))
    return 0 if len(kept) == len(found) else 1


if __name__ == "__main__":
    sys.exit(process.run(main))
