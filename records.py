"""What a run writes while it trains."""
import csv
import glob
import os
import sys
import time

import matplotlib

matplotlib.use("Agg")  # no screen needed
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from tqdm import tqdm

import ball_generator
import experiment


class Records:
    """What a run tells while it trains: log.txt, losses.csv, TensorBoard, stddev.csv, the pictures; all in its folder.

    A run that goes on from a checkpoint first cuts them back to its step: one curve, no gap, no step twice.
    """

    def __init__(self, flags, path, step):
        self.flags, self.path = flags, path
        self.losses = self._cut("losses.csv", step, ["step", "reconstruction", "kl", "seconds", "beta"])
        self._cut("stddev.csv", step, ["step"])
        self.seconds_before = float(self.losses[-1][3]) if self.losses else 0.0
        self.started = time.perf_counter()
        before = glob.glob(os.path.join(path, "events.out.tfevents.*"))
        self.events = tf.summary.create_file_writer(path)
        for row in self.losses:
            self._event(*row[:3], row[4] if len(row) > 4 else flags.beta)
        self.events.flush()
        for file in before:  # their rows up to `step` are in the new file now
            os.remove(file)

    def _file(self, file):
        return os.path.join(self.path, file)

    def _cut(self, file, step, header):
        """Drop a table's rows after step, and a last row that was not written to its end. Returns the rows."""
        rows = []
        if os.path.exists(self._file(file)):
            with open(self._file(file), newline="") as lines:
                rows = [line.rstrip("\r\n").split(",") for line in lines if line.endswith("\n")]
            rows = [row for row in rows[1:] if int(row[0]) <= step]
        experiment.write_whole(self._file(file), "".join(",".join(row) + "\n" for row in [header] + rows))
        return rows

    def _append(self, file, row):
        with open(self._file(file), "a", newline="") as lines:
            csv.writer(lines, lineterminator="\n").writerow(row)

    def _event(self, step, reconstruction, kl, beta):
        with self.events.as_default(step=int(step)):
            tf.summary.scalar("loss_reconstruction", float(reconstruction))
            tf.summary.scalar("loss_vae", float(beta) * float(kl))
            tf.summary.scalar("beta", float(beta))

    def say(self, text, only_log=False):
        with open(self._file("log.txt"), "a") as log:
            log.write(text + "\n")
        if not only_log:
            tqdm.write(text)
            sys.stdout.flush()

    def add(self, step, reconstruction, kl, beta):
        """A row: the mean losses, in nats a picture, since the row before."""
        seconds = self.seconds_before + time.perf_counter() - self.started
        row = [step, f"{reconstruction:.6g}", f"{kl:.6g}", f"{seconds:.1f}", f"{beta:.6g}"]
        self._append("losses.csv", row)
        self._event(*row[:3], beta)

    def report(self, step, model):
        """The first picture of a trajectory, its reconstruction, and one more line of sorted average stddevs."""
        flags = self.flags
        seed = (flags.seed, experiment.REPORT, 0)  # the same trajectory at every report
        positions = ball_generator.simulate([seed], flags.num_balls, flags.batch_size, flags.friction)[0]
        pictures = ball_generator.render(positions)
        mean, log_variance = model.encode(pictures)
        generated = tf.sigmoid(model.decode(mean[:1]))
        for file, picture in ("real_balls.jpg", pictures), ("generated_balls.jpg", generated):
            picture = np.uint8(np.round(picture[0].numpy() * 255))
            if not experiment.import_cv2().imwrite(self._file(file), picture):
                raise OSError(f"{self._file(file)} cannot be written")
        stddev = np.sort(np.mean(np.exp(log_variance.numpy() / 2), axis=0))
        self._append("stddev.csv", [step] + [f"{value:.4f}" for value in stddev])
        self._draw_stddev()

    def _draw_stddev(self):
        """stddev.csv as a plot: one line a report, the later the darker."""
        with open(self._file("stddev.csv"), newline="") as lines:
            rows = list(csv.reader(lines))[1:]
        figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
        for i, (step, *stddev) in enumerate(rows):
            label = f"step {step}" if i in (0, len(rows) - 1) else None
            axes.plot(range(1, len(stddev) + 1), [float(value) for value in stddev],
                      color=plt.cm.viridis_r((i + 1) / len(rows)), label=label)
        axes.set(xlabel="latent, sorted", ylabel="average posterior stddev", ylim=(0, None),
                 title=experiment.name(self.flags))
        axes.legend()
        figure.savefig(self._file("stddev.png"))
        plt.close(figure)
