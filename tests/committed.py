"""The committed results, read."""
import json
import re

from conftest import ROOT

PRETRAINED = str(ROOT / "checkpoints" / "pretrained" / "train_store")
FIGURES = ROOT / "figures"
NEEDED = "reconstruction_loss.json", "stddev.json", "disentanglement.json"  # which show every run


def numbers(file):
    with open(FIGURES / file) as content:
        return json.load(content)


def cells(text, name):
    """The rows of a table between its markers, as lists of cells; the header first."""
    inside = re.search(f"<!-- {name} -->(.*)<!-- end of {name} -->", text, re.DOTALL)[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in inside.split("\n") if line]
    assert len({len(row) for row in rows}) == 1
    return [rows[0], *rows[2:]]
