"""The tables that a training writes as CSV, read whatever is in them.

    rows, dropped = read_losses(path)
"""
import math
import os
import re

import numpy as np

LOSSES = "step", "reconstruction", "kl", "seconds", "beta"  # of losses.csv; runs of an older form have no beta


def read_rows(path, widths):
    """Rows of numbers below the header of a CSV file, and how many lines were dropped since they make no sense: another
    number of columns than one of widths, no finite numbers, a step that is no whole number or not above the one before.
    A last line without its end, as a kill leaves it, is dropped and not counted. No file: no rows."""
    if not os.path.exists(path):
        return [], 0
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        *lines, last = file.read().split("\n")
    rows, dropped = [], 0 if re.fullmatch(r"[\w,.+-]*", last) else 1
    for number, line in enumerate(lines):
        try:
            row = [float(word) for word in line.split(",")]
        except ValueError:
            row = []
        good = len(row) in widths and all(map(math.isfinite, row)) and row[0] == int(row[0]) and row[0] >= 0
        if good and (not rows or row[0] > rows[-1][0]):
            rows.append([int(row[0]), *row[1:]])
        elif number:  # the header comes first, unless it was lost
            dropped += 1
    return rows, dropped


def read_losses(folder):
    """The rows of a run's losses.csv, and the number of lines dropped. A row is step, reconstruction, kl, seconds and,
    but in old ones, beta; see read_rows."""
    return read_rows(os.path.join(folder, "losses.csv"), (len(LOSSES) - 1, len(LOSSES)))


def read_stddev(folder):
    """As `read_losses`, of stddev.csv. A row is step and every latent's stddev."""
    return read_rows(os.path.join(folder, "stddev.csv"), range(2, 1_000_000))


def weights(rows):
    """[rows]: of how many steps each row of losses.csv is the mean."""
    return np.diff([row[0] for row in rows], prepend=0)


def mean_losses(rows, first, last):
    """Mean reconstruction and KL, in nats per image, over the steps above first, up to last; nan without any."""
    weight = weights(rows) * [first < row[0] <= last for row in rows]
    return np.average([row[1:3] for row in rows], axis=0, weights=weight) if weight.any() else (np.nan, np.nan)


def last_step(folder):
    """The last step that a run's losses.csv tells of; 0 where it tells of none."""
    rows, _ = read_losses(folder)
    return rows[-1][0] if rows else 0
