"""How far each latent encodes one factor: metrics on codes and factors of the same images, in NumPy.

    factors_of: positions -> what there is to find, [samples, factors]
    scores: Sample -> the numbers of disentanglement.json, one a metric
    METRICS: the table of metrics; a new one is a row

Codes are the posterior means of the active latents. Nothing here knows of models or files.
"""
import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np

import ball_generator

BINS = 20  # of equal count, for factors and for latents
LOW, HIGH = ball_generator.RADIUS, ball_generator.BOX - ball_generator.RADIUS  # of a ball's centre, inside the walls


@dataclasses.dataclass
class Sample:
    """A code to be scored.

    codes: [samples, latents]. factors: [samples, factors].
    pairs: of one ball, the codes of two sets of images that differ in one factor, and which factor: [pairs, latents],
        [pairs, latents], [pairs].
    """
    codes: np.ndarray
    factors: np.ndarray
    pairs: tuple | None = None

    @functools.cached_property
    def rotated(self):
        return rotated(self.codes, self.factors)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A row of METRICS. function: a Sample -> a number, one a factor, or None where it does not apply. limits: of its
    axis in figures; None: it is in the JSON and the table alone."""
    title: str
    function: Callable
    limits: tuple | None = None


def scores(sample):
    """Every metric of a code, by key. A code of no latents gets zeros."""
    values = {key: metric.function(sample) for key, metric in METRICS.items()}
    return {key: value for key, value in values.items() if value is not None}


def random_positions(seed, samples, num_balls):
    """Positions drawn one by one, not along trajectories: [samples, balls, 2], box units, uniform over the box inside
    the walls; balls of a sample that overlap are all redrawn. A function of the seed, a tuple of ints."""
    rng = np.random.default_rng(seed)
    lower, upper = np.tril_indices(num_balls, -1)
    positions = np.empty((0, num_balls, 2))
    while len(positions) < samples:
        tries = rng.uniform(LOW, HIGH, (10000, num_balls, 2))
        gaps = tries[:, lower] - tries[:, upper]
        apart = ((gaps ** 2).sum(-1) >= (2 * ball_generator.RADIUS) ** 2).all(-1)
        positions = np.concatenate([positions, tries[apart]])
    return positions[:samples]


def factors_of(positions):
    """What a code can encode, by name, and its values [samples, factors], from positions [samples, balls, 2].

    One ball: its x and y. An image of more balls is a function of a set without order, in which no ball has a number:
    its factors are the centroid's x and y, and the square of the separation d of two balls as a complex number,
    (dx + i dy)^2, which is the same for d and -d; summed over the pairs.
    """
    if positions.shape[1] == 1:
        return ["x", "y"], positions[:, 0]
    lower, upper = np.tril_indices(positions.shape[1], -1)
    dx, dy = np.moveaxis(positions[:, lower] - positions[:, upper], -1, 0)
    return (["centroid x", "centroid y", "dx² − dy²", "2 dx dy"],
            np.column_stack([*positions.mean(axis=1).T, (dx ** 2 - dy ** 2).sum(-1), (2 * dx * dy).sum(-1)]))


def standardised(values):
    """Columns brought to mean 0 and variance 1; a constant column to 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


def linear_r2(codes, factors):
    """[factors]: share of each factor's variance explained by least squares on all latents and a constant."""
    codes, factors = standardised(codes), standardised(factors)
    weights = np.linalg.lstsq(codes, factors, rcond=None)[0]
    return 1 - ((factors - codes @ weights) ** 2).mean(axis=0)


def squared_correlation(codes, factors):
    """[factors, latents]."""
    return (standardised(factors).T @ standardised(codes) / len(codes)) ** 2


def quantile_bin(values):
    """The number, from 0 to BINS - 1, of the bin of equal count that each value of a column falls into. Values closer
    than 1e-4 of the column's stddev count as equal: a code that is the same for many images, as all_conv's is for all
    whose ball is elsewhere, would else be split by rounding alone."""
    values = standardised(values).round(4)
    edges = np.quantile(values, np.arange(1, BINS) / BINS, axis=0)
    columns = [np.searchsorted(*pair, side="right") for pair in zip(edges.T, values.T, strict=True)]
    return np.column_stack(columns or [np.empty((len(values), 0), int)])


def mutual_information(codes, factors):
    """[factors, latents], nats, between quantile bins: from counts, so that independent columns get
    (BINS - 1)^2 / (2 samples) on average, not 0; a gap is nearly free of that."""
    shape = factors.shape[1], codes.shape[1], BINS, BINS
    latents, factors = quantile_bin(codes), quantile_bin(factors)
    cell = np.arange(shape[0] * shape[1]).reshape(shape[:2]) * BINS ** 2              # of each pair of columns
    cell = cell + factors[:, :, None] * BINS + latents[:, None, :]                    # [samples, factors, latents]
    joint = np.bincount(cell.ravel(), minlength=np.prod(shape)).reshape(shape) / len(codes)
    apart = joint.sum(axis=3, keepdims=True) * joint.sum(axis=2, keepdims=True)
    terms = np.where(joint > 0, joint * np.log(np.where(joint > 0, joint / np.where(apart > 0, apart, 1), 1)), 0)
    return terms.sum(axis=(2, 3))


def gap(values):
    """Best minus second best of each row of [factors, latents], averaged; what is missing counts as 0."""
    ordered = np.sort(np.pad(values, [(0, 0), (2, 0)]), axis=1)
    return float((ordered[:, -1] - ordered[:, -2]).mean())


def rotated(codes, factors):
    """The standardised code, turned to lie nearest the standardised factors: [samples, factors], or [samples, latents]
    where there are fewer of these, turned to the factors that they come nearest.

    Orthogonal Procrustes (Schoenemann 1966): the matrix R with orthonormal columns for which codes @ R is nearest the
    factors in the sum of squares. Where images depend on factors alike, as on x and y of one ball, a beta-VAE's loss
    cannot tell their axes from axes turned by any angle: this takes the turn away. Of more latents than factors it
    takes those directions that lie nearest these.
    """
    codes, factors = standardised(codes), standardised(factors)
    best, turned = -1.0, None
    for chosen in itertools.combinations(range(factors.shape[1]), min(codes.shape[1], factors.shape[1])):
        left, nearness, right = np.linalg.svd(codes.T @ factors[:, chosen], full_matrices=False)
        if nearness.sum() > best:
            best, turned = nearness.sum(), codes @ (left @ right)
    return turned


def explained(codes, factors):
    """[factors, latents]: share of each latent's variance between the factor's bins (the correlation ratio), whether
    the latent follows the factor along a line or a curve."""
    codes, bins = standardised(codes), quantile_bin(factors)
    inside = (bins[..., None] == np.arange(BINS)).astype(float)                       # [samples, factors, bins]
    counts = inside.sum(axis=0)
    means = np.einsum("sfb,sl->fbl", inside, codes, optimize=True) / np.maximum(counts, 1)[..., None]
    return (counts[..., None] / len(codes) * means ** 2).sum(axis=1)


def random_pairs(seed, samples):
    """Pairs of positions of one ball that differ in one coordinate, redrawn uniformly: two of [samples, 1, 2], and
    which coordinate it is, [samples]. A function of the seed, a tuple of ints."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(LOW, HIGH, (samples, 1, 2))
    changed = rng.integers(0, 2, samples)
    second = first.copy()
    second[np.arange(samples), 0, changed] = rng.uniform(LOW, HIGH, samples)
    return first, second, changed


def change_accuracy(first, second, changed):
    """How often a linear classifier tells which of two factors changed between two images, from the absolute
    difference of their codes, [samples, latents] each; chance is 0.5 (after Higgins et al., arXiv 1606.05579v3).

    Fitted by least squares on the first half of the samples, counted on the second.
    """
    differences = np.pad(np.abs(first - second), [(0, 0), (0, 1)], constant_values=1)
    half = len(changed) // 2
    weights = np.linalg.lstsq(differences[:half], 2.0 * changed[:half] - 1, rcond=None)[0]
    return float(((differences[half:] @ weights > 0) == (changed[half:] == 1)).mean())


METRICS = {
    # Of each factor, the share of its variance that a linear function of the code explains.
    "r2": Metric("linear R²", lambda s: linear_r2(s.codes, s.factors).tolist(), (-0.03, 1.08)),
    # Chen et al. 2018, arXiv 1802.04942: of each factor, the mutual information with the best single latent minus that
    # with the second best, over the factor's entropy; averaged over factors.
    "mig": Metric("mutual information gap", lambda s: gap(mutual_information(s.codes, s.factors)) / np.log(BINS),
                  (-0.03, 1.08)),
    # Kumar et al. 2018, arXiv 1711.00848: the same gap between squared correlations.
    "axis_score": Metric("SAP score", lambda s: gap(squared_correlation(s.codes, s.factors)), (-0.03, 1.08)),
    # The two gaps after the rotation that brings the code nearest the factors.
    "mig_rotated": Metric("mutual information gap, rotated",
                          lambda s: gap(mutual_information(s.rotated, s.factors)) / np.log(BINS)),
    "axis_score_rotated": Metric("SAP score, rotated", lambda s: gap(squared_correlation(s.rotated, s.factors))),
    # Higgins et al., arXiv 1606.05579v3: how often a linear classifier tells which factor changed.
    "change_accuracy": Metric("accuracy: which factor changed?",
                              lambda s: change_accuracy(*s.pairs) if s.pairs else None, (0.45, 1.05)),
}
