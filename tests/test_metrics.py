"""Metrics on made-up codes whose right answer is known, of two numbers (a ball's x and y) and of the paper's five
factors of shapes; independent components of a known mixture."""
import numpy as np
import pytest

from analysis import components, metrics
from analysis.metrics import METRICS, Sample
from factors import Factor

RNG = np.random.default_rng(5)
N = 10_000
NOISE = RNG.standard_normal((N, 8))
TURN = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
XY = Factor("x", "number"), Factor("y", "number")
POSITIONS = RNG.uniform(1.2, 8.8, (N, 2))
FIVE = Factor("shape", "class", ("heart", "oval", "square")), Factor("scale", "number"), Factor("angle", "angle"), *XY
VALUES = np.arange(3), np.linspace(0.5, 1, 6), np.arange(40) * 2 * np.pi / 40, np.arange(32) / 31, np.arange(32) / 31
SHAPES = np.column_stack([RNG.choice(values, N) for values in VALUES])


def scores_of(codes, values=POSITIONS, factors=XY, pairs=None):
    return metrics.scores(Sample(codes, values, factors, pairs))


def turned(codes):
    """The last two columns turned by 45 degrees."""
    return np.column_stack([codes[:, :-2], codes[:, -2:] @ TURN])


@pytest.mark.parametrize("values, factors", [(POSITIONS, XY), (SHAPES, FIVE)])
def test_ideal_code(values, factors):
    found = scores_of(values, values, factors)
    assert found["r2"] == pytest.approx([1] * sum(factor.kind == "number" for factor in factors))
    assert len(found["mig_by_factor"]) == len(factors) and len(found["sap_by_factor"]) == len(found["r2"])
    for value in found["mig_by_factor"] + found["sap_by_factor"] + [found["mig"], found["sap"]]:
        assert 0.98 < value < 1 + 1e-9
    assert set(scores_of(SHAPES, SHAPES[:, [0, 2]], (FIVE[0], FIVE[2]))) == {"mig", "mig_by_factor"}  # no number


@pytest.mark.parametrize("values, factors", [(POSITIONS, XY), (SHAPES, FIVE)])
def test_code_whose_x_and_y_are_rotated_by_45_degrees(values, factors):
    found = scores_of(turned(values), values, factors)
    assert found["r2"] == pytest.approx([1] * len(found["r2"]))
    assert found["sap_by_factor"] == pytest.approx([1] * (len(found["r2"]) - 2) + [0, 0], abs=0.02)
    assert found["mig_by_factor"] == pytest.approx([1] * (len(factors) - 2) + [0, 0], abs=0.03)


def test_order_sign_and_size_of_latents_do_not_matter():
    pairs = pairs_of(SHAPES, VALUES)
    mix = np.eye(5) + 0.2 * NOISE[:5, :5]

    def code(values):
        return np.column_stack([values @ mix, values[:, 3:] @ TURN + 0.3 * values[:, :2]])

    def other(values):
        return code(values)[:, [2, 1, 6, 3, 0, 5, 4]] * [-1, 300, -0.02, 1, 1, 9, 1] + 7

    first, second, changed = pairs
    expected = scores_of(code(SHAPES), SHAPES, FIVE, (code(first), code(second), changed))
    found = scores_of(other(SHAPES), SHAPES, FIVE, (other(first), other(second), changed))
    assert set(found) == set(METRICS)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=2e-3), key


@pytest.mark.parametrize("codes", [NOISE, np.ones((N, 3)), np.empty((N, 0))])
def test_noise_and_no_code(codes):
    for values, factors in (POSITIONS, XY), (SHAPES, FIVE):
        found = scores_of(codes, values, factors)
        for key in set(METRICS) - {"change_accuracy"}:
            assert np.max(np.abs(found[key])) < 0.02, key


def test_closed_forms():
    noisy = POSITIONS + POSITIONS.std(axis=0) * np.array([0.5, 2]) * NOISE[:, :2]
    for key in "r2", "sap_by_factor":
        assert scores_of(noisy)[key] == pytest.approx([1 / 1.25, 1 / 5], abs=0.02)


def test_bins():
    def counts(column, kind):
        return np.unique(metrics.bins_of(np.array(column)[:, None], [kind]), return_counts=True)[1].tolist()

    assert counts([0] * 97 + [1] * 2 + [5], "class") == counts([0] * 97 + [1] * 2 + [5], "number") == [97, 2, 1]
    assert counts(np.arange(30), "class") == [1] * 30
    assert counts(POSITIONS[:, 0], "number") == pytest.approx([N / 20] * 20, abs=3)
    assert counts(np.arange(8) * np.pi / 2, "angle") == [2] * 4            # after a whole turn, the same angle
    assert counts(np.arange(8) * np.pi / 2 - 1e-9, "angle") == [2] * 4
    assert counts(np.arange(4000) * np.pi / 1000 + 1, "angle") == pytest.approx([200] * 20, abs=4)


def slow_mutual_information(a, b):
    """Of two columns of bins, in nats, bin by bin."""
    return sum(p * np.log(p / (a == i).mean() / (b == j).mean())
               for i in set(a) for j in set(b) for p in [((a == i) & (b == j)).mean()] if p)


def test_gaps_and_shares_bin_by_bin():
    """Codes of all kinds, each a function of factors of all kinds, and noise."""
    codes = np.column_stack([SHAPES[:, 4] ** 2 + 0.1 * NOISE[:, 0], SHAPES[:, 0] * 3 + SHAPES[:, 1],
                             np.cos(SHAPES[:, 2]) + 0.1 * NOISE[:, 1], SHAPES[:, 3] + SHAPES[:, 0] + 0.1 * NOISE[:, 3],
                             NOISE[:, 2]])
    latents = np.argsort(np.argsort(codes, axis=0), axis=0) * 20 // N  # of equal count, where no two are the same
    latents[:, 1] = np.unique(codes[:, 1].round(6), return_inverse=True)[1]
    sample = Sample(codes, SHAPES, FIVE)
    bins, found, shares = sample.bins, metrics.information_gaps(sample), metrics.explained(sample)
    for factor in range(5):
        entropy = -sum(p * np.log(p) for p in [(bins[:, factor] == i).mean() for i in set(bins[:, factor])])
        expected = [slow_mutual_information(latents[:, i], bins[:, factor]) for i in range(5)]
        made = metrics.mutual_information(metrics.bins_of(codes, ["number"] * 5), bins)[factor]
        assert made == pytest.approx(expected, abs=0.01)
        first, second = sorted(expected)[:-3:-1]
        assert found[factor] == pytest.approx((first - second) / entropy, abs=0.01)
        for latent in range(5):
            parts = [codes[bins[:, factor] == i, latent] for i in set(bins[:, factor])]
            between = sum(len(part) * (part.mean() - codes[:, latent].mean()) ** 2 for part in parts) / N
            assert shares[factor, latent] == pytest.approx(between / codes[:, latent].var())


def test_a_factor_that_never_changes():
    found = scores_of(SHAPES, SHAPES * [1, 1, 0, 1, 1], FIVE)
    assert found["mig_by_factor"] == pytest.approx([1, 1, 0, 1, 1], abs=0.02)


def test_rounding_moves_no_code_that_is_the_same_for_many_images():
    """A latent of all_conv sees a ball that is near; of all others its mean is the same but for rounding."""
    near = np.maximum(0, POSITIONS - 6)
    shaken = near + 1e-7 * NOISE[:, :2]
    assert scores_of(shaken)["mig"] == pytest.approx(scores_of(near)["mig"], abs=2e-3)


def pairs_of(first, values):
    """first, and the same with one factor set to another of its values, or drawn anew where there are no lists."""
    changed = RNG.integers(0, first.shape[1], len(first))
    second = first.copy()
    for factor in range(first.shape[1]):
        at = np.flatnonzero(changed == factor)
        second[at, factor] = [RNG.choice(values[factor][values[factor] != old]) if values else RNG.uniform(1.2, 8.8)
                              for old in first[at, factor]]
    return first, second, changed


TWO, MANY = pairs_of(np.tile(POSITIONS, (2, 1)), None), pairs_of(SHAPES, VALUES)


@pytest.mark.parametrize("pairs, code, expected", [
    (TWO, lambda x: x, 1), (TWO, turned, 0.5), (TWO, lambda x: 3 - x[:, ::-1] * 9, 1), (TWO, lambda x: x[:, :0], 0.5),
    (TWO, lambda x: RNG.standard_normal(x.shape), 0.5), (TWO, lambda x: RNG.standard_normal((len(x), 300)), 0.5),
    (MANY, lambda x: x, 1), (MANY, lambda x: 3 - x[:, ::-1] * [1, 9, 1e-4, 1, 1], 1), (MANY, turned, 0.8),
    (MANY, lambda x: x[:, :2], 0.6), (MANY, lambda x: x[:, :0], 0.2),
    (MANY, lambda x: RNG.standard_normal((len(x), 200)), 0.2)])
def test_change_accuracy(pairs, code, expected):
    first, second, changed = pairs
    found = metrics.change_accuracy(code(first), code(second), changed)
    assert found == pytest.approx(expected, abs=0.03 if expected < 1 else 0.02)


def test_logistic_regression_is_at_its_maximum():
    """There the gradient of the log probability is that of the penalty."""
    classes = RNG.integers(0, 4, 1000)
    inputs = np.column_stack([0.7 * np.eye(4)[classes] + 0.3 * NOISE[:1000, :4], np.ones(1000)])
    weights = metrics.logistic_regression(inputs, classes)
    gradient = np.zeros((5, 4))
    for x, right in zip(inputs, classes, strict=True):
        chances = np.exp(x @ weights) / np.exp(x @ weights).sum()
        for k in range(4):
            gradient[:, k] += x * ((k == right) - chances[k])
    assert np.abs(weights).max() > 1 and gradient == pytest.approx(weights, abs=0.02)


def test_independent_components():
    """Each is one of the ten sources of a mixture, to its sign, whether this is flatter than a normal or has longer
    tails."""
    sources = np.column_stack([RNG.uniform(-1, 1, (N, 5)), RNG.laplace(size=(N, 5))])
    mixture = sources @ RNG.standard_normal((10, 10)) + 3
    found = mixture @ components.independent_components(mixture, (0, 1))
    assert np.cov(found.T) == pytest.approx(np.eye(10), abs=0.001)
    nearness = np.abs(np.corrcoef(sources.T, found.T)[:10, 10:])
    assert (nearness.max(axis=0) > 0.99).all() and sorted(nearness.argmax(axis=0)) == list(range(10))
    assert (found == mixture @ components.independent_components(mixture, (0, 1))).all()
    principal = components.principal_components(NOISE * np.arange(1, 9), 3)
    assert np.abs(principal) == pytest.approx(np.eye(8)[:, -3:], abs=0.1)
