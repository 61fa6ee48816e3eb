"""The runs that there are to draw, for every plot script.

    flags = parse_flags(__doc__)
    for run in runs_of(flags.train_dir): ...
    for run in each(runs, "drawing"): ...      with a bar; one that fails is named and left out
"""
import dataclasses
import functools
import json
import math
import os
import re
import sys

from tqdm import tqdm

from analysis import loader, measure
from architecture import MODELS
from training import checkpoints, curves, device, folder
from training.data_sets import data_set_of
from training.flags import TRAIN_DIR, Flag, parse, path
from training.process import ROOT, first_line
from training.progress import say
from training.sweep import SWEEPS

TRAIN_DIRS = Flag("train_dir", path, [TRAIN_DIR], "prefix of the run folders, as main.py's, or a folder of runs, or a "
                  "run's own; may be given more than once", many=True)
FIGURES = Flag("figures", path, os.path.join(ROOT, "figures"), "folder of the figures")
FLAGS = TRAIN_DIRS, FIGURES
SHIPPED = os.path.join(ROOT, "checkpoints", "pretrained", "train_store")  # prefix of the runs in this repository
OF_SHIPPED = dataclasses.replace(TRAIN_DIRS, default=[SHIPPED])
PUBLISHED = os.path.join(ROOT, "analysis", "published_results.json")


class Run:
    """A run to draw: its flags.json and its step are read at once; its network when somebody asks for it, and what is
    measured of it as well, from its folder where it was measured before. Raises ValueError, with a sentence, where the
    folder is none, or has neither checkpoint nor numbers."""

    def __init__(self, place):
        self.path = place
        try:
            self.flags = folder.read_flags(place)
            steps = checkpoints.steps(place)
            self.has_weights = bool(steps)
            self.step = steps[0] if steps else measure.read(place).get("step")
            if self.step is None:
                raise ValueError(folder.why_not_loaded(place))
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from None
        self.name, self.data = self.flags.name, data_set_of(self.flags)

    @functools.cached_property
    def vae(self):
        """The network, at the newest whole checkpoint."""
        device.set_up()
        vae = loader.load(self.path)
        self.step = vae.step
        return vae

    @functools.cached_property
    def numbers(self):
        """What is measured of it; see analysis/measure.py."""
        return measure.numbers(self.path, self.step, (lambda: self.vae) if self.has_weights else None)

    @property
    def scores(self):
        return self.numbers["scores"]

    @functools.cached_property
    def losses(self):
        """The rows of its losses.csv, up to its step."""
        return [row for row in curves.read_losses(self.path) if row[0] <= self.step]

    @property
    def annealed(self):
        """Whether its beta fell from a beta_start."""
        return "beta_start" in self.flags.variant

    @functools.cached_property
    def changes(self):
        """What is not at its default, besides model, data set, betas and seed: a list of words."""
        changed = dict(self.flags.variant)
        _, steps, source = (changed.pop(key, None) for key in ("beta_start", "beta_steps", "init_from"))
        words = [f"{steps:,} steps"] if steps else []
        words += [f"{key.replace('_', ' ')} {value}" for key, value in changed.items()]
        words += [f"started from {os.path.basename(source.rstrip('/'))}"] if source else []
        now = self.losses[-1][4] if self.annealed and self.losses else self.flags.beta
        return words if math.isclose(now, self.flags.beta, rel_tol=1e-4) else [*words, f"so far {now:.3g}"]

    @property
    def variant(self):
        """How it differs from a run of its model, data set, beta and seed with all else at its default, in words."""
        fall = [f"annealed from β {self.flags.variant['beta_start']:g}"] if self.annealed else []
        return ", ".join(fall + self.changes)

    @property
    def setting(self):
        """Its beta and how it was trained, in words: "β 1", "β 45 to 1", "β 1, lr 0.01"."""
        start = f"{self.flags.variant['beta_start']:g} to " if self.annealed else ""
        return ", ".join([f"β {start}{self.flags.beta:g}", *self.changes])

    @property
    def label(self):
        """Its model and setting, in words."""
        return f"{self.flags.model}, {self.setting}"

    @property
    def of_sweep(self):
        """Whether its model and beta are those that its data set is swept with: for balls, 2016's."""
        sweep = SWEEPS.get(self.flags.data_set, {})
        return not self.variant and self.flags.model in sweep.get("model", ()) and self.flags.beta in sweep["beta"]

    def published(self, quantity):
        """The published number of such a run, or None."""
        return published(quantity, self.data).get(self.flags.model, {}).get(str(self.flags.beta)) \
            if not self.variant else None


def parse_flags(description, words=None, table=FLAGS):
    """The flags of a plot script; the folder of figures is made, or refused."""
    flags = parse(description, table, words)
    folder.check_writable(flags.figures)
    return flags


def runs_of(train_dirs):
    """Every run that these --train_dir stand for: data set by data set, models in their order. Says which folders are
    left out, and why."""
    places = dict.fromkeys(place for train_dir in train_dirs for place in folder.find(train_dir))
    if not places:
        say(f"nothing to draw: there is no run at {' nor '.join(train_dirs)}; main.py makes them, and --train_dir is a "
            "prefix, as main.py's: checkpoints/train_store", sys.stderr)
    found, left_out = {}, {}
    for place in places:
        try:
            run = Run(place)
            other = found.setdefault(run.name, run)
            if other is not run and place.endswith(run.name) > other.path.endswith(run.name):
                found[run.name], run = run, other  # a copy, or one moved aside, does not stand for the run itself
            if found[run.name] is not run:
                left_out.setdefault("it holds the same experiment as another", []).append(run.path)
        except ValueError as error:
            left_out.setdefault(str(error), []).append(place)
    for reason, those in left_out.items():
        say(f"left out {those[0]}{f' and {len(those) - 1} more' * (len(those) > 1)}: {reason}", sys.stderr)
    without = sum(not run.has_weights for run in found.values())
    if without:
        say(f"{without} of {len(found)} runs come without weights: graphs show their numbers, images leave them out")
    return sorted(found.values(), key=order_of)


def order_of(run):
    """What runs are sorted by: data set, models in their order, constant betas before others, plain runs before
    variants, beta and seed."""
    order, model = list(MODELS), run.flags.model
    return (run.data.key, order.index(model) if model in order else len(order), model, run.annealed, run.variant,
            run.flags.beta, run.flags.seed)


def each(runs, what, function):
    """(run, what the function makes of it) of every run, with a bar on a terminal. One of which it makes nothing,
    whatever the reason, is named and left out."""
    made = []
    for run in tqdm(runs, desc=what, unit="run", leave=False, disable=None):
        try:
            made.append((run, function(run)))
        except Exception as error:  # a single run's fault takes no other along
            say(f"{what}: left out {run.name}: {type(error).__name__}: {first_line(error)}", sys.stderr)
    return made


def with_numbers(runs, *keys):
    """The runs that have these numbers; says which are left out."""
    def check(run):
        missing = [key for key in keys if key not in run.numbers]
        if missing:
            raise ValueError(f"its numbers.json has no {missing[0]} as it is measured now, and it has no weights")
    return [run for run, _ in each(runs, "measuring", check)]


def pair(mine):
    """Two runs on a data set to hold side by side: of those with two active latents or more, an annealed one and,
    before it, that of its model, with its final beta as a constant one, that differs least; else those of the lowest
    and the highest constant beta; or fewer."""
    alive = [run for run in mine if run.numbers["stddev"]["active"] > 1]
    constant = sorted((run for run in alive if not run.annealed), key=lambda run: run.flags.beta)
    for run in alive:
        same = [other for other in constant if run.annealed and (other.flags.model, other.flags.beta) == (
            run.flags.model, run.flags.beta)]
        if same:
            return [min(same, key=lambda other: len(run.flags.variant.items() ^ other.flags.variant.items())), run]
    return [constant[0], constant[-1]] if len({run.flags.beta for run in constant}) > 1 else alive[:1]


@functools.cache
def published(quantity, data):
    """The published numbers of a quantity for a data set: model > beta; empty where there are none."""
    with open(PUBLISHED, encoding="utf-8") as file:
        return json.load(file).get(quantity, {"values": {}})["values"].get(data.key, {})


def groups(rows, key):
    """Rows by what key makes of each, in the order of their first."""
    found = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def by_beta(found):
    """The runs with all but beta and seed at their defaults, as (name, runs) for a graph each: of every data set those
    that its own sweep trains, as 2016's 18, under its key; and, where there are others, all of them. Of a data set that
    has no such run, those of its only variant, or of each at several betas, as of a whole sweep that is annealed."""
    for key, mine in groups(found, lambda run: run.data.key).items():
        plain = [run for run in mine if not run.variant]
        swept = [run for run in plain if run.of_sweep]
        if swept:
            yield key, swept
        if plain and len(plain) > len(swept):
            yield f"{key}_betas" if swept else key, plain
        variants = groups([] if plain else mine, lambda run: run.variant)
        for variant, others in variants.items():
            if len(variants) == 1 or len({run.flags.beta for run in others}) > 1:
                yield f"{key}_{re.sub(r'[^a-zA-Z0-9.]+', '_', variant)[:100]}", others
