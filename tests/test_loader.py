"""load(): a trained model in NumPy, for plot scripts and notebooks."""
import os

import numpy as np
import pytest
from conftest import ROOT, resume, train

import architecture
from analysis import load, loader
from architecture import MODELS
from ball_generator import Balls
from training import checkpoints

CONV = ROOT / "checkpoints/pretrained/train_store_model_conv_num_balls_1_beta_0.1"
RNG = np.random.default_rng(3)
STATES = Balls().simulate([(99, 0, 0)], 30)[0]
IMAGES = Balls().render(STATES).numpy()[..., 0]


@pytest.fixture(scope="module")
def vae():
    return load(CONV)


def test_encode_and_reconstruction_loss_are_the_models(vae):
    mean, stddev = vae.encode(IMAGES)
    assert mean.shape == stddev.shape == (30, 32) and mean.dtype == stddev.dtype == np.float32
    expected, log_variance = (part.numpy() for part in vae.model.encode(IMAGES[..., None]))
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stddev, np.sqrt(np.exp(log_variance)), rtol=1e-4)
    for part, other in zip(vae.encode_states(STATES), (mean, stddev), strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-4, atol=1e-5)
    noise = RNG.standard_normal((30, 32)).astype(np.float32)
    logits = vae.model.decode(mean + stddev * noise).numpy()[..., 0].astype(float)
    expected = (np.logaddexp(0, logits) - IMAGES * logits).sum(axis=(1, 2))
    np.testing.assert_allclose(vae.reconstruction_loss(IMAGES, noise), expected, rtol=1e-4)


def test_images_in_any_usual_form(vae):
    mean, _ = vae.encode(IMAGES)
    for same in IMAGES[..., None], IMAGES.astype(float), IMAGES.tolist(), np.float16(IMAGES):
        np.testing.assert_allclose(vae.encode(same)[0], mean, atol=0.02)
    bytes_ = np.uint8(np.round(IMAGES * 255))
    np.testing.assert_array_equal(vae.encode(bytes_)[0], vae.encode(np.float32(bytes_) / 255)[0])
    for same in np.ones((2, 32, 32), bool), np.ones((2, 32, 32), np.int64):
        np.testing.assert_array_equal(vae.encode(same)[0], vae.encode(np.float32(same))[0])


@pytest.mark.parametrize("images, says", [
    (np.zeros((32, 32)), r"\[32, 32\]"), (np.zeros((1, 32, 31)), r"given \[1, 32, 31\]"),
    (np.zeros((1, 32, 32, 3)), r"given \[1, 32, 32, 3\]"), (np.zeros(()), r"given \[\]"),
    (np.full((1, 32, 32), 1.01), "from 1.01 to 1.01"), (np.full((1, 32, 32), -1e-3), "from 0 to 1, or uint8"),
    (np.full((1, 32, 32), np.nan), "nan"), (np.full((1, 32, 32), 255), "int64 from 255"),
    (np.full((1, 32, 32), "x"), "numbers: given <U1"), (np.zeros((1, 32, 32), complex), "complex")])
def test_other_images_are_refused(vae, images, says):
    for call in vae.encode, vae.reconstruct, lambda images: vae.reconstruction_loss(images, np.zeros((1, 32))):
        with pytest.raises(ValueError, match=says):
            call(images)


def test_other_codes_and_states_are_refused(vae):
    for z in np.zeros(32), np.zeros((1, 31)), np.zeros((1, 32, 1)):
        with pytest.raises(ValueError, match=r"codes are \[n, 32\]"):
            vae.decode(z)
    with pytest.raises(ValueError, match=r"codes are \[30, 32\]: given \[29, 32\]"):
        vae.reconstruction_loss(IMAGES, np.zeros((29, 32)))
    for states in np.zeros((5, 2)), np.zeros((5, 1, 3)), np.zeros((5, 2, 2)):
        with pytest.raises(ValueError, match=r"states are \['n', 1, 2\]: given \[5, "):
            vae.encode_states(states)


def test_no_images_and_any_number_at_a_time(vae, monkeypatch):
    mean, stddev = vae.encode(np.zeros((0, 32, 32)))
    assert mean.shape == stddev.shape == (0, 32) and vae.decode(mean).shape == (0, 32, 32)
    assert vae.reconstruction_loss(np.zeros((0, 32, 32)), mean).shape == (0,)
    expected = vae.encode(IMAGES), vae.reconstruct(IMAGES)
    monkeypatch.setattr(loader, "BATCH", 7)
    found = vae.encode(IMAGES), vae.reconstruct(IMAGES)
    for one, other in zip([*found[0], found[1]], [*expected[0], expected[1]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_samples_are_of_their_seed(vae):
    assert vae.sample(3).shape == (3, 32, 32)
    np.testing.assert_array_equal(vae.sample(3), vae.sample(3))
    assert not np.array_equal(vae.sample(3), vae.sample(3, seed=1))


def test_maps_and_images_of_chosen_latents(vae):
    a, b = vae.active[:2]
    np.testing.assert_array_equal(vae.response_map(b, a), vae.response_map()[[1, 0]])
    assert vae.grid(a, b, 3).shape == (3, 3, 32, 32)


@pytest.mark.usefixtures("tiny")
class TestReading:
    def test_one_that_is_rotated_away_meanwhile_is_looked_for_again(self, short, monkeypatch):
        """As while a training saves: the newest is another by the time that it is read."""
        read = checkpoints.read

        def late(file):
            monkeypatch.setattr(checkpoints, "read", read)
            os.rename(file, checkpoints.file_of(short, 28))
            return read(file)
        monkeypatch.setattr(checkpoints, "read", late)
        assert load(short).step == 28
        for file in short.glob("ckpt-*"):
            file.unlink()
        with pytest.raises(ValueError, match="it has no whole checkpoint"):
            load(short)

    def test_layers_that_have_changed(self, short, monkeypatch):
        """Another width is no traceback, and no garbage."""
        wide = {"layers": lambda h, n, c: ([("flatten",), ("dense", 5, "linear"), ("dense", 2 * h, "linear")],
                                           [("dense", n * n * c, "linear"), ("reshape", n, n, c)])}
        monkeypatch.setitem(MODELS, "tiny", architecture.dataclasses.replace(MODELS["tiny"], **wide))
        with pytest.raises(ValueError, match="do not fit its flags.json and architecture.py"):
            load(short)
        resume(short, code=2)
        assert checkpoints.steps(short)[0] == 21

    def test_untrained_and_at_another_checkpoint(self, short, tmp_path):
        vae = load(short)
        start = train(tmp_path / "start", model="tiny", batch_size=4, max_step=0)
        assert np.array_equal(vae.untrained().sample(2), load(start).sample(2))
        before = vae.at(7)
        assert "step 7:" in repr(before) and "step 0:" in repr(vae.untrained())
        assert not np.array_equal(before.sample(2), vae.sample(2))
        assert np.array_equal(vae.sample(2), load(short).sample(2))
