"""What a run tells while it trains: log.txt, losses.csv, TensorBoard, stddev.csv and its plot, two sample images.

    records = Records(path, step, latents)          a resumed run's tables cut back to its step
    records.add(step, reconstruction, kl, beta)     a row of losses.csv; nats per image
"""
import contextlib
import logging
import os
import sys
import time

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from architecture import tf
from training import curves, pictures, process, progress
from training.latents import average_stddev
from training.seeds import Purpose

log = logging.getLogger("run")


class ToScreen(logging.Handler):
    """To stdout, warnings and errors to stderr, above the bars that are there."""

    def emit(self, record):
        progress.say(self.format(record), sys.stderr if record.levelno >= logging.WARNING else sys.stdout)


@contextlib.contextmanager
def logged(path):
    """While it lasts, `log` writes to log.txt all there is, and to the screen all but what is for debugging."""
    to_file = logging.FileHandler(os.path.join(path, "log.txt"), delay=True, encoding="utf-8")
    before = log.handlers, log.propagate, log.level
    log.handlers, log.propagate = [ToScreen(logging.INFO), to_file], False
    log.setLevel(logging.DEBUG)
    for handler in log.handlers:
        handler.handleError = lambda record: None  # a full disk: it is on the screen already
    try:
        yield
    finally:
        log.handlers, log.propagate = before[:2]
        log.setLevel(before[2])
        to_file.close()


class Records:
    """The tables, events and images of a run. A resumed one first cuts its tables back to its step: one curve, no gap,
    no step twice."""

    def __init__(self, path, step, latents):
        self.path = path
        rows = curves.start(self._file("losses.csv"), curves.LOSSES, step)
        curves.start(self._file("stddev.csv"), ["step", *map(str, range(1, latents + 1))], step)
        self.started = time.perf_counter() - (rows[-1][3] if rows else 0)
        self.events, self.waiting = tf.summary.create_file_writer(path), []

    def _file(self, file):
        return os.path.join(self.path, file)

    def add(self, step, reconstruction, kl, beta):
        """A row: the mean losses, in nats per image, since the row before, and beta at its end."""
        row = step, reconstruction, kl, round(time.perf_counter() - self.started, 1), beta
        curves.append(self._file("losses.csv"), row)
        self.waiting.append(row)

    def flush(self):
        """Write the events of the rows so far. (With a checkpoint: of a run that is killed and resumed no step is then
        told twice.)"""
        for step, reconstruction, kl, _, beta in self.waiting:
            with self.events.as_default(step=step):
                tf.summary.scalar("loss_reconstruction", reconstruction)
                tf.summary.scalar("loss_vae", beta * kl)
                tf.summary.scalar("beta", beta)
        self.events.flush()
        self.waiting = []

    def report(self, step, model, data, flags):
        """The first image of a trajectory, its reconstruction, and one more line of sorted average stddevs."""
        seed = flags.seed, Purpose.REPORT, 0  # the same trajectory at every report
        image = data.render(data.simulate([seed], 1)[0])
        generated = tf.sigmoid(model.decode(model.encode(image)[0]))
        for file, pixels in (f"real_{flags.data_set}.jpg", image), (f"generated_{flags.data_set}.jpg", generated):
            pictures.write(self._file(file), pictures.visible(pixels[0].numpy(), data.image_shape))
        curves.append(self._file("stddev.csv"), [step, *np.sort(average_stddev(model.encode, data))])
        try:
            self._draw_stddev()
        except Exception as error:  # whatever it is: a plot never ends a training
            log.warning(f"{self._file('stddev.png')} was not drawn: {process.first_line(error)}")

    def _draw_stddev(self):
        """stddev.csv as a plot: one line a report, the later the darker."""
        rows = curves.read(self._file("stddev.csv"))
        with process.default_style():
            figure = Figure(figsize=(7, 4.5), layout="constrained")
            axes = figure.add_subplot()
            for i, (step, *stddev) in enumerate(rows):
                label = f"step {step:,}" if i in (0, len(rows) - 1) else None
                axes.plot(range(1, len(stddev) + 1), stddev, label=label,
                          color=colormaps["viridis_r"]((i + 1) / len(rows)))
            axes.set(xlabel="latent, sorted", ylabel="average posterior stddev", ylim=(0, None))
            axes.legend()
            figure.savefig(self._file("stddev.png"), format="png", dpi=100)
