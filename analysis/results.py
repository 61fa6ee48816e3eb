"""What was measured of the runs that are kept, for the tables.

    found = Results.read(train_dir, figures)
"""
import dataclasses
import glob
import os

import numpy as np

from analysis import runs
from analysis.plotting import data_set
from training import folder, process, sweep, tables
from training.loader import ACTIVE_BELOW


@dataclasses.dataclass
class Results:
    """What was measured of every run: run name -> object of the JSON file."""
    runs: dict
    losses: dict
    stddevs: dict
    scores: dict
    heat_maps: dict
    starts: dict  # model -> seed -> start -> beta -> object, of benchmarks/starts.py

    @classmethod
    def read(cls, train_dir, figures):
        found = {}
        for place in folder.find(train_dir):
            try:
                flags, step = folder.read_flags(place), tables.last_step(place)
                if not step:
                    raise ValueError("its losses.csv has no rows")
            except ValueError as error:
                process.refuse(f"--train_dir: {place}: {error}")
            name = folder.name_of(place, flags)
            found[name] = runs.Run(name, place, flags, step, None, {})
        if not found:
            process.refuse(f"--train_dir: there is no run under {train_dir}_*")
        numbers = [runs.read_numbers(figures, file) for file in (*runs.MEASURED, "heat_map.json")]
        missing = [name for name in found if not all(name in objects for objects in numbers[:3])]
        if missing:
            process.refuse(f"--figures: {figures} does not show {', '.join(missing)}; draw the runs first")
        files = map(os.path.basename, sorted(glob.glob(os.path.join(glob.escape(str(figures)), "starts_*.json"))))
        starts = {file[len("starts_"):-len(".json")]: runs.read_numbers(figures, file) for file in files}
        return cls(found, *numbers, starts)

    def points(self):
        """(data set, model, variant, beta) -> its runs by seed: data sets by balls, models in their order, plain runs
        before variants."""
        found = {}
        for run in sorted(self.runs.values(), key=lambda run: (
                run.flags.friction, run.flags.num_balls, *runs.order_of(run))):
            found.setdefault((data_set(run.flags), run.flags.model, run.variant, run.flags.beta), []).append(run)
        return found

    def compared(self):
        """The points of annealed runs, and those of constant beta and the same final beta beside them: (key, runs)."""
        points = self.points()
        annealed = {(data, model, beta) for (data, model, _, beta), group in points.items() if group[0].annealed}
        return [(key, group) for key, group in points.items() if (key[0], key[1], key[3]) in annealed]

    def high(self):
        """The points of constant betas above 1."""
        return [(key, group) for key, group in self.points().items() if key[3] > 1 and not key[2]]

    def sweep(self):
        """The runs of 2016's experiments, all seeds of each: [(run of seed 0, runs of other seeds)]."""
        points = list(self.points().values())
        return [(mine[0], mine[1:]) for name in sweep.names() for mine in points if mine[0].name == name]

    def active(self, run):
        return int((np.array(self.stddevs[run.name]["stddev"]) < ACTIVE_BELOW).sum())

    @staticmethod
    def steps(group):
        """The steps of runs, in words."""
        return ", ".join(f"{step:,}" for step in sorted({run.step for run in group}))
