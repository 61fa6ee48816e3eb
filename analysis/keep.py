"""Keep the results of finished runs without the bulk of their folders.

    python -m analysis.keep --train_dir=./checkpoints/train_store --figures=figures

once the figures are drawn, writes a folder for every finished run, under --kept, which the plot scripts and `load` read
as any other: flags.json, losses.csv, and the weights alone where they are small and the seed is 0 (or where --weights
names the run), else numbers.json: what the JSON files among the figures hold of the run.
"""
import glob
import json
import os
import shutil
import sys

import numpy as np

from analysis import runs
from training import checkpoints, folder, loader, process, tables
from training.flags import Flag, path
from training.progress import say

FLAGS = (
    *runs.FLAGS,
    Flag("kept", path, "./checkpoints/pretrained/train_store", "prefix of the folders to write"),
    Flag("weights", lambda word: word.split(","), None, "names of more runs, with commas between, to keep weights of"),
)
SMALL = 1_000_000  # bytes of weights


def keep(place, kept, numbers, always):
    """Write the folder `kept` from the run's folder `place`. numbers: file among the figures -> the run's object there.
    always: whether to keep the weights whatever their size and the run's seed."""
    vae = loader.load(place)
    size = 4 * sum(np.prod(variable.shape) for variable in vae.model.variables)
    os.makedirs(kept, exist_ok=True)
    folder.write_flags(kept, folder.read_flags(place))
    shutil.copy(os.path.join(place, "losses.csv"), kept)
    if always or size < SMALL and vae.flags.seed == 0:
        checkpoints.save(checkpoints.parts(vae.model), kept, vae.step)
        stays = f"ckpt-{vae.step}.", "checkpoint"
    else:
        folder.write_whole(os.path.join(kept, folder.NUMBERS), json.dumps(numbers, indent=1) + "\n")
        stays = folder.NUMBERS
    for file in os.listdir(kept):  # of a run kept before
        if file.startswith((folder.NUMBERS, "ckpt-", "checkpoint")) and not file.startswith(stays):
            os.remove(os.path.join(kept, file))
    say(kept)


def main(words=None):
    """Returns 0 if all that was asked for was kept."""
    flags = runs.parse_flags(__doc__, words, FLAGS)
    for place in folder.find(flags.train_dir):
        if os.path.realpath(place) == os.path.realpath(flags.kept + place[len(flags.train_dir):]):
            process.refuse(f"--kept: {place} is there already, whole")
    drawn = {os.path.basename(file): runs.read_numbers(flags.figures, os.path.basename(file))
             for file in sorted(glob.glob(os.path.join(glob.escape(flags.figures), "*.json")))}
    for file in runs.MEASURED:
        if file not in drawn:
            process.refuse(f"--figures: {flags.figures} has no {file}; the create_*.py write it")
    wanted, code = set(flags.weights or ()), 0
    for place in folder.find(flags.train_dir):
        try:
            run = folder.read_flags(place)
            name, step = folder.name_of(place, run), tables.last_step(place)
            wanted.discard(name)
            if step < run.max_step:
                raise ValueError(f"it is at step {step} of {run.max_step}")
            if not all(name in drawn[file] and drawn[file][name]["step"] == step for file in runs.MEASURED):
                raise ValueError("the figures do not show it as it is now; draw them first")
            keep(place, f"{flags.kept}_{name}", {file: found[name] for file, found in drawn.items() if name in found},
                 name in (flags.weights or ()))
        except (ValueError, OSError) as error:
            say(f"left out {place}: {error}", sys.stderr)
            code = 1
    if wanted:
        process.refuse(f"--weights: there is no run {', '.join(sorted(wanted))}")
    return code


if __name__ == "__main__":
    sys.exit(process.run(main))
