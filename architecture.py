"""The beta-VAEs and their loss, as a TensorFlow graph.

    encode: images [batch, n, n, channels] -> mean, log_variance, [batch, latents] each
    decode: z [batch, latents] -> logits [batch, n, n, channels]; the image is their sigmoid
    losses: images, noise [batch, latents] -> reconstruction, kl, in nats per image

MODELS holds one record a model: its layers, the defaults of its flags, its colour in figures. A new record is a new
model: it trains, is drawn and scored.

    python architecture.py

prints the layers of every model.
"""
import dataclasses
import importlib
import os
from collections.abc import Callable

import numpy as np


class Lazy:
    """A module that is imported at its first use: TensorFlow takes seconds to load, and flags are checked before. Its
    Keras is the one that computes with TensorFlow, whatever else the user does with Keras."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        before = os.environ.get("KERAS_BACKEND")
        os.environ["KERAS_BACKEND"] = "tensorflow"
        try:
            module = importlib.import_module(self._name)
        finally:
            os.environ.pop("KERAS_BACKEND") if before is None else os.environ.update(KERAS_BACKEND=before)
        self.__dict__.update(vars(module))  # from now on attributes are found without this function
        return getattr(module, attribute)


keras, tf = Lazy("keras"), Lazy("tensorflow")


@dataclasses.dataclass(frozen=True)
class Model:
    """The record of one model.

    layers: (h, n, c) -> encoder, decoder, for --hidden_size h and images [n, n, c]; one row a layer: kind, kernel,
        stride, width, activation (of a dense one: kind, width, activation). Padding is SAME. The encoder ends in the
        means, then the log variances.
    defaults: of the flags that depend on the model.
    colour: in figures.
    xla_cpu: what XLA compiles on a CPU, with one thread and with more: "on" (the whole step), "adam", or "off", since
        it makes convolutions of few channels ten times slower.
    """
    layers: Callable
    defaults: dict
    colour: str
    xla_cpu: tuple[str, str] = ("off", "off")

    def has(self, kind):
        """Whether a layer of that kind ("dense", "dropout", ...) is among the model's."""
        return any(row[0] == kind for column in self.layers(1, 8, 1) for row in column)


MODELS = {
    "fully_connected": Model(
        layers=lambda h, n, c: (
            [("flatten",), ("dense", 1200, "elu"), ("dense", 1200, "elu"), ("dense", 2 * h, "linear")],
            [("dense", 1200, "elu"), ("dense", 1200, "elu"), ("dense", 1200, "elu"), ("dense", n * n * c, "linear"),
             ("reshape", n, n, c)]),
        defaults={"hidden_size": 10, "lr": 5e-5, "weight_init": 0.01, "optimizer": "adam"},
        colour="#0072B2",  # colours: Okabe and Ito's palette
        xla_cpu=("adam", "on")),  # adam: its passes over 27 MB of weights become one
    "conv": Model(
        layers=lambda h, n, c: (
            [("conv", 3, 2, 8, "elu"), ("conv", 3, 1, 8, "elu"), ("conv", 3, 2, 8, "elu"), ("conv", 1, 1, 4, "elu"),
             ("flatten",), ("dense", 128, "elu"), ("dropout",), ("dense", 2 * h, "linear")],
            [("dense", 128, "elu"), ("dense", n // 4 * (n // 4) * 4, "elu"), ("reshape", n // 4, n // 4, 4),
             ("transposed", 1, 1, 8, "elu"), ("transposed", 3, 2, 8, "elu"), ("transposed", 3, 1, 8, "elu"),
             ("transposed", 3, 2, c, "linear")]),
        defaults={"hidden_size": 32, "lr": 1e-3, "weight_init": 0.1, "optimizer": "adam"},
        colour="#D55E00"),
    "all_conv": Model(
        layers=lambda h, n, c: (
            [("conv", 3, 2, 8, "elu"), ("conv", 3, 1, 8, "elu"), ("conv", 3, 2, 16, "elu"),
             ("conv", 3, 1, 8, "elu"), ("conv", 3, 1, 8, "elu"), ("conv", 3, 2, 2 * h, "linear")],
            [("reshape", n // 8, n // 8, h),
             ("transposed", 3, 2, 8, "elu"), ("transposed", 3, 1, 8, "elu"), ("transposed", 3, 1, 16, "elu"),
             ("transposed", 3, 2, 8, "elu"), ("transposed", 3, 1, 8, "elu"), ("transposed", 3, 2, c, "linear")]),
        defaults={"hidden_size": 1, "lr": 1e-3, "weight_init": 0.1, "optimizer": "adam"},
        colour="#009E73"),
    "paper": Model(  # the paper's own, for its 2D shapes
        layers=lambda h, n, c: (
            [("flatten",), ("dense", 1200, "relu"), ("dense", 1200, "relu"), ("dense", 2 * h, "linear")],
            [("dense", 1200, "tanh"), ("dense", 1200, "tanh"), ("dense", 1200, "tanh"), ("dense", n * n * c, "linear"),
             ("reshape", n, n, c)]),
        defaults={"hidden_size": 10, "lr": 1e-2, "weight_init": 0.03, "optimizer": "adagrad"},  # 0.01: diverges
        colour="#CC79A7",
        xla_cpu=("adam", "on")),
}
CONV_INIT = 0.01  # of convolutions in every model: sigma of the weights and value of the biases


def build(rows, shape, weight_init, seeds):
    """The rows of a table as a Keras Sequential over inputs of the given shape.

    seeds: an iterator of ints, one drawn for each layer with weights. Type and order of axes are told to every layer,
    whatever the user's keras.json says.
    """
    layers = keras.layers
    dtype = "float32"
    order = {"dtype": dtype, "data_format": "channels_last"}

    def start_at(size):  # weights truncated at 2 sigma, as tf.truncated_normal of 2016
        return {"kernel_initializer": keras.initializers.TruncatedNormal(stddev=size, seed=next(seeds)),
                "bias_initializer": keras.initializers.Constant(size)}

    column = [keras.Input(shape, dtype=dtype)]
    for kind, *sizes in rows:
        if kind == "dense":
            layer = layers.Dense(*sizes, dtype=dtype, **start_at(weight_init))
        elif kind in ("conv", "transposed"):
            kernel, stride, width, activation = sizes
            convolution = layers.Conv2D if kind == "conv" else layers.Conv2DTranspose
            layer = convolution(width, kernel, stride, "same", activation=activation, **order, **start_at(CONV_INIT))
        elif kind == "flatten":
            layer = layers.Flatten(**order)
        elif kind == "reshape":
            layer = layers.Reshape(sizes, dtype=dtype)
        elif kind == "dropout":
            layer = layers.Identity(name="dropout", dtype=dtype)  # marks the place, see BetaVAE.encode
        else:
            raise ValueError(f"unknown kind of layer: {kind}")
        column.append(layer)
    return keras.Sequential(column)


def uniform(shape, seed):
    """Random numbers inside (0, 1), a function of a seed of two ints: with XLA and without, on every device. (From the
    same random bits tf.random.stateless_uniform and stateless_normal make other numbers under XLA.)"""
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    return (tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32) + 0.5) * 2.0 ** -23


def normal(shape, seed):
    """Standard normal random numbers, a function of a seed of two ints, as `uniform`."""
    return tf.math.ndtri(uniform(shape, seed))


def reconstruction_loss(images, logits):
    """[batch]: binary cross-entropy, summed over pixels; nats. From logits, since the log(p + 1e-10) of 2016 gives a
    saturated pixel no gradient."""
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits)
    return tf.reduce_sum(cross_entropy, axis=(1, 2, 3))


def kl_divergence(mean, log_variance):
    """[batch]: from the posterior to a standard normal, summed over latents; nats."""
    return tf.reduce_sum((tf.square(mean) + tf.exp(log_variance) - log_variance - 1) / 2, axis=1)


class BetaVAE:
    """One of the models.

    model: a key of MODELS.
    image_shape: (n, n, channels), n a multiple of 8.
    hidden_size: h, as --hidden_size.
    weight_init: sigma of the dense layers' weights and value of their biases.
    seed: a tuple of ints; the initial weights are a function of it.
    """

    def __init__(self, model, image_shape, hidden_size, weight_init, seed):
        if keras.config.backend() != "tensorflow":
            raise RuntimeError(f"Keras computes with {keras.config.backend()} in this process: import this project "
                               "before Keras, or set KERAS_BACKEND=tensorflow")
        n, _, channels = image_shape
        encoder, decoder = MODELS[model].layers(hidden_size, n, channels)
        seeds = iter(np.random.SeedSequence(seed).generate_state(len(encoder) + len(decoder)).tolist())
        self.encoder = build(encoder, image_shape, weight_init, seeds)
        self.latents = int(np.prod(self.encoder.output_shape[1:])) // 2  # a mean and a log variance each
        self.decoder = build(decoder, (self.latents,), weight_init, seeds)
        self.variables = self.encoder.trainable_variables + self.decoder.trainable_variables

    def count_params(self):
        return self.encoder.count_params() + self.decoder.count_params()

    def encode(self, images, keep_prob=1.0, seed=None):
        """images [batch, n, n, channels] -> mean, log_variance, [batch, latents] each.

        keep_prob below 1: dropout where the model has one, from a seed of two ints.
        """
        code = images
        for layer in self.encoder.layers:
            code = layer(code)
            if layer.name == "dropout" and keep_prob < 1:
                kept = tf.cast(uniform(tf.shape(code), seed) < keep_prob, code.dtype)
                code *= kept / keep_prob
        mean, log_variance = tf.split(code, 2, axis=-1)  # by channels where the code is an image
        return tf.reshape(mean, (-1, self.latents)), tf.reshape(log_variance, (-1, self.latents))

    def decode(self, z):
        """z [batch, latents] -> logits [batch, n, n, channels]."""
        return self.decoder(z)

    def losses(self, images, noise, keep_prob=1.0, seed=None):
        """The two terms of the loss, scalars, in nats per image (mean over the batch).

        images: [batch, n, n, channels] in [0, 1]. noise: standard normal, [batch, latents].
        """
        mean, log_variance = self.encode(images, keep_prob, seed)
        z = mean + noise * tf.exp(log_variance / 2)
        return (tf.reduce_mean(reconstruction_loss(images, self.decode(z))),
                tf.reduce_mean(kl_divergence(mean, log_variance)))

    def weight_penalty(self):
        """Half the sum of the squared weights, biases left out."""
        kernels = [layer.kernel for layer in self.encoder.layers + self.decoder.layers if hasattr(layer, "kernel")]
        return tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(kernel)) for kernel in kernels])


if __name__ == "__main__":
    IMAGE_SHAPE = 32, 32, 1  # of 2016
    for name, record in MODELS.items():
        vae = BetaVAE(name, IMAGE_SHAPE, record.defaults["hidden_size"], record.defaults["weight_init"], seed=(0,))
        print(f"{name}: {vae.count_params():,} parameters, {vae.latents} latents")
        vae.encoder.summary()
        vae.decoder.summary()
