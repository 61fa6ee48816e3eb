"""Metrics on made-up codes whose right answer is known; scores, response maps and traversals of made-up networks."""
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from analysis import animation, maps, metrics, scores
from analysis.metrics import METRICS, Sample

RNG = np.random.default_rng(5)
POSITIONS = metrics.random_positions((5,), 10_000, 1)
FACTORS = metrics.factors_of(POSITIONS)[1]
NOISE = RNG.standard_normal((10_000, 8))
TURN = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
GAPS = "mig", "axis_score"
ROTATED = "mig_rotated", "axis_score_rotated"


def scores_of(codes, factors=FACTORS):
    return metrics.scores(Sample(codes, factors))


def test_positions():
    two = metrics.random_positions((1, 2), 4000, 2)
    assert (two == metrics.random_positions((1, 2), 4000, 2)).all()
    assert (two != metrics.random_positions((1, 3), 4000, 2)).any()
    assert two.min() >= 1.2 and two.max() <= 8.8 and np.hypot(*(two[:, 0] - two[:, 1]).T).min() >= 2.4
    assert POSITIONS.shape == (10_000, 1, 2)
    assert POSITIONS.mean(axis=(0, 1)) == pytest.approx([5, 5], abs=0.1)        # uniform on [1.2, 8.8]
    assert POSITIONS.var(axis=(0, 1)) == pytest.approx([7.6 ** 2 / 12] * 2, rel=0.05)


def test_factors():
    names, factors = metrics.factors_of(np.array([[[2, 3]], [[5, 7]]]))
    assert names == ["x", "y"] and factors.tolist() == [[2, 3], [5, 7]]
    two = metrics.random_positions((1,), 100, 2)
    names, factors = metrics.factors_of(two)
    assert len(names) == 4
    np.testing.assert_allclose(metrics.factors_of(two[:, ::-1])[1], factors)  # which ball is first is nothing
    np.testing.assert_allclose(metrics.factors_of(np.array([[[2, 3], [5, 7]]]))[1], [[3.5, 5, 9 - 16, 24]])


def test_aligned_code():
    found = scores_of(FACTORS)
    assert found["r2"] == pytest.approx([1, 1])
    for key in *GAPS, *ROTATED:
        assert 0.98 < found[key] < 1 + 1e-9


def test_code_rotated_by_45_degrees():
    found = scores_of(FACTORS @ TURN)
    assert found["r2"] == pytest.approx([1, 1])
    for key in GAPS:
        assert 0 <= found[key] < 0.03
    assert found["axis_score_rotated"] > 0.98 and found["mig_rotated"] > 0.9


def test_a_code_is_rotated_as_a_whole():
    """And not sheared: x and x + y stay at 45 degrees to each other."""
    sheared = np.column_stack([FACTORS[:, 0], FACTORS.sum(axis=1)])
    codes = metrics.rotated(sheared, FACTORS)
    before, after = (np.linalg.svd(code, compute_uv=False) for code in (metrics.standardised(sheared), codes))
    np.testing.assert_allclose(after, before)
    assert after[0] > 2 * after[1]


def test_order_sign_and_size_of_latents_do_not_matter():
    codes = np.column_stack([FACTORS @ TURN + NOISE[:, :2], NOISE[:, 2:4]])
    other = codes[:, [2, 1, 3, 0]] * [-1, 3, -0.2, 1] + 7
    for key, value in scores_of(codes).items():
        assert scores_of(other)[key] == pytest.approx(value, abs=1e-3), key


def test_each_factor_has_its_own_r2():
    """The first factor through noise, the second not at all."""
    found = scores_of(np.column_stack([FACTORS[:, 0] + FACTORS[:, 0].std() * NOISE[:, 0], NOISE[:, 1]]))
    assert found["r2"] == pytest.approx([0.5, 0], abs=0.02)


def test_noise_and_no_code():
    for codes in NOISE, np.ones((10_000, 3)), np.empty((10_000, 0)):
        found = scores_of(codes)
        assert found["r2"] == pytest.approx([0, 0], abs=0.01)
        for key in *GAPS, *ROTATED:
            assert 0 <= found[key] < 0.02, key
    assert scores_of(np.empty((10_000, 0)))["r2"] == pytest.approx([0, 0])


def test_a_factor_captured_twice():
    found = scores_of(np.column_stack([FACTORS, FACTORS + 1e-6 * NOISE[:, :2]]))
    assert found["mig"] < 0.01 and found["axis_score"] < 0.01 and found["axis_score_rotated"] > 0.98


def test_one_latent_for_two_factors():
    found = scores_of(FACTORS[:, 1:])
    assert found["r2"] == pytest.approx([0, 1], abs=0.01)
    for key in *GAPS, *ROTATED:
        assert found[key] == pytest.approx(0.5, abs=0.02), key


def test_closed_forms():
    noisy = FACTORS + FACTORS.std(axis=0) * np.array([0.5, 2]) * NOISE[:, :2]
    assert scores_of(noisy)["r2"] == pytest.approx([1 / 1.25, 1 / 5], abs=0.02)
    assert scores_of(noisy)["axis_score"] == pytest.approx((1 / 1.25 + 1 / 5) / 2, abs=0.02)
    rho = 0.9  # of two normals: -log(1 - rho^2) / 2 nats, a little less in bins
    pair = rho * NOISE[:, :1] + np.sqrt(1 - rho ** 2) * NOISE[:, 1:2]
    information = metrics.mutual_information(NOISE[:, :1], pair)
    assert information == pytest.approx(-np.log(1 - rho ** 2) / 2, abs=0.05)
    assert metrics.mutual_information(FACTORS[:, :1], FACTORS[:, :1]) == pytest.approx(np.log(20), abs=0.01)


def slow_mutual_information(a, b):
    """Of two columns, in nats, bin by bin."""
    a, b = (np.minimum(np.argsort(np.argsort(column)) * 20 // len(column), 19) for column in (a, b))
    return sum(p * np.log(p / (a == i).mean() / (b == j).mean())
               for i in range(20) for j in range(20) for p in [((a == i) & (b == j)).mean()] if p)


def test_mutual_information_bin_by_bin():
    codes = np.column_stack([FACTORS[:, 0] ** 2 + NOISE[:, 0], FACTORS @ [1, 2], NOISE[:, 1]])
    found = metrics.mutual_information(codes, FACTORS)
    assert found.shape == (2, 3)
    for factor in range(2):
        for latent in range(3):
            expected = slow_mutual_information(codes[:, latent], FACTORS[:, factor])
            assert found[factor, latent] == pytest.approx(expected, abs=5e-3)


def test_rounding_moves_no_code_that_is_the_same_for_many_images():
    """A latent of all_conv sees a ball that is near; of all others its mean is the same but for rounding."""
    near = np.maximum(0, FACTORS - 6)
    shaken = near + 1e-7 * NOISE[:, :2]
    for key in "mig", "mig_rotated":
        assert scores_of(shaken)[key] == pytest.approx(scores_of(near)[key], abs=2e-3)


def test_explained_sees_curves():
    curved = (FACTORS[:, :1] - 5) ** 2
    shares = metrics.explained(np.column_stack([curved, NOISE[:, 0]]), FACTORS)
    assert shares[0, 0] > 0.95 and shares[1, 0] < 0.01 and (shares[:, 1] < 0.01).all()
    assert scores_of(curved)["r2"][0] < 0.05  # which a straight line does not


@pytest.mark.parametrize("code_of, expected", [
    (lambda x: x, 1), (lambda x: x @ TURN, 0.5), (lambda x: 3 - x[:, ::-1] * 9, 1), (lambda x: x[:, :0], 0.5),
    (lambda x: RNG.standard_normal(x.shape), 0.5)])
def test_change_accuracy(code_of, expected):
    first, second, changed = metrics.random_pairs((6,), 20_000)
    same = first == second
    assert same[np.arange(20_000), 0, 1 - changed].all() and not same[np.arange(20_000), 0, changed].any()
    found = metrics.change_accuracy(code_of(first[:, 0]), code_of(second[:, 0]), changed)
    assert found == pytest.approx(expected, abs=0.02)
    pairs = code_of(first[:, 0]), code_of(second[:, 0]), changed
    assert metrics.scores(Sample(FACTORS, FACTORS, pairs))["change_accuracy"] == pytest.approx(expected, abs=0.02)


def test_every_metric_is_scored_where_it_applies():
    assert set(scores_of(FACTORS)) == set(METRICS) - {"change_accuracy"}


# Scores of a network, here a made-up one: code is a function of positions

class Network:
    """code: positions [n, balls, 2] -> means [n, latents]. stddev: of the latents, the same for every image."""

    def __init__(self, code, stddev, num_balls, **flags):
        self.code, self.stddevs = code, np.array(stddev)
        self.active = np.flatnonzero(self.stddevs < 0.9)
        self.latents = len(stddev)
        self.flags = SimpleNamespace(num_balls=num_balls, **flags)

    def encode_positions(self, positions):
        return self.code(positions), np.tile(self.stddevs, (len(positions), 1))

    def decode(self, z):
        """Images of two rows: the code's numbers, and zeros."""
        return np.stack([z, 0 * z], axis=1)


@pytest.fixture
def few_others(monkeypatch):
    """To hold scores against, the ideal code alone."""
    monkeypatch.setattr(scores, "scores_without_network", lambda num_balls: {
        "ideal code": scores.scores_of([metrics.factors_of(positions)[1] for positions in scores.all_of(num_balls)],
                                       num_balls)})


def test_latents_that_are_not_active_are_left_out_and_counted(few_others, monkeypatch):
    """Here they would double every factor, as they do in the made-up untrained network."""
    def code(positions):
        return np.tile(metrics.factors_of(positions)[1], 2)

    monkeypatch.setattr(scores, "scores_untrained", lambda *which: scores.scores_of([code(scores.all_of(2)[0])], 2))
    vae = Network(code, [0.1] * 4 + [0.95] * 4, 2, model="conv", beta=0.5, hidden_size=8, weight_init=0.1, seed=0)
    found = scores.measure(SimpleNamespace(flags=vae.flags, vae=vae))
    assert (found["latents"], found["active_latents"]) == (8, 4)
    assert found["beta_latents_per_pixel"] == pytest.approx(0.5 * 8 / 1024, abs=1e-4)
    ideal, untrained = found["others"]["ideal code"], found["others"][scores.UNTRAINED]
    assert all(found[key] == ideal[key] for key in ("r2", *GAPS)) and untrained["r2"] == ideal["r2"]
    assert 0.9 < ideal["mig"] < 0.98  # the factors of two balls are not independent
    assert untrained["mig"] == untrained["axis_score"] == 0 and "change_accuracy" not in found


def test_a_code_of_no_active_latent(few_others, monkeypatch):
    monkeypatch.setattr(scores, "scores_untrained", lambda *which: {})
    vae = Network(lambda positions: positions[:, 0], [0.95, 0.99], 1, model="conv", beta=4, hidden_size=2,
                  weight_init=0.1, seed=0)
    found = scores.measure(SimpleNamespace(flags=vae.flags, vae=vae))
    assert found["active_latents"] == 0 and found["r2"] == [0, 0] and found["change_accuracy"] == pytest.approx(
        0.5, abs=0.02)
    assert [found[key] for key in (*GAPS, *ROTATED)] == [0] * 4


def test_response_maps_of_a_known_code():
    one = maps.response_maps(Network(lambda positions: positions[:, 0], [1, 1], 1), [0, 1])["ball"]
    line = np.linspace(1.2, 8.8, one.shape[1])
    np.testing.assert_allclose(one[0], np.tile(line, (len(line), 1)))           # x runs along columns
    np.testing.assert_allclose(one[1], np.tile(line[:, None], (1, len(line))))  # y down the rows

    def code(positions):  # the centroid, and a function of the separation that does not know the balls' order
        d = positions[:, 0] - positions[:, 1]
        return np.column_stack([positions.mean(axis=1), d[:, 0] ** 2 - d[:, 1] ** 2])

    two = maps.response_maps(Network(code, [1, 1, 1], 2), [0, 2, 1])
    centres = 1.2 + (np.arange(20) + 0.5) * 7.6 / 20
    seen = ~np.isnan(two["centroid"][0])
    assert seen.mean() > 0.6  # in the corners, balls would have to be on each other
    np.testing.assert_allclose(two["centroid"][0][seen], np.tile(centres, (20, 1))[seen], atol=0.2)
    np.testing.assert_allclose(two["centroid"][2][seen], np.tile(centres[:, None], (1, 20))[seen], atol=0.2)
    d = -7.6 + (np.arange(20) + 0.5) * 15.2 / 20
    seen = ~np.isnan(two["separation"][1])
    assert not seen[8:12, 8:12].any() and seen.mean() > 0.9  # balls are never nearer than 2.4
    np.testing.assert_allclose(two["separation"][1][seen], (d ** 2 - d[:, None] ** 2)[seen], atol=8)
    np.testing.assert_allclose(two["separation"][1], two["separation"][1][::-1, ::-1])


def test_colours_are_centred_and_a_latent_that_does_nothing_is_white():
    values, limit = maps.centred(np.array([[[3.01, 3.03]], [[2, 2]]]))
    np.testing.assert_allclose(values, [[[-0.01, 0.01]], [[0, 0]]])
    assert limit == 1 and maps.centred(np.array([[[-7, 7, np.nan]]]))[1] == 7


def test_ranges_and_traversals():
    """A code that is uniform on [1.2, 8.8], sampled with a stddev of 0: its 1 % and 99 % quantiles."""
    vae = Network(lambda positions: positions[:, 0] * [1, -2], [0, 0], 1)
    np.testing.assert_allclose(maps.ranges(vae, [1, 0]), [[-17.6 + 0.152, -2.4 - 0.152], [1.276, 8.724]], atol=0.1)
    wide = Network(lambda positions: positions[:, 0] * 0, [1, 2], 1)  # standard normal: ±2.33 stddevs
    np.testing.assert_allclose(maps.ranges(wide, [0, 1]), [[-2.33, 2.33], [-4.65, 4.65]], atol=0.2)
    images = maps.traverse(vae, np.array([5, 6]), [1, 0], [[1, 2, 3], [7, 8, 9]])
    assert images[:, :, 0].tolist() == [[[5, 1], [5, 2], [5, 3]], [[7, 6], [8, 6], [9, 6]]]


def test_what_stands_over_a_response_map():
    """The latent, its stddev, its KL in nats, and which factors its mean follows."""
    vae = Network(lambda positions: (positions[:, 0] - 5) / 2, [0.1, 0.5], 1)
    first, second = maps.texts_of(vae, [0, 1])
    square = np.mean(((scores.positions_of(1)[0][:, 0] - 5) / 2) ** 2, axis=0)
    for text, latent, stddev in (first, 0, 0.1), (second, 1, 0.5):
        kl = (square[latent] + stddev ** 2 - 1) / 2 - np.log(stddev)
        assert f"z{'₀₁₂'[latent]}:" in text and f"stddev {stddev:.2f}" in text and f"KL {kl:.1f} nats" in text
    assert "x 100%" in first and "y 0%" in first and "x 0%" in second and "y 100%" in second


def test_an_animation_goes_there_and_back(tmp_path):
    vae = Network(lambda positions: positions[:, 0] / 10, [0.05, 0.05], 1)
    vae.decode = lambda z: np.broadcast_to(z.mean(axis=1)[:, None, None], (len(z), 32, 32))
    frames = animation.animate(vae, [1, 0])
    assert len(frames) == 2 * animation.FRAMES - 2 and len({frame.shape for frame in frames}) == 1
    assert (frames[1] == frames[-1]).all()
    animation.save(frames, f"{tmp_path}/a.gif", 60)
    film = Image.open(f"{tmp_path}/a.gif")
    assert film.n_frames == len(frames) and film.info["loop"] == 0 and film.info["duration"] == 60
    shown = []
    for number in range(film.n_frames):
        film.seek(number)
        shown.append(np.array(film.convert("L")).astype(int))
    assert np.abs(shown[0] - shown[animation.FRAMES - 1]).max() > 60
    assert np.abs(np.array(shown) - frames).max() <= 255 / animation.COLOURS * 2
