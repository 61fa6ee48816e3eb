"""load(): a trained model in NumPy, for plot scripts and notebooks."""
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, resume

import architecture
import ball_generator
from training import checkpoints, load, loader

PRETRAINED = ROOT / "checkpoints" / "pretrained"
CONV, ALL_CONV = (PRETRAINED / f"train_store_model_{model}_num_balls_{balls}_beta_0.1"
                  for model, balls in (("conv", 1), ("all_conv", 2)))
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def vae():
    return load(CONV)


@pytest.fixture(scope="module")
def images():
    positions = ball_generator.simulate([(99, 0, 0)], 1, 30)[0]
    return ball_generator.render(positions).numpy()[..., 0], positions


def test_what_it_knows_of_its_run(vae):
    assert vae.step == 100_000 and vae.latents == 32 and vae.path == CONV
    assert vae.name == "model_conv_num_balls_1_beta_0.1"
    assert vae.flags.beta == 0.1 and vae.flags.lr == 0.001 and vae.flags.num_balls == 1


def test_encode_is_the_models(vae, images):
    mean, stddev = vae.encode(images[0])
    assert mean.shape == stddev.shape == (30, 32) and mean.dtype == stddev.dtype == np.float32
    expected, log_variance = (part.numpy() for part in vae.model.encode(images[0][..., None]))
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stddev, np.sqrt(np.exp(log_variance)), rtol=1e-4)
    for part, other in zip(vae.encode_positions(images[1]), (mean, stddev), strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-4, atol=1e-5)


def test_images_in_any_usual_form(vae, images):
    mean, _ = vae.encode(images[0])
    for same in images[0][..., None], images[0].astype(float), images[0].tolist(), np.float16(images[0]):
        np.testing.assert_allclose(vae.encode(same)[0], mean, atol=0.02)
    bytes_ = np.uint8(np.round(images[0] * 255))
    np.testing.assert_array_equal(vae.encode(bytes_)[0], vae.encode(np.float32(bytes_) / 255)[0])
    for same in np.ones((2, 32, 32), bool), np.ones((2, 32, 32), np.int64):
        np.testing.assert_array_equal(vae.encode(same)[0], vae.encode(np.float32(same))[0])
    assert vae.encode(np.zeros((0, 32, 32)))[0].shape == (0, 32)


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


def test_other_codes_and_positions_are_refused(vae, images):
    for z in np.zeros(32), np.zeros((1, 31)), np.zeros((1, 32, 1)):
        with pytest.raises(ValueError, match=r"codes are \[n, 32\]"):
            vae.decode(z)
    with pytest.raises(ValueError, match=r"codes are \[30, 32\]: given \[29, 32\]"):
        vae.reconstruction_loss(images[0], np.zeros((29, 32)))
    for positions in np.zeros((5, 2)), np.zeros((5, 1, 3)):
        with pytest.raises(ValueError, match=r"positions are \[n, balls, 2\]"):
            vae.encode_positions(positions)


def test_decoded_images_are_of_the_ball(vae, images):
    decoded = vae.reconstruct(images[0])
    assert decoded.shape == (30, 32, 32) and 0 <= decoded.min() and decoded.max() <= 1
    assert np.abs(decoded - images[0]).mean() < 0.01  # of a blank image: 0.05
    np.testing.assert_array_equal(decoded, vae.decode(vae.encode(images[0])[0]))
    assert vae.decode(np.zeros((0, 32))).shape == (0, 32, 32)


def test_reconstruction_loss_is_of_each_image(vae, images):
    noise = RNG.standard_normal((30, 32)).astype(np.float32)
    found = vae.reconstruction_loss(images[0], noise)
    mean, stddev = vae.encode(images[0])
    logits = vae.model.decode(mean + stddev * noise).numpy()[..., 0].astype(float)
    expected = (np.logaddexp(0, logits) - images[0] * logits).sum(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_samples_are_of_their_seed(vae):
    assert vae.sample(3).shape == (3, 32, 32)
    np.testing.assert_array_equal(vae.sample(3), vae.sample(3))
    assert not np.array_equal(vae.sample(3), vae.sample(3, seed=1))


def test_stddev_and_active_latents(vae):
    assert vae.stddev.shape == (32,) and (vae.stddev[vae.active] < 0.9).all()
    assert (np.diff(vae.stddev[vae.active]) > 0).all() and len(vae.active) == (vae.stddev < 0.9).sum() >= 2
    positions = loader.trajectory(1, False, 1000)
    np.testing.assert_allclose(vae.stddev, vae.encode_positions(positions)[1].mean(axis=0), rtol=1e-5)


def test_any_number_of_images_at_a_time(vae, images, monkeypatch):
    expected = vae.encode(images[0]), vae.reconstruct(images[0])
    monkeypatch.setattr(loader, "BATCH", 7)
    found = vae.encode(images[0]), vae.reconstruct(images[0])
    for one, other in zip([*found[0], found[1]], [*expected[0], expected[1]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_latents_that_are_an_image(images):
    vae = load(f"{ALL_CONV}/")
    assert vae.latents == 16 and vae.name == "model_all_conv_num_balls_2_beta_0.1"
    mean, _ = vae.encode(images[0])
    assert mean.shape == (30, 16) and vae.decode(mean).shape == (30, 32, 32)
    noise = architecture.normal((30, 16), (1, 2)).numpy()
    assert vae.reconstruction_loss(images[0], noise).shape == (30,)


@pytest.mark.usefixtures("tiny")
class TestReading:
    def test_one_that_is_rotated_away_meanwhile_is_looked_for_again(self, short, monkeypatch):
        """As while a training saves: the newest is another by the time that it is read."""
        restored, calls = loader.restored, []

        def late(flags, prefix):
            calls.append(prefix)
            if len(calls) < 3:
                resume(short, max_step=21 + 7 * len(calls), keep=1)
            return restored(flags, prefix)
        monkeypatch.setattr(loader, "restored", late)
        assert load(short).step == 35 and len(calls) == 3

    def test_one_that_can_never_be_read(self, short, monkeypatch):
        def vanished(flags, prefix):
            raise loader.tf.errors.NotFoundError(None, None, "gone")
        monkeypatch.setattr(loader, "restored", vanished)
        with pytest.raises(ValueError, match="it has no whole checkpoint"):
            load(short)

    def test_folders_without_a_model(self, short, tmp_path):
        with pytest.raises(ValueError, match="nowhere: there is no such folder"):
            load(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="there is no such folder"):
            load(os.devnull)
        for file in short.glob("ckpt-*"):
            file.unlink()
        with pytest.raises(ValueError, match="it has no whole checkpoint"):
            load(short)

    def test_layers_that_have_changed(self, short, monkeypatch):
        """Another width is no traceback, and no garbage."""
        wide = {"layers": lambda h, n, c: ([("flatten",), ("dense", 5), ("dense", 2 * h)],
                                           [("dense", n * n * c), ("reshape", n, n, c)])}
        record = architecture.dataclasses.replace(architecture.MODELS["tiny"], **wide)
        monkeypatch.setitem(architecture.MODELS, "tiny", record)
        with pytest.raises(ValueError, match="do not fit its flags.json and architecture.py"):
            load(short)
        step, _ = checkpoints.newest(short)
        resume(short, code=2)
        assert checkpoints.newest(short)[0] == step


def test_a_notebook_keeps_its_own_matplotlib_and_its_own_ctrl_c():
    """Also one whose Jupyter lies in the project's .venv."""
    looks = "import sys, training, matplotlib; print(matplotlib.get_backend(), sys.excepthook is sys.__excepthook__)"
    done = subprocess.run([sys.executable, "-c", looks], cwd=ROOT, env={**os.environ, "MPLBACKEND": "svg"},
                          capture_output=True, text=True)
    assert done.stdout.split() == ["svg", "True"], done.stderr
