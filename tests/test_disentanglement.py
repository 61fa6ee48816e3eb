"""Disentanglement: the measures on made-up codes whose right answer is known; the script on real folders."""
import json
import os
import shutil
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from conftest import script
from PIL import Image

import create_disentanglement_graphs
import disentanglement
import experiment
import main
import plotting
import response_maps

RNG = np.random.default_rng(5)
POSITIONS = disentanglement.random_positions((5,), 10_000, 1)
FACTORS = disentanglement.factors_of(POSITIONS)[1]
NOISE = RNG.standard_normal((10_000, 8))
TURN = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
GAPS = "mig", "axis_score"


def scores(codes, factors=FACTORS):
    return disentanglement.scores(codes, factors)


def test_positions():
    two = disentanglement.random_positions((1, 2), 4000, 2)
    assert (two == disentanglement.random_positions((1, 2), 4000, 2)).all()
    assert (two != disentanglement.random_positions((1, 3), 4000, 2)).any()
    assert two.min() >= 1.2 and two.max() <= 8.8 and np.hypot(*(two[:, 0] - two[:, 1]).T).min() >= 2.4
    assert POSITIONS.shape == (10_000, 1, 2)
    assert POSITIONS.mean(axis=(0, 1)) == pytest.approx([5, 5], abs=0.1)        # uniform on [1.2, 8.8]
    assert POSITIONS.var(axis=(0, 1)) == pytest.approx([7.6 ** 2 / 12] * 2, rel=0.05)


def test_factors_of_two_balls_have_no_order():
    two = disentanglement.random_positions((1,), 100, 2)
    names, factors = disentanglement.factors_of(two)
    assert len(names) == 4
    np.testing.assert_allclose(disentanglement.factors_of(two[:, ::-1])[1], factors)
    np.testing.assert_allclose(disentanglement.factors_of(np.array([[[2, 3], [5, 7]]]))[1], [[3.5, 5, 9 - 16, 24]])


def test_aligned_code():
    found = scores(FACTORS)
    assert found["r2"] == pytest.approx([1, 1])
    for key in *GAPS, "mig_rotated", "axis_score_rotated":
        assert 0.98 < found[key] <= 1


def test_code_turned_by_45_degrees():
    found = scores(FACTORS @ TURN)
    assert found["r2"] == pytest.approx([1, 1])
    for key in GAPS:
        assert 0 <= found[key] < 0.03
    assert found["axis_score_rotated"] > 0.98 and found["mig_rotated"] > 0.9


def test_order_sign_and_size_of_latents_do_not_matter():
    codes = np.column_stack([FACTORS @ TURN + NOISE[:, :2], NOISE[:, 2:4]])
    other = codes[:, [2, 1, 3, 0]] * [-1, 3, -0.2, 1] + 7
    for key, value in scores(codes).items():
        assert scores(other)[key] == pytest.approx(value, abs=1e-9), key


def test_noise_and_no_code():
    for codes in NOISE, np.ones((10_000, 3)), np.empty((10_000, 0)):
        found = scores(codes)
        assert found["r2"] == pytest.approx([0, 0], abs=0.01)
        for key in *GAPS, "mig_rotated", "axis_score_rotated":
            assert 0 <= found[key] < 0.02, key
    assert scores(np.empty((10_000, 0)))["r2"] == pytest.approx([0, 0])


def test_a_factor_captured_twice():
    found = scores(np.column_stack([FACTORS, FACTORS + 1e-6 * NOISE[:, :2]]))
    assert found["mig"] < 0.01 and found["axis_score"] < 0.01 and found["axis_score_rotated"] > 0.98


def test_one_latent_for_two_factors():
    found = scores(FACTORS[:, 1:])
    assert found["r2"] == pytest.approx([0, 1], abs=0.01)
    for key in *GAPS, "mig_rotated", "axis_score_rotated":
        assert found[key] == pytest.approx(0.5, abs=0.02), key


def test_closed_forms():
    noisy = FACTORS + FACTORS.std(axis=0) * np.array([0.5, 2]) * NOISE[:, :2]
    assert scores(noisy)["r2"] == pytest.approx([1 / 1.25, 1 / 5], abs=0.02)
    assert scores(noisy)["axis_score"] == pytest.approx((1 / 1.25 + 1 / 5) / 2, abs=0.02)
    rho = 0.9  # of two normals: -log(1 - rho^2) / 2 nats, a little less in bins
    pair = rho * NOISE[:, :1] + np.sqrt(1 - rho ** 2) * NOISE[:, 1:2]
    information = disentanglement.mutual_information(NOISE[:, :1], pair)
    assert information == pytest.approx(-np.log(1 - rho ** 2) / 2, abs=0.05)
    assert disentanglement.mutual_information(FACTORS[:, :1], FACTORS[:, :1]) == pytest.approx(np.log(20), abs=0.01)


def test_explained_sees_curves():
    curved = (FACTORS[:, :1] - 5) ** 2
    shares = disentanglement.explained(np.column_stack([curved, NOISE[:, 0]]), FACTORS)
    assert shares[0, 0] > 0.95 and shares[1, 0] < 0.01 and (shares[:, 1] < 0.01).all()
    assert scores(curved)["r2"][0] < 0.05  # which a straight line does not


@pytest.mark.parametrize("code_of, expected", [
    (lambda x: x, 1), (lambda x: x @ TURN, 0.5), (lambda x: 3 - x[:, ::-1] * 9, 1), (lambda x: x[:, :0], 0.5),
    (lambda x: RNG.standard_normal(x.shape), 0.5)])
def test_change_accuracy(code_of, expected):
    first, second, changed = disentanglement.random_pairs((6,), 20_000)
    same = first == second
    assert same[np.arange(20_000), 0, 1 - changed].all() and not same[np.arange(20_000), 0, changed].any()
    found = disentanglement.change_accuracy(code_of(first[:, 0]), code_of(second[:, 0]), changed)
    assert found == pytest.approx(expected, abs=0.02)


def test_dead_latents_are_left_out_and_counted(monkeypatch):
    """Here the dead ones would double every factor, as they do in the made-up untrained network."""
    def encode(model, positions):
        return np.tile(disentanglement.factors_of(positions)[1], model.latents // 4), None

    monkeypatch.setattr(plotting, "encode", encode)
    monkeypatch.setattr(experiment, "new_model", lambda run: SimpleNamespace(latents=8))
    run = SimpleNamespace(num_balls=2, beta=0.5)
    found = create_disentanglement_graphs.measure(run, SimpleNamespace(latents=8), np.repeat([0.1, 0.95], 4))
    assert (found["latents"], found["active_latents"]) == (8, 4)
    assert found["beta_latents_per_pixel"] == pytest.approx(0.5 * 8 / 1024, abs=1e-4)
    ideal, untrained = found["others"]["ideal code"], found["others"]["the same network untrained"]
    assert all(found[key] == ideal[key] for key in ("r2", *GAPS)) and untrained["r2"] == ideal["r2"]
    assert 0.9 < ideal["mig"] < 0.98  # the factors of two balls are not independent
    assert untrained["mig"] == untrained["axis_score"] == 0


class Moments:
    """A made-up encoder whose code is known: a picture's centre of gravity, x and y, and its second moment xx - yy."""
    latents = 3

    def encode(self, pictures):
        line = (tf.range(32, dtype=tf.float32) + 0.5) / 3.2
        weights = pictures[..., 0] / tf.reduce_sum(pictures, axis=(1, 2, 3))[:, None, None]
        rows, columns = tf.reduce_sum(weights, 2), tf.reduce_sum(weights, 1)
        x, y = tf.linalg.matvec(columns, line), tf.linalg.matvec(rows, line)
        xx, yy = tf.linalg.matvec(columns, line ** 2) - x ** 2, tf.linalg.matvec(rows, line ** 2) - y ** 2
        mean = tf.stack([x, y, xx - yy], axis=1)
        return mean, tf.zeros_like(mean)


def test_response_maps_of_a_known_code():
    one = response_maps.response_maps(SimpleNamespace(num_balls=1), Moments(), [0, 1])["ball"]
    line = np.linspace(1.2, 8.8, one.shape[1])
    np.testing.assert_allclose(one[0], np.tile(line, (len(line), 1)), atol=0.05)           # x runs along columns
    np.testing.assert_allclose(one[1], np.tile(line[:, None], (1, len(line))), atol=0.05)  # y down the rows

    two = response_maps.response_maps(SimpleNamespace(num_balls=2), Moments(), [0, 2])
    centres = 1.2 + (np.arange(25) + 0.5) * 7.6 / 25
    seen = ~np.isnan(two["centroid"][0])
    np.testing.assert_allclose(two["centroid"][0][seen], np.tile(centres, (25, 1))[seen], atol=0.2)
    d = -7.6 + (np.arange(25) + 0.5) * 15.2 / 25
    seen = ~np.isnan(two["separation"][1])
    assert not seen[11:14, 11:14].any() and seen.mean() > 0.9  # balls are never nearer than 2.4
    np.testing.assert_allclose(two["separation"][1][seen],  # two balls at +-d/2: xx - yy = (dx^2 - dy^2) / 4
                               (d ** 2 - d[:, None] ** 2)[seen] / 4, atol=1.5)
    np.testing.assert_allclose(two["separation"][1], two["separation"][1][::-1, ::-1])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, trained):
    """A trained run of one ball and a collapsed one of two, with what the script draws and says of them."""
    home = tmp_path_factory.mktemp("codes")
    name = "model_fully_connected_num_balls_1_beta_0.1"
    shutil.copytree(f"{trained}_{name}", home / f"store_{name}")
    flags = main.parse([f"--train_dir={home}/store", "--num_balls=2", "--hidden_size=3"])
    experiment.claim(flags).close()
    experiment.save(experiment.parts(experiment.new_model(flags)), experiment.folder(flags), 0)
    flags = f"--train_dir={home}/store", f"--figures={home}/figures"
    return home, name, script("create_disentanglement_graphs.py", *flags)


def test_script(drawn):
    home, name, done = drawn
    collapsed = "model_conv_num_balls_2_beta_0.1"
    assert set(os.listdir(home / "figures")) == {
        f"response_map_{name}.png", f"response_map_{collapsed}.png", f"traversal_{name}.gif", "disentanglement.json",
        "one_ball_disentanglement.png", "two_ball_disentanglement.png"}
    assert f"{collapsed}: no latent" in done.stdout
    with open(home / "figures" / "disentanglement.json") as file:
        found = json.load(file)
    assert found[collapsed]["active_latents"] == 0 and found[collapsed]["r2"] == [0, 0, 0, 0]
    assert [found[collapsed][key] for key in (*GAPS, "mig_rotated", "axis_score_rotated")] == [0, 0, 0, 0]
    learnt = found[name]
    assert (learnt["step"], learnt["seed"], learnt["latents"]) == (500, 0, 10)
    assert 0 < learnt["active_latents"] <= 10 and all(0.2 < share < 1 for share in learnt["r2"])
    assert learnt["axis_score_rotated"] > 0.1 and learnt["change_accuracy"] > 0.55
    others = {what: scores["change_accuracy"] for what, scores in learnt["others"].items()}
    assert others["chance"] == 0.5 and all(0.48 < value < 1 for value in others.values()) and len(others) == 5
    assert learnt["others"]["ideal code"]["axis_score"] > 0.98 > learnt["others"]["10 principal components"]["r2"][0]
    for figure in (home / "figures").glob("*.png"):
        assert {"run", "step", "seed"} <= set(Image.open(figure).text)
        assert np.array(Image.open(figure).convert("L")).std() > 10


def test_animation(drawn):
    home, name, _ = drawn
    path = home / "figures" / f"traversal_{name}.gif"
    assert path.stat().st_size < 500_000
    with open(home / "figures" / "disentanglement.json") as file:
        active = json.load(file)[name]["active_latents"]
    film = Image.open(path)
    assert film.n_frames == 2 * response_maps.FRAMES - 2
    frames = []
    for number in range(film.n_frames):
        film.seek(number)
        frames.append(np.array(film.convert("L")).astype(int))
    assert frames[0].shape == (78 * -(-active // 8), 66 * min(8, active) - 2)
    first, middle = (frames[number][14:78, :64] for number in (0, response_maps.FRAMES - 1))
    assert np.abs(first - middle).max() > 100  # the ball of the latent most in use moves
    assert np.abs(frames[1] - frames[-1]).max() == 0  # there and back


def test_a_run_without_weights_keeps_its_numbers(drawn, tmp_path):
    home, name, _ = drawn
    folder, flags = tmp_path / f"store_{name}", (f"--train_dir={tmp_path}/store", f"--figures={tmp_path}/new")
    folder.mkdir()
    for file in "flags.json", "losses.csv":
        shutil.copy(home / f"store_{name}" / file, folder)
    done = script("create_disentanglement_graphs.py", *flags, code=1)
    assert f"left out {folder}: it has no whole checkpoint" in done.stderr
    with open(home / "figures" / "disentanglement.json") as file:
        before = json.load(file)[name]
    (folder / "numbers.json").write_text(json.dumps({"disentanglement.json": before}))
    script("create_disentanglement_graphs.py", *flags)
    with open(tmp_path / "new" / "disentanglement.json") as file:
        assert json.load(file) == {name: before}
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "disentanglement.json", "one_ball_disentanglement.png"]
    assert "left out" in script("create_cool_images.py", *flags, code=1).stderr
    assert "numbers.json has no stddev.json" in script("create_stddev_graphs.py", *flags, code=1).stderr


def test_score_graph_draws_seeds_their_mean_and_the_ideal():
    runs = {f"{beta}, {seed}": {
        "model": "conv", "latents": 32, "beta": beta,
        "r2": [beta / 4, beta / 2], "mig": beta / 2 - 0.02 * seed, "change_accuracy": 0.6,
        "others": {"the same network untrained": {"r2": [0.1, 0.3], "mig": 0.01, "change_accuracy": 0.66 + 0.02 * seed},
                   "ideal code": {"r2": [1, 1], "mig": 0.97, "change_accuracy": 0.98},
                   "chance": {"change_accuracy": 0.5}}} for beta in (0.2, 1.0) for seed in (0, 1)}
    figure = create_disentanglement_graphs.draw_scores("one ball", runs)
    r2, mig, accuracy = [axes for axes in figure.axes if axes.get_visible()]
    np.testing.assert_allclose(r2.containers[0][0].get_xydata(), [[0.2, 0.075], [1, 0.375]])  # mean over factors
    np.testing.assert_allclose(mig.containers[0][0].get_xydata(), [[0.2, 0.09], [1, 0.49]])   # and over seeds
    dots = [line.get_xydata() for line in mig.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, [[[0.2, 0.1], [0.2, 0.08], [1, 0.5], [1, 0.48]]])
    for axes, expected in (r2, {1, 0.2}), (mig, {0.97, 0.01}), (accuracy, {0.98, 0.67, 0.5}):
        flat = {round(float(line.get_ydata()[0]), 4) for line in axes.get_lines() if list(line.get_xdata()) == [0, 1]}
        assert flat == expected
    assert "0.031" in mig.containers[0].get_label()
    plt.close(figure)
