"""The rows that an experiment has found so far: a list of objects in a JSON file, a line each."""
import json

from training.folder import write_whole


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def add(path, row, key):
    """Put a row among those of a file, in the place of an older one of the same values for the names in key."""
    def of(row):
        return [row[name] for name in key]

    rows = sorted([old for old in read(path) if of(old) != of(row)] + [row], key=of)
    write_whole(path, "[" + ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]\n")
