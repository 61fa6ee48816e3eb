"""Keep the results of finished runs without the bulk of their folders.

    python tests/keep_results.py --train_dir=./checkpoints/train_store --figures=figures

after the figures were drawn writes for every finished run a folder under --kept, which the plot scripts read as any
other: flags.json, losses.csv, and the weights alone or, where these are large or of a seed but 0, numbers.json: what
the JSON files among the figures hold of the run.
"""
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import experiment  # noqa: E402
import plotting  # noqa: E402

FLAGS = (*plotting.FLAGS, ("kept", os.path.expanduser, "./checkpoints/pretrained/train_store",
                           "prefix of the folders to write (%(default)s)"))


def keep(path, kept, numbers):
    """Write the folder kept from that of a run; numbers: file -> name -> object."""
    run = experiment.read_flags(path)
    os.makedirs(kept, exist_ok=True)
    for file in "flags.json", "losses.csv":
        shutil.copy(os.path.join(path, file), kept)
    if run.model != "fully_connected" and run.seed == 0:
        _, model, step = experiment.restore(path)
        experiment.save(experiment.parts(model), kept, step)
    else:
        of_run = {file: objects[experiment.name(run)] for file, objects in numbers.items()}
        experiment.write_whole(os.path.join(kept, "numbers.json"), json.dumps(of_run, indent=1) + "\n")
    print(kept)


if __name__ == "__main__":
    flags = plotting.parse_flags(__doc__, FLAGS)
    drawn = {}
    for name in "reconstruction_loss.json", "stddev.json", "disentanglement.json":
        try:
            with open(os.path.join(flags.figures, name)) as content:
                drawn[name] = json.load(content)
        except FileNotFoundError:
            experiment.refuse(f"--figures: {flags.figures} has no {name}; the create_*.py write it")
    for folder in experiment.find(flags.train_dir):
        trained = experiment.read_flags(folder)
        name = experiment.name(trained)
        if experiment.last_step(folder) < trained.max_step:
            print(f"left out {folder}: it is not yet trained to step {trained.max_step}")
        elif not all(name in objects for objects in drawn.values()):
            print(f"left out {folder}: it is not among the figures")
        else:
            keep(folder, f"{flags.kept}_{name}", drawn)
