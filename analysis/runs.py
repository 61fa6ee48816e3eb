"""The runs that there are to draw, for every plot script.

    flags = parse_flags(__doc__)
    for run in runs_of(flags.train_dir): ...
    measured = measure_all(flags, "stddev.json", measure)
"""
import dataclasses
import functools
import json
import math
import os
import re
import sys
from types import SimpleNamespace

from tqdm import tqdm

from architecture import MODELS
from training import checkpoints, folder, loader, tables
from training.flags import TRAIN_DIR, Flag, parse, path
from training.process import ROOT, refuse
from training.progress import say

FLAGS = (
    Flag("train_dir", path, TRAIN_DIR, "prefix of the run folders, as main.py's"),
    Flag("figures", path, "./figures", "folder of the figures"),
)
NUMBER = ("no", "one", "two", "three", "four", "five", "six")
MEASURED = "reconstruction_loss.json", "stddev.json", "disentanglement.json"  # files that show every run
PUBLISHED = os.path.join(ROOT, "analysis", "published_results.json")


@dataclasses.dataclass
class Run:
    """A run to draw. vae: None where it comes without weights; then numbers has what was once measured: file -> what
    `measure` returned."""
    name: str
    path: str
    flags: SimpleNamespace
    step: int
    vae: loader.TrainedVAE | None
    numbers: dict

    @property
    def variant(self):
        """The flags of the experiment that are not at their defaults, in words, beside model, data set, beta and
        seed."""
        rest = self.name.partition(f"_beta_{self.flags.beta}")[2].removesuffix(f"_seed_{self.flags.seed}")
        rest, _, source = rest.partition("_init_from_")
        words = re.sub(r"(?<=\d) (?=[a-z])", ", ", rest.replace("_friction", "").replace("_", " ").strip())
        words = re.sub(r"beta start ([^,]+)(, beta steps (\d+))?", lambda found: f"annealed from β {float(found[1]):g}"
                       + (f" in {int(found[3]):,} steps" if found[3] else ""), words)
        there = math.isclose(self.beta_now, self.flags.beta, rel_tol=1e-4)
        return ", ".join(filter(None, [words, source and f"started from {source}",
                                       "" if there else f"so far to β {self.beta_now:.3g}"]))

    @functools.cached_property
    def beta_now(self):
        """The weight of the KL term at its last step: where an annealed run ended before beta_steps, not yet beta."""
        rows = [row for row in tables.read_losses(self.path)[0] if row[0] <= self.step] if self.annealed else []
        return rows[-1][4] if rows and len(rows[-1]) > 4 else self.flags.beta

    @property
    def annealed(self):
        """Whether its beta fell from a beta_start."""
        return getattr(self.flags, "beta_start", None) is not None

    @property
    def data_set(self):
        """Name of the data set, as figures' names start."""
        return f"{NUMBER[self.flags.num_balls]}_ball" + "_friction" * self.flags.friction


def parse_flags(description, words=None, table=FLAGS):
    """The flags of a plot script; the folder of figures is made, or refused."""
    flags = parse(description, table, words)
    folder.check_writable(flags.figures)
    return flags


def runs_of(train_dir):
    """Every run under a prefix: data set by data set, models in their order. Says which folders are left out, and why.
    A process reads and says it once, as long as the folders stay as they are."""
    return _runs_of(train_dir, tuple((place, os.stat(place).st_mtime_ns) for place in folder.find(train_dir)))


@functools.lru_cache(maxsize=1)
def _runs_of(train_dir, folders):
    found, without, left_out = [], 0, {}
    for place, _ in progress(folders, "loading"):
        try:
            run = read(place)
        except ValueError as error:
            left_out.setdefault(str(error).removeprefix(f"{place}: "), []).append(place)
            continue
        found.append(run)
        without += run.vae is None
    found.sort(key=lambda run: (run.data_set, *order_of(run)))
    for reason, places in left_out.items():
        say(f"left out {places[0]}{f' and {len(places) - 1} more' * (len(places) > 1)}: {reason}", sys.stderr)
    if without:
        say(f"{without} of {len(found)} runs come without weights: graphs show their numbers, images leave them out")
    if not found and not left_out:
        say(f"nothing to draw: there is no run under {train_dir}_*" + (
            "; --train_dir is a prefix, as main.py's: checkpoints/train_store" if os.path.isdir(train_dir) else
            "; main.py makes them"), sys.stderr)
    return found


def order_of(run):
    """What runs on one data set are sorted by: models in their order, plain runs before variants, beta and seed."""
    order, model = list(MODELS), run.flags.model
    return (order.index(model) if model in order else len(order), model, run.variant, run.flags.beta, run.flags.seed)


def read(path):
    """The run in a folder. Raises ValueError, with a sentence, where it is none."""
    numbers = os.path.join(path, folder.NUMBERS)
    if os.path.exists(numbers) and not checkpoints.steps(path):
        try:
            flags = folder.read_flags(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        try:
            with open(numbers) as file:
                kept = dict(json.load(file))
            return Run(folder.name_of(path, flags), path, flags, tables.last_step(path), None, kept)
        except (ValueError, TypeError, OSError, RecursionError) as error:
            raise ValueError(f"{path}: its {folder.NUMBERS} cannot be read ({error})") from None
    vae = loader.load(path)
    return Run(vae.name, path, vae.flags, vae.step, vae, {})


def progress(rows, what):
    """The rows, with a bar on a terminal while they are gone through."""
    return tqdm(rows, desc=what, unit="run", leave=False, disable=None)


def measure_all(flags, file, measure):
    """Measure every run and write the numbers as JSON to the file among the figures.

    measure: a run -> object of numbers. Returns the runs that have numbers, each with them: (run, object).
    """
    measured, without = [], 0
    for run in progress(runs_of(flags.train_dir), file):
        numbers = measure(run) if run.vae else run.numbers.get(file)
        if numbers:
            measured.append((run, {**numbers, "step": run.step, "seed": run.flags.seed}))
        else:
            without += 1
    if without:
        say(f"{file}: {without} runs without weights have no numbers for it")
    if measured:
        path = os.path.join(flags.figures, file)
        folder.write_whole(path, json.dumps({run.name: numbers for run, numbers in measured}, indent=1) + "\n")
        say(path)
    return measured


def groups(measured, key):
    """(run, ...) rows by what key makes of a run, in the order of their first."""
    found = {}
    for row in measured:
        found.setdefault(key(row[0]), []).append(row)
    return found


def published(quantity):
    """2016's numbers of a quantity: number of balls > model > beta, all strings."""
    with open(PUBLISHED) as file:
        return json.load(file)[quantity]["values"]


def published_for(quantity, run):
    """2016's numbers of a quantity for a run's data set: model > beta; none for data sets that 2016 did not have."""
    return {} if run.flags.friction else published(quantity).get(str(run.flags.num_balls), {})


def of_2016(quantity, run):
    """2016's number of a run, or None."""
    return published_for(quantity, run).get(run.flags.model, {}).get(str(run.flags.beta))


def read_numbers(figures, file):
    """The object of a JSON file among the figures, or a refusal."""
    try:
        with open(os.path.join(figures, file)) as content:
            return json.load(content)
    except FileNotFoundError:
        refuse(f"--figures: {figures} has no {file}; the create_*.py write it")
    except (ValueError, OSError, RecursionError) as error:
        refuse(f"--figures: {os.path.join(figures, file)} cannot be read ({error}); the create_*.py write it anew")
