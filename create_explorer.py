"""A page to play with: drag the ball and see what each latent says of it; move a latent and see the image.

    python create_explorer.py --figures=figures

writes explorer.html, one file that loads nothing: a double click opens it, and any static site serves it. In it are the
runs with weights, by default those that come with this repository; of large models only with --large. The page itself,
which computes what TensorFlow does, is analysis/explorer.html; this script fills in runs and data sets.
"""
import base64
import json
import os
import pathlib
import re
import sys

import numpy as np

from analysis import map_sheets, maps, plotting, runs
from architecture import MODELS
from training import folder, process
from training.flags import Flag, boolean
from training.progress import say

PAGE = pathlib.Path(process.ROOT, "analysis", "explorer.html")
PLACE = "{} <!-- filled in by create_explorer.py -->"  # in the page
LARGE = 1_000_000  # weights
FLAGS = (
    runs.OF_SHIPPED,
    runs.FIGURES,
    Flag("large", boolean, False, f"also models of more than {LARGE:,} weights, as fully_connected: megabytes a run"),
    Flag("weights", ("half", "float"), "half", "in the page: float16 or float32"),
)
DTYPES = {"half": np.dtype("<f2"), "float": np.dtype("<f4")}
FINE = 40   # cells a side, from which on a map is halved; the page interpolates
GREY = 255  # a map's number where it has no value; the others are colours


def packed(array):
    return base64.b64encode(array.tobytes()).decode()


def numbers_of(values, limit):
    """Maps [latents, rows, columns], from -limit to limit, as a byte a cell: the number of a colour."""
    latents, cells, _ = values.shape
    if cells > FINE:
        values = values.reshape(latents, cells // 2, 2, cells // 2, 2).mean(axis=(2, 4))
    return np.uint8(np.where(np.isnan(values), GREY, np.round((values / limit + 1) / 2 * (GREY - 1))))


def layers_of(run):
    """The rows of the table of its encoder's layers and of its decoder's."""
    n, _, channels = run.data.image_shape
    return MODELS[run.flags.model].layers(run.flags.hidden_size, n, channels)


def check(run, page):
    """The number of a run's weights. Raises ValueError where the page cannot show it: what it knows stands in it as
    DATA_SETS.balls, LAYERS.conv, ACTIVATIONS.elu."""
    known = set(re.findall(r"^(?:DATA_SETS|LAYERS|ACTIVATIONS)\.(\w+) = ", page, re.M))
    words = {run.flags.data_set, *(word for row in sum(layers_of(run), []) for word in row if isinstance(word, str))}
    if words - known:
        raise ValueError(f"analysis/{PAGE.name} does not know {', '.join(sorted(words - known))}")
    return run.vae.model.count_params()


def content_of_run(run, dtype):
    """What the page holds of a run."""
    active = run.numbers["active_latents"]["list"]
    views = planes(run.data) if active else []
    responses = {view.name: maps.response_map(run.vae, view, [row["latent"] for row in active]) for view in views}
    limit = max((maps.centred(values)[1] for values in responses.values()), default=1.0)
    centres = np.nanmean(responses[views[0].name], axis=(1, 2)) if active else []
    parts = {part: {"layers": layers, "weights": packed(np.concatenate(
        [np.asarray(weight, dtype).ravel() for weight in getattr(run.vae.model, part).get_weights()]))}
        for part, layers in zip(("encoder", "decoder"), layers_of(run), strict=True)}
    seed = f", seed {run.flags.seed}" * bool(run.flags.seed)
    return {"name": run.name, "data": run.data.key, "latents": run.vae.latents, "weights": dtype.name, **parts,
            "label": run.label + seed,
            "loss": run.numbers["reconstruction"]["loss"], "limit": limit,
            "active": [{"latent": row["latent"], "name": plotting.symbol(row["latent"]), "range": row["range"],
                        "centre": float(centre)} for row, centre in zip(active, centres, strict=True)],
            "maps": {name: packed(numbers_of(maps.centred(values)[0], limit)) for name, values in responses.items()}}


def content_of_data(data, mine):
    """What the page holds of a data set. mine: its runs."""
    keys = "name", "axes", "low", "high", "words"
    return {"key": data.key, "words": data.words, "kind": mine[0].flags.data_set, "constants": data.constants(),
            "image_shape": data.image_shape, "state_shape": data.state_shape,
            "factors": [{"name": factor.name, "labels": factor.labels} for factor in data.factors],
            "views": [{"exact": bool(view.states), **{key: getattr(view, key) for key in keys}}
                      for view in planes(data)],
            "pair": [run.name for run in runs.pair(mine) or mine[:1]]}


def planes(data):
    return [view for view in data.views if len(view.axes) == 2]


def draw_all(found, figures, large=False, dtype=DTYPES["half"]):
    """Returns whether there is a run that it can show, if only with --large."""
    page = PAGE.read_text(encoding="utf-8")
    sizes = runs.each([run for run in found if run.has_weights], "explorer.html", lambda run: check(run, page))
    chosen = [run for run, size in sizes if large or size <= LARGE]
    if len(chosen) < len(sizes):
        say(f"explorer.html: {len(sizes) - len(chosen)} of {len(sizes)} runs are of large models; --large adds them")
    made = runs.each(runs.with_numbers(chosen, "active_latents", "reconstruction", "stddev"), "explorer.html",
                     lambda run: content_of_run(run, dtype))
    if sizes and not chosen:
        return True
    if not made:
        say("no explorer.html: there is no run with weights that it can show", sys.stderr)
        return False
    by_data = runs.groups([run for run, _ in made], lambda run: run.data)
    paint = map_sheets.colours()
    colours = np.array([*paint(np.linspace(0, 1, GREY)), paint(np.nan)])[:, :3]
    content = {"runs": [content for _, content in made],
               "data_sets": [content_of_data(data, mine) for data, mine in by_data.items()],
               "colours": np.round(255 * colours).astype(int).tolist()}
    page = page.replace(PLACE, json.dumps(content, ensure_ascii=False).replace("<", r"\u003c"))
    path = os.path.join(figures, "explorer.html")
    folder.write_whole(path, page)
    say(f"{path}: {len(made)} runs, {len(page.encode()) / 1e6:.2f} MB")
    return True


def main(words=None):
    flags = runs.parse_flags(__doc__, words, FLAGS)
    return 0 if draw_all(runs.runs_of(flags.train_dir), flags.figures, flags.large, DTYPES[flags.weights]) else 2


if __name__ == "__main__":
    sys.exit(process.run(main))
