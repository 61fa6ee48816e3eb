"""load(): a trained model in NumPy, for plot scripts and notebooks."""
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, resume, train

import architecture
from analysis import load, loader
from architecture import MODELS
from ball_generator import Balls
from training import checkpoints

CONV, ALL_CONV = (ROOT / f"checkpoints/pretrained/train_store_model_{model}_num_balls_{balls}_beta_0.1"
                  for model, balls in (("conv", 1), ("all_conv", 2)))
RNG = np.random.default_rng(3)
STATES = Balls().simulate([(99, 0, 0)], 30)[0]
IMAGES = Balls().render(STATES).numpy()[..., 0]


@pytest.fixture(scope="module")
def vae():
    return load(CONV)


def test_what_it_knows_of_its_run(vae):
    assert vae.step == 100_000 and vae.latents == 32 and vae.data == Balls() and vae.flags.lr == 0.001
    assert repr(vae) == f"conv on one ball, beta 0.1, step 100,000: {len(vae.active)} of 32 latents are active " \
        f"({', '.join(map(str, vae.active))})"


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


def test_decoded_images_are_of_the_ball(vae):
    decoded = vae.reconstruct(IMAGES)
    assert decoded.shape == (30, 32, 32) and 0 <= decoded.min() and decoded.max() <= 1
    assert np.abs(decoded - IMAGES).mean() < 0.01  # of a blank image: 0.05
    np.testing.assert_array_equal(decoded, vae.decode(vae.encode(IMAGES)[0]))


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


def test_in_a_notebook(vae):
    """Scores by name; where latents encode the ball; images over two latents."""
    scores = vae.scores()
    assert {"r2", "mig", "sap", "change_accuracy"} <= set(scores) and 0 < scores["sap"] < 1
    a, b = vae.active[:2]
    maps = vae.response_map(b, a)
    assert vae.response_map().shape == (len(vae.active), *maps.shape[1:])
    middle = vae.encode_states([[[1.2 + 7.6 * 20.5 / 60, 1.2 + 7.6 * 40.5 / 60]]])[0][0]  # 60 cells from 1.2 to 8.8
    np.testing.assert_allclose(maps[:, 40, 20], middle[[b, a]], atol=1e-4)
    grid = vae.grid(a, b, 3)
    assert grid.shape == (3, 3, 32, 32)
    z = vae.codes[0][0].copy()  # of the first image drawn, but for two latents
    low, high = (np.quantile(vae.codes[0][:, [a, b]], end, axis=0) for end in (0.01, 0.99))
    corners = np.tile(z, (2, 1))
    corners[0, [a, b]], corners[1, [a, b]] = [high[0], low[1]], [low[0], high[1]]
    for corner, image in zip((grid[0, 2], grid[2, 0]), vae.decode(corners), strict=True):
        assert np.abs(corner - image).mean() < 0.01  # a goes along the columns, b along the rows


def test_latents_that_are_an_image():
    vae = load(f"{ALL_CONV}/")
    assert vae.latents == 16 and vae.data == Balls(2)
    mean, _ = vae.encode(IMAGES)
    assert mean.shape == (30, 16) and vae.decode(mean).shape == (30, 32, 32)
    assert vae.reconstruction_loss(IMAGES, architecture.normal((30, 16), (1, 2)).numpy()).shape == (30,)


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

    def test_the_same_weights_wherever_it_is_and_whatever_it_is_called(self, short, tmp_path):
        expected = load(short).sample(3)
        moved = short.rename(tmp_path / "elsewhere")
        (tmp_path / "a link").symlink_to(moved)
        for place in moved, tmp_path / "a link":
            vae = load(place)
            assert vae.flags.model == "tiny" and np.array_equal(vae.sample(3), expected)

    def test_folders_without_a_model(self, tmp_path):
        with pytest.raises(ValueError, match="nowhere: there is no such folder"):
            load(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="there is no such folder"):
            load(os.devnull)

    def test_layers_that_have_changed(self, short, monkeypatch):
        """Another width is no traceback, and no garbage."""
        wide = {"layers": lambda h, n, c: ([("flatten",), ("dense", 5, "linear"), ("dense", 2 * h, "linear")],
                                           [("dense", n * n * c, "linear"), ("reshape", n, n, c)])}
        monkeypatch.setitem(MODELS, "tiny", architecture.dataclasses.replace(MODELS["tiny"], **wide))
        with pytest.raises(ValueError, match="do not fit its flags.json and architecture.py"):
            load(short)
        resume(short, code=2)
        assert checkpoints.steps(short)[0] == 21

    def test_weights_in_float16(self, short):
        """As analysis.keep writes them: they load, and compute as the others do."""
        expected = load(short).sample(2)
        file = checkpoints.file_of(short, 21)
        np.savez(file, **{name: value.astype(np.float16) for name, value in checkpoints.read(file).items()
                          if not name.startswith("optimizer/")})
        found = load(short)
        assert found.encode(IMAGES)[0].dtype == np.float32
        np.testing.assert_allclose(found.sample(2), expected, atol=2e-3)

    def test_untrained_and_at_another_checkpoint(self, short, tmp_path):
        vae = load(short)
        start = train(tmp_path / "start", model="tiny", batch_size=4, max_step=0)
        assert np.array_equal(vae.untrained().sample(2), load(start).sample(2))
        before = vae.at(7)
        assert "step 7:" in repr(before) and "step 0:" in repr(vae.untrained())
        assert not np.array_equal(before.sample(2), vae.sample(2))
        assert np.array_equal(vae.sample(2), load(short).sample(2))
        for file in short.glob("ckpt-*1*"):  # 14 and 21
            file.unlink()
        assert load(short).step == 7 and np.array_equal(load(short).sample(2), before.sample(2))


def test_a_notebook_keeps_its_own_matplotlib_and_its_own_ctrl_c():
    """Also one whose Jupyter lies in the project's .venv."""
    looks = "import sys, analysis, matplotlib; print(matplotlib.get_backend(), sys.excepthook is sys.__excepthook__)"
    done = subprocess.run([sys.executable, "-c", looks], cwd=ROOT, env={**os.environ, "MPLBACKEND": "svg"},
                          capture_output=True, text=True)
    assert done.stdout.split() == ["svg", "True"], done.stderr
