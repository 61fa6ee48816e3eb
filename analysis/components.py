"""Linear codes of images, made without a network: what a network's scores are held against.

    axes = principal_components(images, 10)                    images [n, pixels]; codes are images @ axes
    turn = independent_components(images @ axes, seed)         codes are images @ axes @ turn
"""
import numpy as np

STEPS = 1000  # FastICA stops by itself long before, where sources can be told apart


def principal_components(values, components):
    """[columns, components]: the orthonormal axes along which values [samples, columns] vary most."""
    centred = values - values.mean(axis=0)
    return np.linalg.eigh(centred.T @ centred)[1][:, -components:]


def independent_components(values, seed):
    """[columns, columns]: the matrix that turns values [samples, columns] into uncorrelated components of variance 1
    that depend on each other least. A function of the values and the seed, a tuple of ints.

    FastICA (Hyvärinen 1999), all components at once, contrast log cosh. A column without variance stays one.
    """
    centred = values - values.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(values))
    whiten = axes / np.sqrt(np.maximum(variances, 1e-9 * variances.max()))
    white = centred @ whiten
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal(axes.shape))[0]
    for _ in range(STEPS):
        slopes = np.tanh(white @ turn)
        left, _, right = np.linalg.svd(white.T @ slopes / len(white) - turn * (1 - slopes ** 2).mean(axis=0))
        last, turn = turn, left @ right
        if np.abs(np.abs((last * turn).sum(axis=0)) - 1).max() < 1e-9:
            break
    return whiten @ turn
