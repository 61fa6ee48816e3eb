"""What the plot scripts share: their two flags, the runs to draw, 2016's numbers, how a figure is saved."""
import collections
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")  # these machines have no screen
import matplotlib.pyplot as plt
import numpy as np

import experiment

FLAGS = (
    ("train_dir", os.path.expanduser, experiment.TRAIN_DIR, "prefix of the run folders, as main.py's (%(default)s)"),
    ("figures", os.path.expanduser, "./figures", "folder the figures go to (%(default)s)"),
)
PUBLISHED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "published_results.json")
MODEL_COLOURS = {"fully_connected": "#0072B2", "conv": "#D55E00", "all_conv": "#009E73"}  # Okabe and Ito's palette
NUMBER = ("no", "one", "two", "three", "four", "five", "six")
DEAD = 0.9  # a latent of this average posterior stddev or a higher one is not in use
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


def restore_all(train_dir, weightless=False):
    """Yield name, flags, model, step of every run under the prefix; say which folders have none, and which of the 18
    experiments are missing.

    weightless: yield also the runs of which numbers.json is kept, but no weights, with None for their model.
    """
    seen = set()
    for path in experiment.find(train_dir):
        try:
            if weightless and not experiment.steps(path) and os.path.exists(os.path.join(path, "numbers.json")):
                flags, model, step = experiment.read_flags(path), None, experiment.last_step(path)
            else:
                flags, model, step = experiment.restore(path)
        except ValueError as error:
            print(f"left out {path}: {error}", file=sys.stderr)
            continue
        seen.add(experiment.name(flags))
        yield experiment.name(flags), flags, model, step
    missing = [name for name in expected() if name not in seen]
    if missing:
        print(f"missing of the 18 (seed 0, no friction) under {train_dir}_*: {', '.join(missing)}", file=sys.stderr)


def measure_all(flags, file, measure, group):
    """Measure every run under --train_dir and write the numbers as JSON to the file among the figures.

    measure: name, the run's flags, model, step -> object of numbers; step and seed are added. Of runs whose weights are
    too large to be kept, as some under checkpoints/pretrained, numbers.json has what was measured: file -> numbers.
    group: a run's flags -> the name of the figure that shows it.
    Returns name of figure -> (flags of its first run, its runs: name -> numbers, with model and beta).
    """
    measured, groups = {}, {}
    for name, run, model, step in restore_all(flags.train_dir, weightless=True):
        if model:
            numbers = measure(name, run, model, step)
        else:
            with open(f"{flags.train_dir}_{name}/numbers.json") as kept:
                numbers = json.load(kept).get(file)
            if not numbers:
                print(f"left out {flags.train_dir}_{name}: its numbers.json has no {file}", file=sys.stderr)
                continue
        measured[name] = {**numbers, "step": step, "seed": run.seed}
        runs = groups.setdefault(group(run), (run, {}))[1]
        runs[name] = {**measured[name], "model": run.model, "beta": run.beta}
    if measured:
        path = os.path.join(flags.figures, file)
        experiment.write_whole(path, json.dumps(measured, indent=1) + "\n")
        print(path)
    return groups


def expected():
    """Names of the 18 experiments, from 2016's results."""
    return [f"model_{model}_num_balls_{balls}_beta_{beta}"
            for balls, models in published("reconstruction_loss").items()
            for model, betas in models.items() for beta in betas]


def published(quantity):
    """2016's numbers of a quantity: number of balls > model > beta, all strings."""
    with open(PUBLISHED) as file:
        return json.load(file)[quantity]["values"]


def encode(model, positions):
    """Mean and stddev, [pictures, latents] each in NumPy, of the pictures of positions [pictures, balls, 2]."""
    import ball_generator
    codes = [model.encode(ball_generator.render(positions[i:i + 1000].astype(np.float32)))
             for i in range(0, len(positions), 1000)]
    mean, log_variance = (np.concatenate(parts) for parts in zip(*codes))
    return mean, np.exp(log_variance / 2)


def trajectory(flags, frames):
    """Positions [frames, balls, 2] of an evaluation trajectory, the same for every model and none of the training's."""
    import ball_generator
    return ball_generator.simulate([(0, experiment.EVALUATION, TRAJECTORY)], flags.num_balls, frames, flags.friction)[0]


def data_set(flags):
    """A run's data set in words."""
    return f"{NUMBER[flags.num_balls]} ball{'s' * (flags.num_balls > 1)}" + ", friction" * flags.friction


def title(flags, runs):
    """Of a figure of many runs: the data set of one's flags, and the steps and seeds of all."""
    def listed(word):
        values = sorted({run[word] for run in runs.values()})
        return f"{word}{'s' * (len(values) > 1)} {', '.join(f'{value:,}' for value in values)}"

    seeds = collections.Counter((run["model"], run["beta"]) for run in runs.values()).values()
    return (f"{data_set(flags)}\n{listed('step')}; {listed('seed')}"
            + f" ({min(seeds)} to {max(seeds)} a point)" * (min(seeds) < max(seeds)))


def group(flags):
    """Start of the names of figures with many runs: the data set."""
    return f"{NUMBER[flags.num_balls]}_ball" + "_friction" * flags.friction


def draw_line(axes, runs, model, key, label, error=None):
    """One model's line against beta: the mean of run[key] over the seeds of each beta (and over factors, where it has
    them), with a bar of the mean run[error], and a dot for every seed.

    runs: name -> object with model, beta, key and error. Returns what goes into the legend.
    """
    mine = [run for run in runs.values() if run["model"] == model]
    betas = sorted({run["beta"] for run in mine})

    def mean(key):
        return [np.mean([np.mean(run[key]) for run in mine if run["beta"] == beta]) for beta in betas]

    line = axes.errorbar(betas, mean(key), mean(error) if error else None, fmt="-", capsize=3, label=label,
                         color=MODEL_COLOURS[model])
    axes.plot([run["beta"] for run in mine], [np.mean(run[key]) for run in mine], "o", markersize=4,
              color=MODEL_COLOURS[model])
    return line


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


def finish(drawn, train_dir):
    """The exit code of a plot script."""
    if not drawn:
        print(f"nothing to draw: no run under {train_dir}_* has a checkpoint; main.py makes them", file=sys.stderr)
    return 0 if drawn else 1
