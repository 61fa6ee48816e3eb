"""Keep the results of finished runs without the bulk of their folders.

    python -m analysis.keep --train_dir=./checkpoints/train_store

writes a folder for every finished run, under --kept, which the plot scripts and `load` read as any other: flags.json,
losses.csv, numbers.json (measured now, if it was not yet), and the weights alone, without the optimizer's state, where
they are small and the seed is 0, or where --weights names the run; in float16, where --half names it.
"""
import os
import shutil
import sys

import numpy as np

from analysis import runs
from training import checkpoints, folder, process
from training.flags import Flag, parse, path
from training.progress import say


def names(word):
    return word.split(",")


FLAGS = (
    runs.TRAIN_DIRS,
    Flag("kept", path, runs.SHIPPED, "prefix of the folders to write"),
    Flag("weights", names, [], "names of more runs, with commas between, to keep weights of"),
    Flag("half", names, [], "of these, those to keep in float16"),
)
SMALL = 1_000_000  # bytes of weights


def keep(run, place, always, half):
    """Write the folder `place` of a run. always: whether to keep the weights whatever their size and the run's seed;
    half: whether in float16."""
    step, values = checkpoints.newest(run.path)
    if values is None:
        raise ValueError(folder.why_not_loaded(run.path))
    if step < run.flags.max_step:
        raise ValueError(f"it is at step {step} of {run.flags.max_step}")
    numbers = run.numbers
    weights = {name: value for name, value in values.items() if not name.startswith("optimizer/")}
    size = sum(value.nbytes for value in weights.values())
    os.makedirs(place, exist_ok=True)
    for file in "flags.json", "losses.csv", folder.NUMBERS:
        shutil.copy(os.path.join(run.path, file), place)
    if always or size < SMALL and run.flags.seed == 0:
        weights = {name: value.astype(np.float16) if half else value for name, value in weights.items()}
        with folder.replacing(checkpoints.file_of(place, step)) as new, open(new, "wb") as file:
            np.savez(file, **weights)
    say(f"{place}: {', '.join(numbers)}")


def main(words=None):
    """Returns 0 if all that was asked for was kept."""
    flags = parse(__doc__, FLAGS, words)
    found = {run.name: run for run in runs.runs_of(flags.train_dir)}
    unknown = {*flags.weights, *flags.half} - found.keys()
    if unknown:
        process.refuse(f"--weights: there is no run {', '.join(sorted(unknown))}")
    places = {name: f"{flags.kept}_{name}" for name in found}
    for name, run in found.items():
        if os.path.realpath(run.path) == os.path.realpath(places[name]):
            process.refuse(f"--kept: {run.path} is there already, whole")
    kept = runs.each(list(found.values()), "keeping", lambda run: keep(
        run, places[run.name], run.name in {*flags.weights, *flags.half}, run.name in flags.half))
    return 0 if len(kept) == len(found) else 1


if __name__ == "__main__":
    sys.exit(process.run(main))
