"""What a run tells while it trains: log.txt, losses.csv, TensorBoard, stddev.csv and its plot, two sample images.

    records = Records(path, step, beta_at)     a resumed run's tables cut back to its step
    records.add(step, reconstruction, kl, beta)    a row of losses.csv; nats per image
"""
import glob
import logging
import os
import sys
import time

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

import ball_generator
from architecture import Lazy, tf
from training import device, process, progress, seeds
from training.folder import write_whole
from training.tables import LOSSES, read_losses, read_stddev

event_pb2 = Lazy("tensorflow.core.util.event_pb2")
log = logging.getLogger("run")


class ToScreen(logging.Handler):
    """To stdout, errors to stderr, above the bars that are there."""

    def emit(self, record):
        progress.say(self.format(record), sys.stderr if record.levelno >= logging.ERROR else sys.stdout)


def start_log(path, screen):
    """Let `log` write to log.txt all there is, and to the screen what is of the level `screen` or above. Returns a
    function that ends it."""
    logging.raiseExceptions = False  # a full disk: it is on the screen already
    to_file, to_screen = logging.FileHandler(os.path.join(path, "log.txt"), delay=True), ToScreen(screen)
    log.handlers, log.propagate = [to_screen, to_file], False
    log.setLevel(logging.DEBUG)

    def end():
        log.handlers = []
        to_file.close()
    return end


class Records:
    """The tables, events and images of a run. A resumed one first cuts its tables back to its step: one curve, no gap,
    no step twice."""

    def __init__(self, path, step, beta_at):
        self.path = path
        rows, dropped = read_losses(path)
        rows = [(*row, beta_at(row[0]))[:len(LOSSES)] for row in rows if row[0] <= step]
        self._start_table("losses.csv", [LOSSES, *(loss_words(*row) for row in rows)], dropped)
        reports, dropped = read_stddev(self.path)
        self._start_table("stddev.csv", [["step"], *(stddev_words(*row) for row in reports if row[0] <= step)], dropped)
        self.seconds_before = rows[-1][3] if rows else 0.0
        self.started = time.perf_counter()
        before = glob.glob(os.path.join(glob.escape(path), "events.out.tfevents.*"))
        self.events = tf.summary.create_file_writer(path)
        for row in rows:
            self._event(*row)
        self.events.flush()
        there = {row[0] for row in rows}
        for file in before:  # their rows up to `step` are in the new file now, if the table has them all
            if all(at in there for at in event_steps(file) if at <= step):
                os.remove(file)

    def _file(self, file):
        return os.path.join(self.path, file)

    def _start_table(self, file, rows, dropped):
        """Write a table anew."""
        if dropped:
            log.warning(f"{self._file(file)}: dropped {dropped} line{'s' * (dropped > 1)} that made no sense")
        write_whole(self._file(file), "".join(map(line, rows)))

    def _append(self, file, row):
        with open(self._file(file), "a", newline="") as lines:
            lines.write(line(row))

    def _event(self, step, reconstruction, kl, seconds, beta):
        with self.events.as_default(step=int(step)):
            tf.summary.scalar("loss_reconstruction", float(reconstruction))
            tf.summary.scalar("loss_vae", float(beta) * float(kl))
            tf.summary.scalar("beta", float(beta))

    def add(self, step, reconstruction, kl, beta):
        """A row: the mean losses, in nats per image, since the row before, and beta at its end."""
        seconds = self.seconds_before + time.perf_counter() - self.started
        row = loss_words(step, reconstruction, kl, seconds, beta)
        self._append("losses.csv", row)
        self._event(*row)

    def report(self, step, model, flags):
        """The first image of a trajectory, its reconstruction, and one more line of sorted average stddevs."""
        seed = (flags.seed, int(seeds.Purpose.REPORT), 0)  # the same trajectory at every report
        positions = ball_generator.simulate([seed], flags.num_balls, flags.batch_size, flags.friction)[0]
        images = ball_generator.render(positions)
        mean, log_variance = model.encode(images)
        generated = tf.sigmoid(model.decode(mean[:1]))
        for file, image in ("real_balls.jpg", images), ("generated_balls.jpg", generated):
            image = np.uint8(np.round(image[0].numpy() * 255))
            if not device.import_cv2().imwrite(self._file(file), image):
                raise OSError(f"{self._file(file)} cannot be written")
        stddev = np.sort(np.mean(np.exp(log_variance.numpy() / 2), axis=0))
        self._append("stddev.csv", stddev_words(step, *stddev))
        try:
            self._draw_stddev()
        except Exception as error:  # whatever it is: a plot never ends a training
            log.warning(f"{self._file('stddev.png')} was not drawn: {process.first_line(error)}")

    def _draw_stddev(self):
        """stddev.csv as a plot: one line a report, the later the darker."""
        rows, _ = read_stddev(self.path)
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


def line(words):
    return ",".join(words) + "\n"


def loss_words(step, reconstruction, kl, seconds, beta):
    """A row of losses.csv."""
    return [str(step), f"{reconstruction:.6g}", f"{kl:.6g}", f"{seconds:.1f}", f"{beta:.6g}"]


def stddev_words(step, *stddev):
    """A row of stddev.csv."""
    return [str(step), *(f"{value:.4f}" for value in stddev)]


def event_steps(file):
    """The steps that a TensorBoard file tells of, as far as it can be read."""
    steps = []
    try:
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            if event.HasField("summary"):
                steps.append(event.step)
    except tf.errors.OpError:
        pass  # the end was not written, or is damaged: TensorBoard reads no further either
    return steps
