"""What the plot scripts share: their two flags, the runs to draw, 2016's numbers, how a figure is saved."""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")  # these machines have no screen
import matplotlib.pyplot as plt
import numpy as np

import experiment

FLAGS = (
    ("train_dir", str, experiment.TRAIN_DIR, "prefix of the run folders, as main.py's (%(default)s)"),
    ("figures", str, "./figures", "folder the figures go to (%(default)s)"),
)
PUBLISHED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures", "published_results.json")
MODEL_COLOURS = {"fully_connected": "#0072B2", "conv": "#D55E00", "all_conv": "#009E73"}  # Okabe and Ito's palette
NUMBER = ("no", "one", "two", "three", "four", "five", "six")
TRAJECTORY = 100  # of the evaluation's, the one that stddevs are averaged over; the error graph has 0 to 99


def parse_flags(description, table=FLAGS):
    """--train_dir and --figures; the folder of figures is made, or refused, before TensorFlow is imported."""
    flags = experiment.parse_flags(description, table)
    try:
        os.makedirs(flags.figures, exist_ok=True)
        probe = os.path.join(flags.figures, ".probe")
        with open(probe, "w"):
            os.remove(probe)
    except OSError as error:
        experiment.refuse(f"--figures: {flags.figures} cannot be written: {error.strerror}")
    experiment.import_tensorflow()
    return flags


def restore_all(train_dir):
    """Yield name, flags, model, step of every run under the prefix; say which folders have none, and which of the 18
    experiments are missing."""
    seen = set()
    for path in experiment.find(train_dir):
        try:
            flags, model, step = experiment.restore(path)
        except ValueError as error:
            print(f"left out {path}: {error}", file=sys.stderr)
            continue
        seen.add(experiment.name(flags))
        yield experiment.name(flags), flags, model, step
    missing = [name for name in expected() if name not in seen]
    if missing:
        print(f"missing of the 18 under {train_dir}_*: {', '.join(missing)}", file=sys.stderr)


def expected():
    """Names of the 18 experiments, from 2016's results."""
    return [f"model_{model}_num_balls_{balls}_beta_{beta}"
            for balls, models in published("reconstruction_loss").items()
            for model, betas in models.items() for beta in betas]


def published(quantity):
    """2016's numbers of a quantity: number of balls > model > beta, all strings."""
    with open(PUBLISHED) as file:
        return json.load(file)[quantity]["values"]


def encode_trajectory(flags, model, frames):
    """Mean and stddev, [frames, latents] each in NumPy, of one evaluation trajectory, the same for every model."""
    import ball_generator
    seed = (0, experiment.EVALUATION, TRAJECTORY)
    positions = ball_generator.simulate([seed], flags.num_balls, frames, flags.friction)[0]
    mean, log_variance = model.encode(ball_generator.render(positions))
    return mean.numpy(), np.exp(log_variance.numpy() / 2)


def data_set(flags):
    """A run's data set in words."""
    return f"{NUMBER[flags.num_balls]} ball{'s' * (flags.num_balls > 1)}" + ", friction" * flags.friction


def group(flags):
    """Start of the names of figures with many runs: the data set."""
    return f"{NUMBER[flags.num_balls]}_ball" + "_friction" * flags.friction


def save_figure(figure, path, runs, dpi=150):
    """Write a PNG, whole or not at all, with run, step and seed of what it shows as metadata. runs: name -> object with
    step and seed."""
    metadata = {"run": ", ".join(runs),
                "step": ", ".join(str(run["step"]) for run in runs.values()),
                "seed": ", ".join(str(run["seed"]) for run in runs.values())}
    figure.savefig(path + ".new", format="png", dpi=dpi, metadata=metadata)
    plt.close(figure)
    os.replace(path + ".new", path)
    print(path)


def write_json(path, runs):
    experiment.write_whole(path, json.dumps(runs, indent=1) + "\n")
    print(path)


def finish(drawn, train_dir):
    """The exit code of a plot script."""
    if not drawn:
        print(f"nothing to draw: no run under {train_dir}_* has a checkpoint; main.py makes them", file=sys.stderr)
    return 0 if drawn else 1
