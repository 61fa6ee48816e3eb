"""How a training or a sweep shows where it is: bars on a terminal, lines elsewhere. One process draws all bars.

    with Bar(flags, step) as bar:
        bar.show(step, reconstruction, kl)
"""
import contextlib
import logging
import os
import sys
import time

from tqdm import tqdm

from training.data_sets import data_set_of

FORMAT = "{desc} {percentage:3.0f}%|{bar}| {remaining} left, {rate_noinv_fmt}{postfix}"
LABEL = 36  # columns at most, so that the numbers fit 80
LOOK = 2  # seconds between two looks at how far the trainings of a sweep are


def on_terminal():
    """Whether stdout is a terminal that a bar fits: one without a size, as under `script -c`, gets lines."""
    try:
        return sys.stdout.isatty() and os.get_terminal_size(sys.stdout.fileno()).columns > 0
    except (OSError, ValueError):  # closed, or no file at all, as a notebook's
        return False


def say(text, stream=None):
    """Print a line, on stdout by default, above the bars that are there. A screen that is gone, as when its window was
    closed, ends nothing."""
    stream = stream or sys.stdout
    with contextlib.suppress(OSError, ValueError):
        tqdm.write(text, file=stream)
        stream.flush()


class Drawn(tqdm):
    """A bar that ends nothing where it cannot be drawn."""

    def display(self, *args, **kwargs):
        with contextlib.suppress(OSError):
            super().display(*args, **kwargs)

    def close(self):
        with contextlib.suppress(OSError):
            super().close()


class Bar(Drawn):
    """A run's progress. level: that of a line that repeats what the bar shows. line: of the screen, where a sweep shows
    several."""

    def __init__(self, flags, step, line=0):
        label = f"{flags.model}, {data_set_of(flags).words}, beta {flags.beta:g}"
        label += f", seed {flags.seed}" * bool(flags.seed)
        label = label if len(label) <= LABEL else label[:LABEL - 1] + "…"
        super().__init__(total=flags.max_step, initial=step, unit="step", dynamic_ncols=True, file=sys.stdout,
                         position=line, leave=line == 0, disable=not on_terminal(), smoothing=0.05, bar_format=FORMAT,
                         desc=label)
        self.level = logging.INFO if self.disable else logging.DEBUG

    def show(self, step, reconstruction, kl):
        self.set_postfix_str(f"{reconstruction:.1f}+{kl:.1f}", refresh=False)
        self.update(step - self.n)


class Line(Drawn):
    """How far a sweep is: above the bars of its trainings, or a line whenever one has ended."""

    def __init__(self):
        super().__init__(bar_format="{desc}", file=sys.stdout, position=0, dynamic_ncols=True,
                         disable=not on_terminal())
        self.ended = self.shown = 0

    def due(self, ended):
        """Whether to show it anew; ended: how many trainings have."""
        return ended != self.ended or not self.disable and time.monotonic() - self.shown > LOOK

    def show(self, text, ended):
        self.ended, self.shown = ended, time.monotonic()
        if self.disable:
            say(f"run: {text}")
        self.set_description_str(text)
