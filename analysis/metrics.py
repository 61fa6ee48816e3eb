"""How far each latent encodes one factor: metrics on codes and factors of the same images, in NumPy.

    found = scores(Sample(codes, values, factors))    the scores of numbers.json, one a metric
    METRICS                                           the table of metrics; a new one is a row

Codes are the posterior means of the active latents. Nothing here knows of data sets, models or files.
"""
import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np

BINS = 20    # at most, of a latent and of a factor that is no class
STEPS = 100  # of the logistic regression: of codes of 5 and 10 latents, more moved the accuracy by less than 0.001


@dataclasses.dataclass
class Sample:
    """A code to be scored.

    codes: [samples, latents]. values: [samples, factors]. factors: a factors.Factor each.
    pairs: the codes of two sets of images that differ in one factor, and the number of that factor: [pairs, latents],
        [pairs, latents], [pairs]; None where the data set has none.
    """
    codes: np.ndarray
    values: np.ndarray
    factors: tuple
    pairs: tuple | None = None

    @functools.cached_property
    def bins(self):
        """The bin of each value: [samples, factors]."""
        return bins_of(self.values, [factor.kind for factor in self.factors])

    @functools.cached_property
    def numbers(self):
        """The code and those factors that are numbers: a correlation with a class or an angle means nothing."""
        kept = [factor.kind == "number" for factor in self.factors]
        return Sample(self.codes, self.values.compress(kept, axis=1), tuple(itertools.compress(self.factors, kept)))


@dataclasses.dataclass(frozen=True)
class Metric:
    """A row of METRICS. function: a Sample -> a number, a list of one a factor, or None where it does not apply.
    limits: of its axis in figures; None: it is in the JSON and the table alone."""
    title: str
    function: Callable
    limits: tuple | None = None


def scores(sample):
    """Every metric of a code that applies to it, by key. A code of no latents gets zeros."""
    values = {key: metric.function(sample) for key, metric in METRICS.items()}
    return {key: value for key, value in values.items() if value is not None}


def standardised(values):
    """Columns brought to mean 0 and variance 1; a constant column to 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


def bins_of(values, kinds):
    """The number, from 0 on, of the bin that each value falls into: [samples, columns].

    A column of at most BINS distinct values, and every class, has a bin for each value. Other columns have BINS bins of
    equal count: an angle too, from 0 to a whole turn. (In bins of equal width, 40 orientations would be cut at other
    places than a latent that is the orientation itself, and its gap would be 0.83, not 0.99.)

    Numbers closer than 1e-4 of the column's stddev count as equal: a code that is the same for many images, as
    all_conv's is for all whose ball is elsewhere, would else be split by rounding alone. So do angles closer than
    1e-4 of a turn.
    """
    rounded = {"number": standardised(values).round(4), "angle": (values / (2 * np.pi)).round(4) % 1, "class": values}
    found = np.empty(values.shape, int)
    for place, kind in enumerate(kinds):
        column = rounded[kind][:, place]
        distinct, found[:, place] = np.unique(column, return_inverse=True)
        if kind != "class" and len(distinct) > BINS:
            edges = np.quantile(column, np.arange(1, BINS) / BINS)
            found[:, place] = np.searchsorted(edges, column, side="right")
    return found


def linear_r2(codes, values):
    """[factors]: share of each factor's variance explained by least squares on all latents and a constant."""
    codes, values = standardised(codes), standardised(values)
    weights = np.linalg.lstsq(codes, values, rcond=None)[0]
    return 1 - ((values - codes @ weights) ** 2).mean(axis=0)


def squared_correlation(codes, values):
    """[factors, latents]."""
    return (standardised(values).T @ standardised(codes) / len(codes)) ** 2


def mutual_information(latents, factors):
    """[factors, latents], nats, of bins [samples, latents] and [samples, factors]: from counts, so that independent
    columns of a and b bins get (a - 1) (b - 1) / (2 samples) on average, not 0; a gap is nearly free of that."""
    shape = factors.shape[1], latents.shape[1], factors.max(initial=0) + 1, latents.max(initial=0) + 1
    cell = np.arange(shape[0] * shape[1]).reshape(shape[:2]) * shape[2] * shape[3]    # of each pair of columns
    cell = cell + factors[:, :, None] * shape[3] + latents[:, None, :]                # [samples, factors, latents]
    joint = np.bincount(cell.ravel(), minlength=np.prod(shape)).reshape(shape) / len(latents)
    apart = joint.sum(axis=3, keepdims=True) * joint.sum(axis=2, keepdims=True)
    terms = np.where(joint > 0, joint * np.log(np.where(joint > 0, joint / np.where(apart > 0, apart, 1), 1)), 0)
    return terms.sum(axis=(2, 3))


def gaps(values):
    """Best minus second best of each row of [factors, latents]; what is missing counts as 0."""
    ordered = np.sort(np.pad(values, [(0, 0), (2, 0)]), axis=1)
    return ordered[:, -1] - ordered[:, -2]


def information_gaps(sample):
    """A list of one a factor: Chen et al. 2018, arXiv 1802.04942: the mutual information with the best single latent
    minus that with the second best, over the factor's entropy; 0 for a factor that is the same in all samples."""
    latents = bins_of(sample.codes, ["number"] * sample.codes.shape[1])
    entropy = np.diag(mutual_information(sample.bins, sample.bins))  # what a factor tells of itself
    return (gaps(mutual_information(latents, sample.bins)) / np.where(entropy > 0, entropy, 1)).tolist()


def correlation_gaps(sample):
    """A list of one a factor that is a number: Kumar et al. 2018, arXiv 1711.00848: the same gap between squared
    correlations. (They take a classifier's accuracy for a class; it is left out here.)"""
    return gaps(squared_correlation(sample.codes, sample.numbers.values)).tolist()


def mean(values):
    return float(np.mean(values)) if values else None


def explained(sample):
    """[factors, latents]: share of each latent's variance between the factor's bins (the correlation ratio), whether
    the latent follows the factor along a line or a curve."""
    codes, bins = standardised(sample.codes), sample.bins
    inside = (bins[..., None] == np.arange(bins.max() + 1)).astype(float)             # [samples, factors, bins]
    counts = inside.sum(axis=0)
    means = np.einsum("sfb,sl->fbl", inside, codes, optimize=True) / np.maximum(counts, 1)[..., None]
    return (counts[..., None] / len(codes) * means ** 2).sum(axis=1)


def change_accuracy(first, second, changed):
    """How often a linear classifier tells which factor changed between two images, from the absolute difference of
    their codes, [pairs, latents] each; chance is 1 / factors (after Higgins et al., arXiv 1606.05579v3, who do not say
    how they took the difference, nor the classifier's loss).

    Fitted on the first half of the pairs, counted on the second. Two factors: by least squares. More: by logistic
    regression. Least squares counts it as an error that a large change is told with certainty, so that it tells fewer
    of the small ones.
    """
    differences = np.abs(first - second)
    half = len(changed) // 2
    if changed.max() < 2:
        differences = np.pad(differences, [(0, 0), (0, 1)], constant_values=1)
        weights = np.linalg.lstsq(differences[:half], 2.0 * changed[:half] - 1, rcond=None)[0]
        told = differences[half:] @ weights > 0
    else:
        differences = np.pad(standardised(differences.astype(float)), [(0, 0), (0, 1)], constant_values=1)
        told = (differences[half:] @ logistic_regression(differences[:half], changed[:half])).argmax(axis=1)
    return float((told == changed[half:]).mean())


def logistic_regression(inputs, classes):
    """Weights [columns, classes] that maximise the log probability of classes [samples], counted from 0, less half the
    sum of squares of the weights (as scikit-learn does by default).

    Each step is a least-squares fit of all columns to what the probabilities miss: Newton's, with a bound in place of
    the second derivatives, the same at all steps (Böhning 1992, Annals of the Institute of Statistical Mathematics
    44), and Nesterov's momentum.
    """
    targets = np.eye(classes.max() + 1)[classes]
    inverse = np.linalg.inv(inputs.T @ inputs / 2 + np.eye(inputs.shape[1]))
    weights = ahead = np.zeros((inputs.shape[1], targets.shape[1]))
    for step in range(STEPS):
        logits = inputs @ ahead
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        last, weights = weights, ahead + inverse @ (inputs.T @ (targets - chances) - ahead)
        ahead = weights + step / (step + 3) * (weights - last)
    return weights


METRICS = {
    # Of each factor, the share of its variance that a linear function of the code explains.
    "r2": Metric("linear R²", lambda s: linear_r2(s.codes, s.numbers.values).tolist() or None, (-0.03, 1.08)),
    "mig": Metric("mutual information gap", lambda s: mean(information_gaps(s)), (-0.03, 1.08)),
    "mig_by_factor": Metric("mutual information gap of each factor", information_gaps),
    "sap": Metric("SAP score", lambda s: mean(correlation_gaps(s)), (-0.03, 1.08)),
    "sap_by_factor": Metric("SAP score of each factor", lambda s: correlation_gaps(s) or None),
    # How often a linear classifier tells which factor changed.
    "change_accuracy": Metric("accuracy: which factor changed?",
                              lambda s: change_accuracy(*s.pairs) if s.pairs else None, (0, 1.05)),
}
