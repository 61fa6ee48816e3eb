"""What each latent encodes, as arrays: its mean over the data set's views, and images while it is changed.

    response_maps(vae, latents)          -> view's name: [latents, rows, columns], or [latents, curves, cells] of a line
    traverse(vae, codes, latents, values) -> [latents, values, rows, columns], images with one latent changed
"""
import functools

import numpy as np

from analysis.samples import SAMPLES, states_of
from training.seeds import Evaluation

RARE = 3                # of a cell with fewer drawn states the mean is not shown
RANGE = (0.01, 0.99)    # quantiles of the aggregate posterior: the range that a latent takes
BASES = 64              # codes among which that to change is looked for


def response_maps(vae, latents):
    """The latents' means over every view of the data set: of a plane [latents, rows, columns], rows downwards as in an
    image, of a line [latents, curves, cells]; NaN where too few states are."""
    return {view.name: response_map(vae, view, latents) for view in vae.data.views}


def response_map(vae, view, latents):
    if view.states:
        return over_view(view, vae.encode_states(view.states())[0][:, latents])
    states, mean = states_of(vae.data)[0], vae.codes[0][:, latents]
    places, curve, count = view.coordinates(states), np.zeros(len(states), int), 1
    if view.curves:
        curve, count = view.curves[0](states), len(view.curves[1])
    if view.mirrored:
        places, curve, mean = np.concatenate([places, -places]), np.tile(curve, 2), np.tile(mean, (2, 1))
    return average_in_cells(view, places, curve, count, mean)


def over_view(view, code):
    """A code of a view's states, [cells ** axes, latents], as maps [latents, rows, cells]; a line has one row."""
    return code.T.reshape(-1, view.cells ** (len(view.axes) - 1), view.cells)


def average_in_cells(view, places, curve, curves, values):
    """Values [samples, latents] averaged over places [samples, axes] in a view's cells, each curve by itself:
    [latents, rows, columns] of a plane, [latents, curves, cells] of a line."""
    number = np.clip((places - view.low) / (view.high - view.low) * view.cells, 0, view.cells - 1).astype(int)
    cell = number[:, 0] if len(view.axes) == 1 else number[:, 1] * view.cells + number[:, 0]
    cells = view.cells ** len(view.axes)
    cell, total = curve * cells + cell, curves * cells
    counts = np.bincount(cell, minlength=total)
    sums = np.array([np.bincount(cell, latent, total) for latent in values.T])
    means = sums / np.where(counts >= RARE, counts, np.nan)
    return means.reshape(-1, total // view.cells, view.cells)


def centred(maps):
    """Maps [..., rows, columns] less the average of each, and the limit of their common colour scale: at least 1, so
    that a latent that does nothing is white."""
    values = maps - np.nanmean(maps, axis=(-2, -1), keepdims=True)
    return values, max(1.0, float(np.nanmax(np.abs(values))))


def ranges(vae, latents):
    """[latents, 2]: the range that each latent takes, quantiles of the aggregate posterior: of the codes sampled for
    the images of drawn states. (−3 to 3 is more than most latents ever reach.)"""
    mean, stddev = (values[:, latents] for values in vae.codes)
    return np.quantile(mean + stddev * code_noise(vae.latents)[:, latents], RANGE, axis=0).T


@functools.cache
def code_noise(latents):
    """Of the sampled codes, the same for all models of as many latents: [samples, latents]."""
    return np.random.default_rng(Evaluation.CODES.seed).standard_normal((SAMPLES, latents))


def bases(vae, latents):
    """[latents, latents of the model]: for each latent, the code in which it changes the image most, among the means of
    the first drawn states. (A local latent changes nothing in most images.)"""
    codes = vae.codes[0][:BASES]
    found = []
    for latent, ends in zip(latents, ranges(vae, latents), strict=True):
        low, high = (vae.decode(changed(codes, latent, end)) for end in ends)
        found.append(codes[np.abs(high - low).reshape(len(codes), -1).sum(axis=1).argmax()])
    return np.array(found).reshape(-1, vae.latents)


def changed(codes, latent, values):
    """Codes [..., latents of the model] with one latent set to values [...]."""
    codes = np.array(codes)
    codes[..., latent] = values
    return codes


def traverse(vae, codes, latents, values):
    """Images [latents, values, rows, columns] of a code each [latents, latents of the model], with that latent set to
    each of its values [latents, values]."""
    codes = np.array([changed(np.tile(code, (len(row), 1)), latent, row)
                      for code, latent, row in zip(codes, latents, values, strict=True)])
    images = vae.decode(codes.reshape(-1, vae.latents))
    return images.reshape(*np.shape(values), *images.shape[1:])


def grid_of_images(vae, a, b, n):
    """[n, n, rows, columns]: images of the first drawn state's code, latent a from low to high along the columns, b
    along the rows."""
    across, down = (np.linspace(*ends, n) for ends in ranges(vae, [a, b]))
    codes = changed(changed(np.tile(vae.codes[0][0], (n, n, 1)), a, across[None, :]), b, down[:, None])
    images = vae.decode(codes.reshape(n * n, -1))
    return images.reshape(n, n, *images.shape[1:])
