"""What a data set says of its states: the factors that there are to find, and where a latent's mean is drawn over.

    Factor("x", "number"), Factor("shape", "class", ("heart", "oval", "square"))
"""
import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Factor:
    """One factor of the images. kind: "number"; "angle", in radians; or "class", a number from 0 on, whose values have
    these labels."""
    name: str
    kind: str
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class View:
    """A plane (two axes) or a line (one) over which a latent's mean is drawn, averaged over everything else.

    axes: their names. low, high: ends of both. cells: into which each is cut. ticks: numbers written on it.
    words: which images a place of the view is the mean of. coordinates: states [n, ...] -> places [n, axes].
    states: () -> states, one a cell, row by row; without it, drawn states are averaged in the cells.
    mirrored: whether a place and its negative are the same image.
    curves: of a line, a number of the curve that each state belongs to, states [n, ...] -> [n], and the curves' labels.
    """
    name: str
    axes: tuple[str, ...]
    low: float
    high: float
    cells: int
    ticks: tuple[float, ...]
    words: str
    coordinates: Callable
    states: Callable | None = None
    mirrored: bool = False
    curves: tuple[Callable, tuple[str, ...]] | None = None


def grid(low, high, cells):
    """The middles of a square's cells, so many a side, x along columns, row by row: [cells ** 2, 2]."""
    line = low + (np.arange(cells) + 0.5) * (high - low) / cells
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
