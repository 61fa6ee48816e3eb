"""How far each latent stands for one factor: measures on codes and factors of the same pictures, in NumPy.

    factors_of: positions -> what there is to find, [samples, factors]
    scores: codes [samples, latents], factors [samples, factors] -> the numbers of disentanglement.json
    change_accuracy: the paper's own measure, from pairs of pictures

Codes are the posterior means of the latents that a model uses. Nothing here knows of models or files.
"""
import itertools

import numpy as np

import ball_generator

BINS = 20  # of equal count, for factors and for latents
LOW, HIGH = ball_generator.RADIUS, ball_generator.BOX - ball_generator.RADIUS  # of a ball's centre, inside the walls


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
    """What a code can stand for, by name, and its values [samples, factors], from positions [samples, balls, 2].

    One ball: its x and y. A picture of more balls is a function of a set without order, in which no ball has a number:
    its factors are the centroid's x and y, and the square of the separation d of two balls as a complex number,
    (dx + i dy)^2, which is the same for d and -d; summed over the pairs.
    """
    if positions.shape[1] == 1:
        return ["x", "y"], positions[:, 0]
    lower, upper = np.tril_indices(positions.shape[1], -1)
    dx, dy = np.moveaxis(positions[:, lower] - positions[:, upper], -1, 0)
    return (["centroid x", "centroid y", "dx² − dy²", "2 dx dy"],
            np.column_stack([*positions.mean(axis=1).T, (dx ** 2 - dy ** 2).sum(-1), (2 * dx * dy).sum(-1)]))


def scores(codes, factors):
    """The measures of a code. A code of no latents gets zeros.

    r2: of each factor, the share of its variance that a linear function of the code explains.
    mig: mutual information gap (Chen et al. 2018, arXiv 1802.04942). Of each factor, the mutual information with the
        best single latent minus that with the second best, over the factor's entropy; averaged over factors.
    axis_score: the same gap between squared correlations (the SAP score of Kumar et al. 2018, arXiv 1711.00848).
    mig_rotated, axis_score_rotated: the two gaps after the rotation that brings the code nearest the factors.
    """
    turned = rotated(codes, factors)
    return {"r2": linear_r2(codes, factors).tolist(),
            "mig": gap(mutual_information(codes, factors)) / np.log(BINS),
            "axis_score": gap(squared_correlation(codes, factors)),
            "mig_rotated": gap(mutual_information(turned, factors)) / np.log(BINS),
            "axis_score_rotated": gap(squared_correlation(turned, factors))}


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
    """The number, from 0 to BINS - 1, of the bin of equal count that each value of a column falls into."""
    edges = np.quantile(values, np.arange(1, BINS) / BINS, axis=0)
    return np.column_stack([np.searchsorted(edge, column, side="right") for edge, column in zip(edges.T, values.T)]
                           or [np.empty((len(values), 0), int)])


def mutual_information(codes, factors):
    """[factors, latents], nats, between quantile bins: from counts, so that independent columns get
    (BINS - 1)^2 / (2 samples) on average, not 0; a gap is nearly free of that."""
    codes, factors = quantile_bin(codes), quantile_bin(factors)
    information = np.zeros((factors.shape[1], codes.shape[1]))
    for i, factor in enumerate(factors.T):
        for j, latent in enumerate(codes.T):
            joint = np.bincount(factor * BINS + latent, minlength=BINS ** 2).reshape(BINS, BINS) / len(codes)
            apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
            there = joint > 0
            information[i, j] = (joint[there] * np.log(joint[there] / apart[there])).sum()
    return information


def gap(values):
    """Best minus second best of each row of [factors, latents], averaged; what is missing counts as 0."""
    ordered = np.sort(np.pad(values, [(0, 0), (2, 0)]), axis=1)
    return float((ordered[:, -1] - ordered[:, -2]).mean())


def rotated(codes, factors):
    """The standardised code, turned to lie nearest the standardised factors: [samples, factors], or [samples, latents]
    where there are fewer of these, turned to the factors that they come nearest.

    Orthogonal Procrustes (Schoenemann 1966): the matrix R with orthonormal columns for which codes @ R is nearest the
    factors in the sum of squares. Where pictures depend on factors alike, as on x and y of one ball, a beta-VAE's loss
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
    shares = np.zeros((factors.shape[1], codes.shape[1]))
    for i, factor in enumerate(bins.T):
        for number in range(BINS):
            inside = codes[factor == number]
            shares[i] += len(inside) / len(codes) * inside.mean(axis=0) ** 2
    return shares


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
    """How often a linear classifier tells which of two factors changed between two pictures, from the absolute
    difference of their codes, [samples, latents] each; chance is 0.5 (after Higgins et al., arXiv 1606.05579v3).

    Fitted by least squares on the first half of the samples, counted on the second.
    """
    differences = np.column_stack([np.abs(first - second), np.ones(len(first))])
    half = len(changed) // 2
    weights = np.linalg.lstsq(differences[:half], 2.0 * changed[:half] - 1, rcond=None)[0]
    return float(((differences[half:] @ weights > 0) == (changed[half:] == 1)).mean())
