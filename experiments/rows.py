"""The rows that an experiment has found so far: a list of objects in a JSON file, a line each."""
import json
import os

from analysis import plotting
from training import process
from training.folder import check_writable, write_whole


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def add(path, row, key):
    """Put a row among those of a file, in the place of an older one of the same values for the names in key."""
    def of(row):
        return [row[name] for name in key]

    rows = sorted([old for old in read(path) if of(old) != of(row)] + [row], key=of)
    write_whole(path, "[" + ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]\n")


def draw(path, draw_rows, figures):
    """Draw the rows of a file as a PNG with the name of the file. draw_rows: rows -> a figure."""
    check_writable(figures)
    name, _ = os.path.splitext(os.path.basename(path))
    with process.default_style():
        plotting.save(draw_rows(read(path)), os.path.join(figures, f"{name}.png"), [])
