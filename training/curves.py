"""The curves that a training writes, as CSV: a header, then a row a step, read whatever is in them.

    rows = read(file)
"""
import math
import os

import numpy as np

from training.folder import write_whole

LOSSES = "step", "reconstruction", "kl", "seconds", "beta"  # of losses.csv; nats per image


def read(file):
    """Rows of numbers below the header of a CSV file; no file: none. Lines that make no sense are left out: another
    number of columns than the header, no finite numbers, a step that is no whole number or not above the one before, or
    a last line without its end, as a kill leaves it."""
    if not os.path.exists(file):
        return []
    with open(file, encoding="utf-8", errors="replace", newline="") as content:
        header, *lines = content.read().split("\n")
    rows = []
    for line in lines[:-1]:
        try:
            row = [float(word) for word in line.split(",")]
        except ValueError:
            continue
        good = len(row) == len(header.split(",")) and all(map(math.isfinite, row)) and row[0] == int(row[0]) >= 0
        if good and (not rows or row[0] > rows[-1][0]):
            rows.append([int(row[0]), *row[1:]])
    return rows


def read_losses(folder):
    """The rows of a run's losses.csv."""
    return read(os.path.join(folder, "losses.csv"))


def line(row):
    """A row as a line: step, then numbers of six digits."""
    return ",".join([str(row[0]), *(f"{value:.6g}" for value in row[1:])]) + "\n"


def start(file, header, step):
    """Write a table anew with the rows that it has up to a step, of a run that is resumed there; returns these rows."""
    rows = [row for row in read(file) if row[0] <= step]
    write_whole(file, "".join([",".join(header) + "\n", *map(line, rows)]))
    return rows


def append(file, row):
    with open(file, "a", encoding="utf-8", newline="") as lines:
        lines.write(line(row))


def weights(rows):
    """[rows]: of how many steps each row of losses.csv is the mean."""
    return np.diff([row[0] for row in rows], prepend=0)


def mean_losses(rows, first, last):
    """Mean reconstruction and KL, in nats per image, over the steps above first, up to last; nan without any."""
    weight = weights(rows) * [first < row[0] <= last for row in rows]
    return np.average([row[1:3] for row in rows], axis=0, weights=weight) if weight.any() else (np.nan, np.nan)
