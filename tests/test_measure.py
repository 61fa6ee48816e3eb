"""What is measured of a run, held against slow computations; where it is kept; what each latent encodes, as maps."""
import json
import os

import numpy as np
import pytest
from conftest import call, ideal_code_alone
from PIL import Image
from spots import Lines

import architecture
import create_training_curves
from analysis import animation, load, loader, maps, measure, samples
from analysis.measure import UNTRAINED
from ball_generator import Balls
from shape_generator import Shapes
from training.seeds import Purpose

ONE = Balls()


# The numbers

@pytest.fixture(scope="module")
def vae(trained):
    return load(trained)


def test_stddevs_and_losses(vae):
    """Latent by latent and trajectory by trajectory, in float64."""
    images = ONE.render(ONE.simulate([(0, int(Purpose.EVALUATION), 100)], 1000)[0])
    stddev = np.exp(vae.model.encode(images)[1].numpy().astype(float) / 2)
    expected = sorted(sum(row[latent] for row in stddev) / 1000 for latent in range(16))
    found = measure.stddevs(vae)
    np.testing.assert_allclose(found["sorted"], expected, atol=1e-4)
    assert found["active"] == sum(value < 0.9 for value in expected) > 0

    losses, entropies = [], []
    for i in range(100):
        seed = 0, int(Purpose.EVALUATION), i
        images = ONE.render(ONE.simulate([seed], 32)[0]).numpy().astype(float)
        mean, log_variance = (part.numpy() for part in vae.model.encode(images))
        z = mean + np.exp(0.5 * log_variance) * architecture.normal((32, 16), (int(Purpose.EVALUATION), i)).numpy()
        p = np.clip(1 / (1 + np.exp(-vae.model.decode(z).numpy().astype(float))), 1e-300, 1 - 1e-16)
        losses.append(-(images * np.log(p) + (1 - images) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean())
        p = np.clip(images, 1e-300, 1 - 1e-16)
        entropies.append(-(images * np.log(p) + (1 - images) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean())
    found = measure.reconstruction(vae)
    assert found["loss"] == pytest.approx(np.mean(losses), abs=2e-3)
    assert found["standard_error"] == pytest.approx(np.std(losses) / np.sqrt(99), abs=1e-3)
    assert found["entropy"] == pytest.approx(np.mean(entropies), abs=1e-3) == pytest.approx(21.12, abs=0.05)
    assert samples.test_images(Shapes())[1] == 0  # of images in black and white


def test_heat_map(vae):
    """The latents of lowest stddev, each set to -3 to 3 in a sampled code of the first of these images."""
    images = ONE.render(ONE.simulate([(0, int(Purpose.EVALUATION), 100)], 1000)[0])
    mean, log_variance = (part.numpy() for part in vae.model.encode(images))
    stddev = np.exp(0.5 * log_variance)
    z = mean[0] + stddev[0] * architecture.normal((16,), (int(Purpose.EVALUATION), 0)).numpy()
    latents, code, found = measure.edit(vae)
    assert latents.tolist() == np.argsort(stddev.mean(axis=0))[:10].tolist()
    np.testing.assert_allclose(code, z, rtol=1e-3, atol=1e-4)
    for row, latent in enumerate(latents):
        codes = np.tile(z, (5, 1))
        codes[:, latent] = -3, -1.5, 0, 1.5, 3
        expected = 1 / (1 + np.exp(-vae.model.decode(codes).numpy()[..., 0].astype(float)))
        np.testing.assert_allclose(found[row], expected, atol=0.01)


def test_scores_over_time(trained, vae, monkeypatch):
    """At each of the 30 checkpoints those of the network that it is; of a run that kept few, none."""
    monkeypatch.setattr(measure, "FEWER", 10_000)
    points = measure.over_time(vae)["points"]
    assert [point["step"] for point in points] == list(range(10, 301, 10))
    last = measure.scores(vae)
    assert points[-1] == {"step": 300, "active": len(vae.active), "r2": pytest.approx(np.mean(last["r2"])),
                          "sap": pytest.approx(last["sap"]), "mig": pytest.approx(last["mig"])}
    assert points[0]["active"] == len(vae.at(10).active)
    assert measure.over_time(vae, fewest=31) == {"points": []}


# Where they are kept

def draw(place, code=0):
    """The curves of a run's folder, or of a prefix; returns the names of the runs they show."""
    figures = f"{os.path.dirname(place)}/figures"
    call(create_training_curves.main, f"--train_dir={place}", f"--figures={figures}", code=code)
    return [name for file in os.listdir(figures) for name in Image.open(f"{figures}/{file}").text["run"].split(", ")]


def numbers_of(place):
    def refused(word):
        raise AssertionError(f"{word} is no JSON")
    return json.loads((place / "numbers.json").read_text(), parse_constant=refused)


def test_measured_once_and_anew_where_it_means_another_thing(short, monkeypatch, cheap):
    draw(short)
    first = numbers_of(short)
    assert first["step"] == 21 and sorted(cheap) == ["reconstruction", "stddev"]
    with monkeypatch.context() as patch:
        patch.setattr(loader, "load", lambda path: 1 / 0)
        assert draw(short) == [load(short).flags.name]
    assert len(cheap) == 2

    (short / "numbers.json").write_text(json.dumps({**first, "reconstruction": {
        **first["reconstruction"], "loss": 7, "version": first["reconstruction"]["version"] - 1}}))
    draw(short)  # an older version
    assert numbers_of(short) == first and cheap[2:] == ["reconstruction"]
    for text in json.dumps({**first, "step": 14}), "no JSON", "[1]", '{"step": 21, "reconstruction": 3}':
        del cheap[:]
        (short / "numbers.json").write_text(text)
        draw(short)
        assert numbers_of(short) == first and len(cheap) == 2
    (short / "numbers.json").unlink()
    (short / "numbers.json").mkdir()  # where none can be kept
    assert draw(short) and not os.listdir(short / "numbers.json")


# A made-up network: its code is a function of states

class Network:
    """code: states -> means [n, latents]. stddev: of the latents, the same for every image."""

    def __init__(self, code, stddev, data):
        self.code, self.stddev, self.data = code, np.array(stddev), data
        self.active, self.latents = np.flatnonzero(self.stddev < 0.9), len(stddev)

    def encode_states(self, states):
        return self.code(states), np.tile(self.stddev, (len(states), 1))

    @property
    def codes(self):
        return self.encode_states(samples.states_of(self.data)[0])

    def decode(self, z):
        """Images of two rows: the code's numbers, and zeros."""
        return np.stack([z, 0 * z], axis=1)


@pytest.mark.parametrize("data", [ONE, Balls(2), Balls(friction=True)], ids=lambda data: data.key)
def test_latents_that_are_not_active_are_left_out_of_scores(data, monkeypatch):
    """Here they would double every factor, as they do in the made-up untrained network."""
    ideal_code_alone(monkeypatch)
    n = len(data.factors)
    twice = Network(lambda states: np.tile(data.factors_of(states), 2), [0.1] * n + [0.95] * n, data)
    twice.untrained = lambda: twice
    found = measure.all_scores(twice)
    ideal, untrained = (found["others"].pop(key) for key in ("ideal code", UNTRAINED))
    assert measure.rounded({key: found[key] for key in ideal}) == measure.rounded(ideal) and not found["others"]
    assert untrained["r2"] == pytest.approx(ideal["r2"])
    assert ideal["mig"] > 0.9 and ideal["sap"] > 0.9 and untrained["mig"] == untrained["sap"] == 0
    assert ("change_accuracy" in found) == (data == ONE)
    none = measure.scores(Network(lambda states: data.factors_of(states), [0.95] * n, data))
    assert none["r2"] == pytest.approx([0] * n) and none["mig"] == none["sap"] == 0
    assert none.get("change_accuracy", 0.5) == pytest.approx(0.5, abs=0.02)


# Maps

def test_response_maps_of_a_known_code():
    one = maps.response_maps(Network(lambda states: states[:, 0], [1, 1], ONE), [0, 1])["ball"]
    line = 1.2 + 7.6 * (np.arange(60) + 0.5) / 60  # the middles of 60 cells
    np.testing.assert_allclose(one, [np.tile(line, (60, 1)), np.tile(line[:, None], (1, 60))])  # x to the right, y down

    def code(states):  # the centroid, and a function of the separation that does not know the balls' order
        d = states[:, 0] - states[:, 1]
        return np.column_stack([states.mean(axis=1), d[:, 0] ** 2 - d[:, 1] ** 2])

    two = maps.response_maps(Network(code, [1, 1, 1], Balls(2)), [0, 2, 1])
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


def test_response_maps_along_lines():
    """A curve a shape; of a line that has states of its own, one curve."""
    vae = Network(lambda states: np.column_stack([states[:, 0] + states[:, 1], np.cos(states[:, 2])]), [1, 1], Shapes())
    found = maps.response_maps(vae, [1, 0])
    scales = np.linspace(0.5, 1, 6)
    np.testing.assert_allclose(found["scale"][1], [shape + scales for shape in range(3)], rtol=1e-6)
    angles = np.arange(40) * 2 * np.pi / 40
    np.testing.assert_allclose(found["orientation"][0], [np.cos(angles)] * 3, atol=1e-6)
    assert found["place"].shape == (2, 16, 16)
    found = maps.response_maps(Network(lambda states: states[:, 1:], [1, 1], Lines()), [1])
    assert found["distance"].tolist() == [[[1, 2, 3, 4, 5]]] and found["angle"].shape == (1, 2, 8)


def test_with_friction_over_what_friction_gives(monkeypatch):
    """Each cell the mean over the states in it, grey (not a number) where they are few."""
    monkeypatch.setattr(maps, "RARE", 20)
    data = Balls(friction=True)
    states = data.draw((0, int(Purpose.EVALUATION), 101), 10_000)[:, 0]
    found = maps.response_map(Network(lambda states: states[:, 0], [1, 1], data), data.views[0], [0, 1])
    edges = np.linspace(1.2, 8.8, 21)
    edges[[0, -1]] = -np.inf, np.inf  # at a bounce a ball is a little behind the wall
    grey = 0
    for row in range(20):
        for column in range(20):
            inside = states[((states >= (edges[column], edges[row])) & (
                states < (edges[column + 1], edges[row + 1]))).all(axis=1)]
            expected = inside.mean(axis=0) if len(inside) >= 20 else [np.nan] * 2
            np.testing.assert_allclose(found[:, row, column], expected, atol=1e-6)
            grey += len(inside) < 20
    assert 20 < grey < 200


def test_colours_are_centred_and_a_latent_that_does_nothing_is_white():
    values, limit = maps.centred(np.array([[[3.01, 3.03]], [[2, 2]]]))
    np.testing.assert_allclose(values, [[[-0.01, 0.01]], [[0, 0]]])
    assert limit == 1 and maps.centred(np.array([[[-7, 7, np.nan]]]))[1] == 7


def test_ranges_traversals_and_grids():
    """A code that is uniform on [1.2, 8.8], sampled with a stddev of 0: its 1 % and 99 % quantiles."""
    vae = Network(lambda states: states[:, 0] * [1, -2], [0, 0], ONE)
    np.testing.assert_allclose(maps.ranges(vae, [1, 0]), [[-17.6 + 0.152, -2.4 - 0.152], [1.276, 8.724]], atol=0.1)
    wide = Network(lambda states: states[:, 0] * 0, [1, 2], ONE)  # standard normal: ±2.33 stddevs
    np.testing.assert_allclose(maps.ranges(wide, [0, 1]), [[-2.33, 2.33], [-4.65, 4.65]], atol=0.2)
    images = maps.traverse(vae, np.array([[5, 6]] * 2), [1, 0], [[1, 2, 3], [7, 8, 9]])
    assert images[:, :, 0].tolist() == [[[5, 1], [5, 2], [5, 3]], [[7, 6], [8, 6], [9, 6]]]
    (low, high), (left, right) = maps.ranges(vae, [0, 1])
    grid = maps.grid_of_images(vae, 1, 0, 3)[:, :, 0]  # latent 1 along the columns, 0 along the rows
    np.testing.assert_allclose(grid[[0, 0, 2], [0, 2, 0]], [[low, left], [low, right], [high, left]])


def test_a_latent_is_changed_in_an_image_that_it_changes():
    """Here the first only where the second is high."""
    vae = Network(lambda states: states[:, 0], [0.1, 0.1], ONE)
    vae.decode = lambda z: (z[:, 0] * (z[:, 1] > 8.5))[:, None, None]
    (code,) = maps.bases(vae, [0])
    assert code[1] > 8.5 and code in vae.codes[0][:maps.BASES]


def test_an_animation_goes_there_and_back(tmp_path):
    vae = Network(lambda states: states[:, 0] / 10, [0.05, 0.05], ONE)
    vae.decode = lambda z: np.broadcast_to(z.mean(axis=1)[:, None, None], (len(z), 32, 32))
    frames = animation.animate(vae, [1, 0])
    assert len(frames) == 2 * animation.FRAMES - 2 and len({frame.shape for frame in frames}) == 1
    assert (frames[1] == frames[-1]).all()
    animation.save(frames, f"{tmp_path}/a.gif", 60)
    film = Image.open(f"{tmp_path}/a.gif")
    assert film.n_frames == len(frames) and film.info["loop"] == 0 and film.info["duration"] == 60
    film.seek(animation.FRAMES - 1)
    assert np.abs(np.array(film.convert("L")).astype(int) - frames[animation.FRAMES - 1]).max() <= 8
