"""The models against the numbers of the experiment, their loss against NumPy."""
import numpy as np
import pytest
import tensorflow as tf

import architecture
from architecture import MODELS

SIZES = {"fully_connected": 10, "conv": 32, "all_conv": 1, "paper": 10}
ACTIVATIONS = {"paper": ("relu", "tanh")}
KERNELS = {  # in the order of the data; transposed ones are [height, width, out, in]
    "fully_connected": ([(1024, 1200), (1200, 1200), (1200, 20)],
                        [(10, 1200), (1200, 1200), (1200, 1200), (1200, 1024)]),
    "conv": ([(3, 3, 1, 8), (3, 3, 8, 8), (3, 3, 8, 8), (1, 1, 8, 4), (256, 128), (128, 64)],
             [(32, 128), (128, 256), (1, 1, 8, 4), (3, 3, 8, 8), (3, 3, 8, 8), (3, 3, 1, 8)]),
    "all_conv": ([(3, 3, 1, 8), (3, 3, 8, 8), (3, 3, 8, 16), (3, 3, 16, 8), (3, 3, 8, 8), (3, 3, 8, 2)],
                 [(3, 3, 8, 1), (3, 3, 8, 8), (3, 3, 16, 8), (3, 3, 8, 16), (3, 3, 8, 8), (3, 3, 1, 8)]),
}
KERNELS["paper"] = KERNELS["fully_connected"]
STRIDES = {"conv": ([2, 1, 2, 1], [1, 2, 1, 2]), "all_conv": ([2, 1, 2, 1, 1, 2], [2, 1, 1, 2, 1, 2])}


def make(model, hidden_size=None, weight_init=None, seed=0, image_shape=(32, 32, 1)):
    return architecture.BetaVAE(model, image_shape, hidden_size or SIZES[model],
                                weight_init or MODELS[model].defaults["weight_init"], (seed, 1, 0))


def shake(vae):
    """Move the weights away from their small start values."""
    rng = np.random.default_rng(1)
    for variable in vae.variables:
        size = 0.5 / np.sqrt(np.prod(variable.shape[:-1]))
        variable.assign(variable + size * rng.standard_normal(variable.shape))


def random_images(batch, image_shape=(32, 32, 1)):
    return np.random.default_rng(0).uniform(size=(batch, *image_shape)).astype(np.float32)


@pytest.mark.parametrize("model", SIZES)
def test_layers(model):
    vae = make(model)
    for column, kernels, strides, activation in zip((vae.encoder, vae.decoder), KERNELS[model], STRIDES.get(
            model, ([], [])), ACTIVATIONS.get(model, ("elu", "elu")), strict=True):
        weighted = [layer for layer in column.layers if hasattr(layer, "kernel")]
        assert [tuple(layer.kernel.shape) for layer in weighted] == kernels
        assert [layer.activation.__name__ for layer in weighted] == (
            [activation] * (len(weighted) - 1) + ["linear"])
        convolutions = [layer for layer in weighted if hasattr(layer, "strides")]
        assert [layer.strides for layer in convolutions] == [(s, s) for s in strides]
        assert all(layer.padding == "same" for layer in convolutions)


@pytest.mark.parametrize("model", SIZES)
def test_initial_values(model):
    vae = make(model, weight_init=0.07)
    for layer in vae.encoder.layers + vae.decoder.layers:
        if not hasattr(layer, "kernel"):
            continue
        size = 0.01 if hasattr(layer, "strides") else 0.07
        assert (layer.bias.numpy() == np.float32(size)).all()
        kernel = layer.kernel.numpy()
        assert np.abs(kernel).max() <= 2 * size
        if kernel.size > 5000:  # a normal cut at 2 sigma has 0.88 of its sigma
            assert kernel.std() == pytest.approx(0.88 * size, rel=0.03)
    first, again, other = (make(model, seed=seed).variables for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    kernels = [i for i, v in enumerate(first) if v.name == "kernel"]
    assert not any(np.array_equal(first[i], other[i]) for i in kernels)
    assert len({first[i].numpy().ravel()[0] for i in kernels}) == len(kernels)  # no two layers start alike


@pytest.mark.parametrize("model", SIZES)
def test_losses_equal_numpy(model):
    vae = make(model, image_shape=(16, 16, 3))
    shake(vae)
    images = random_images(5, (16, 16, 3))
    noise = np.random.default_rng(2).standard_normal((5, vae.latents)).astype(np.float32)
    reconstruction, kl = vae.losses(images, noise)

    mean, log_variance = (part.numpy().astype(np.float64) for part in vae.encode(images))
    stddev = np.exp(0.5 * log_variance)
    logits = vae.decode((mean + noise * stddev).astype(np.float32)).numpy().astype(np.float64)
    p = 1 / (1 + np.exp(-logits))
    expected = -(images * np.log(p) + (1 - images) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    assert float(reconstruction) == pytest.approx(expected, rel=1e-5)
    expected = 0.5 * (mean ** 2 + stddev ** 2 - np.log(stddev ** 2) - 1).sum(axis=1).mean()
    assert float(kl) == pytest.approx(expected, rel=1e-4) and expected > 0.01


def test_a_saturated_wrong_pixel_keeps_its_gradient():
    logits = tf.Variable([[[[200.0]]]])
    with tf.GradientTape() as tape:
        loss = architecture.reconstruction_loss(tf.zeros((1, 1, 1, 1)), logits)
    assert float(loss[0]) == 200 and float(tape.gradient(loss, logits)[0, 0, 0, 0]) == 1


def test_dropout_keeps_the_expected_value():
    """Units that are kept count 1 / keep_prob times, as in 2016."""
    vae = make("conv")
    shake(vae)
    images, code = random_images(3), random_images(3)
    for layer in vae.encoder.layers[:-1]:
        code = layer(code)
    kept = architecture.uniform((3, 128), (5, 6)).numpy() < 0.8
    last = vae.encoder.layers[-1]
    expected = (code.numpy() * kept / 0.8) @ last.kernel.numpy() + last.bias.numpy()
    mean, log_variance = vae.encode(images, 0.8, (5, 6))
    np.testing.assert_allclose(np.concatenate([mean, log_variance], axis=1), expected, rtol=1e-3, atol=1e-4)
    assert 0.7 < kept.mean() < 0.9
    for model in SIZES:  # no other has dropout
        codes = [make(model).encode(images, 0.5, (5, seed))[0].numpy() for seed in (6, 6, 7)]
        assert np.array_equal(*codes[:2]) and np.array_equal(*codes[1:]) == (model != "conv")


def test_random_numbers_are_distributed_as_named():
    u, z = (draw((1000, 1000), (1, 2)).numpy().astype(float) for draw in (architecture.uniform, architecture.normal))
    assert 0 < u.min() < 1e-5 and 1 - 1e-5 < u.max() < 1
    np.testing.assert_allclose(np.histogram(u, 50, (0, 1))[0] / 1e6, 0.02, atol=0.001)
    assert np.isfinite(z).all()
    moments = z.mean(), z.std(), (z ** 4).mean(), (z < -1.959964).mean()
    np.testing.assert_allclose(moments, [0, 1, 3, 0.025], atol=0.02)
    assert abs(np.corrcoef(z[:, :-1].ravel(), z[:, 1:].ravel())[0, 1]) < 0.005
