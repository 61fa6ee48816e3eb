"""How a training shows where it is: a bar on a terminal, lines elsewhere.

    with Bar(flags, name, step) as bar:
        bar.show(step, reconstruction, kl)
"""
import logging
import os
import sys

from tqdm import tqdm

from training import process

FORMAT = "{desc} {percentage:3.0f}%|{bar}| {remaining} left, {rate_noinv_fmt}{postfix}"


def on_terminal():
    """Whether stdout is a terminal that a bar fits: one without a size, as under `script -c`, gets lines."""
    try:
        return sys.stdout.isatty() and os.get_terminal_size(sys.stdout.fileno()).columns > 0
    except (OSError, ValueError):  # closed, or no file at all, as a notebook's
        return False


def screen_level():
    """The level from which a run's messages go to the screen: where bars of a sweep share it, only warnings do."""
    return logging.WARNING if on_terminal() and process.sweep() else logging.INFO


class Bar:
    """A run's progress. level: that of a line that repeats what the bar shows."""

    def __init__(self, flags, name, step):
        shown = on_terminal()
        self.level = logging.DEBUG if shown else logging.INFO
        _, _, rest = name.partition(f"_beta_{flags.beta}")
        label = f"{flags.model} {flags.num_balls} β{flags.beta:g}{rest.replace('_', ' ')}"
        _, slot = process.sweep() or (None, 0)
        self.bar = tqdm(total=flags.max_step, initial=step, unit="step", dynamic_ncols=True, file=sys.stdout,
                        position=slot, disable=not shown, smoothing=0.05, bar_format=FORMAT,
                        desc=label if len(label) < 27 else label[:25] + "…")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def show(self, step, reconstruction, kl):
        self.bar.set_postfix_str(f"{reconstruction:.1f}+{kl:.1f}", refresh=False)
        self.bar.update(step - self.bar.n)


class Line:
    """How far a sweep is: below the bars of its trainings, or a line whenever one has ended."""

    def __init__(self, position):
        self.ended = 0
        self.bar = tqdm(bar_format="{desc}", file=sys.stdout, position=position, dynamic_ncols=True,
                        disable=not on_terminal())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def show(self, text, ended):
        if not self.bar.disable:
            self.bar.set_description_str(text)
        elif ended != self.ended:
            print(f"run: {text}", flush=True)
        self.ended = ended
