"""The three beta-VAEs and their loss, as a TensorFlow graph.

    encode: pictures [batch, 32, 32, 1] -> mean, log_variance, [batch, latents] each
    decode: z [batch, latents] -> logits [batch, 32, 32, 1]; the picture is their sigmoid
    losses: pictures, noise [batch, latents] -> reconstruction, kl, in nats a picture

All three models answer to these. `python architecture.py` prints their layers.
"""
import keras
import numpy as np
import tensorflow as tf
from keras import layers

CONV_INIT = 0.01  # of convolutions in every model: sigma of the weights and value of the biases


def uniform(shape, seed):
    """Random numbers inside (0, 1), a function of a seed of two ints: with XLA and without, on every device. (From the
    same random bits tf.random.stateless_uniform and stateless_normal make other numbers under XLA.)"""
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    return (tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32) + 0.5) * 2.0 ** -23


def normal(shape, seed):
    """Standard normal random numbers, a function of a seed of two ints, as `uniform`."""
    return tf.math.ndtri(uniform(shape, seed))


class BlockConv(layers.Conv2D):
    """A 3 x 3 convolution of stride 2, computed as a 2 x 2 one of stride 1 over blocks of 2 x 2 pixels: same weights
    and, but for rounding, the same result, faster on a CPU, forward and backward."""

    def call(self, pictures):
        blocks = tf.nn.space_to_depth(pictures, 2)                  # [batch, n / 2, n / 2, 4 * width]
        return self.activation(tf.nn.conv2d(blocks, over_blocks(self.kernel), 1, "SAME") + self.bias)


class BlockConvTranspose(layers.Conv2DTranspose):
    """The transpose of BlockConv, instead of a transposed 3 x 3 convolution of stride 2."""

    def call(self, pictures):
        batch, n, _, _ = tf.unstack(tf.shape(pictures))
        blocks = tf.nn.conv2d_transpose(pictures, over_blocks(self.kernel), (batch, n, n, 4 * self.filters), 1, "SAME")
        return self.activation(tf.nn.depth_to_space(blocks, 2) + self.bias)


def over_blocks(kernel):
    """A kernel [3, 3, a, b], its fourth row and column 0, as one over blocks: [2, 2, 4 a, b]."""
    kernel = tf.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    a, b = kernel.shape[2:]
    kernel = tf.reshape(kernel, (2, 2, 2, 2, a, b))                 # block row, row in it, block column, column in it
    return tf.reshape(tf.transpose(kernel, (0, 2, 1, 3, 4, 5)), (2, 2, 4 * a, b))


def table(model, hidden_size):
    """A model's layers: (encoder, decoder), one row a layer: kind, kernel, stride, width (or kind and width alone).

    ELU follows every layer that has weights, but for the last of each column; padding is SAME.
    """
    h = hidden_size
    return {
        "fully_connected": (
            [("flatten",), ("dense", 1200), ("dense", 1200), ("dense", 2 * h)],
            [("dense", 1200), ("dense", 1200), ("dense", 1200), ("dense", 1024), ("reshape", 32, 32, 1)],
        ),
        "conv": (
            [("conv", 3, 2, 8), ("conv", 3, 1, 8), ("conv", 3, 2, 8), ("conv", 1, 1, 4),
             ("flatten",), ("dense", 128), ("dropout",), ("dense", 2 * h)],
            [("dense", 128), ("dense", 256), ("reshape", 8, 8, 4),
             ("transposed", 1, 1, 8), ("transposed", 3, 2, 8), ("transposed", 3, 1, 8), ("transposed", 3, 2, 1)],
        ),
        "all_conv": (
            [("conv", 3, 2, 8), ("conv", 3, 1, 8), ("conv", 3, 2, 16),
             ("conv", 3, 1, 8), ("conv", 3, 1, 8), ("conv", 3, 2, 2 * h)],
            [("reshape", 4, 4, h),
             ("transposed", 3, 2, 8), ("transposed", 3, 1, 8), ("transposed", 3, 1, 16),
             ("transposed", 3, 2, 8), ("transposed", 3, 1, 8), ("transposed", 3, 2, 1)],
        ),
    }[model]


def build(rows, shape, weight_init, seeds):
    """The rows of a table as a Keras Sequential over inputs of the given shape.

    seeds: an iterator of ints, one drawn for each layer with weights.
    """
    def start_at(size):  # weights truncated at 2 sigma, as tf.truncated_normal of 2016
        return {"kernel_initializer": keras.initializers.TruncatedNormal(stddev=size, seed=next(seeds)),
                "bias_initializer": keras.initializers.Constant(size)}

    column = keras.Sequential([keras.Input(shape)])
    last = max(i for i, row in enumerate(rows) if row[0] in ("dense", "conv", "transposed"))
    for i, (kind, *sizes) in enumerate(rows):
        activation = "linear" if i == last else "elu"
        if kind == "dense":
            layer = layers.Dense(sizes[0], activation, **start_at(weight_init))
        elif kind in ("conv", "transposed"):
            kernel, stride, width = sizes
            convolution = layers.Conv2D if kind == "conv" else layers.Conv2DTranspose
            if stride == 2 and i > 0:  # on pictures, of one channel, it would be slower
                convolution = BlockConv if kind == "conv" else BlockConvTranspose
            layer = convolution(width, kernel, stride, "same", activation=activation, **start_at(CONV_INIT))
        elif kind == "flatten":
            layer = layers.Flatten()
        elif kind == "reshape":
            layer = layers.Reshape(sizes)
        elif kind == "dropout":
            layer = layers.Identity(name="dropout")  # marks the place, see BetaVAE.encode
        column.add(layer)
    return column


class BetaVAE:
    """One of the three models.

    model: "fully_connected", "conv" or "all_conv".
    hidden_size: h, latents of the first two; channels of the 4 x 4 latent image of all_conv.
    weight_init: sigma of the dense layers' weights and value of their biases.
    seed: a tuple of ints; the initial weights are a function of it.
    """

    def __init__(self, model, hidden_size, weight_init, seed):
        encoder, decoder = table(model, hidden_size)
        seeds = iter(np.random.SeedSequence(seed).generate_state(len(encoder) + len(decoder)).tolist())
        self.latents = 16 * hidden_size if model == "all_conv" else hidden_size
        self.encoder = build(encoder, (32, 32, 1), weight_init, seeds)
        self.decoder = build(decoder, (self.latents,), weight_init, seeds)
        self.variables = self.encoder.trainable_variables + self.decoder.trainable_variables

    def count_params(self):
        return self.encoder.count_params() + self.decoder.count_params()

    def encode(self, pictures, keep_prob=1.0, seed=None):
        """pictures [batch, 32, 32, 1] -> mean, log_variance, [batch, latents] each.

        keep_prob below 1: dropout where the model has one, from a seed of two ints.
        """
        code = pictures
        for layer in self.encoder.layers:
            code = layer(code)
            if layer.name == "dropout" and keep_prob < 1:
                kept = tf.cast(uniform(tf.shape(code), seed) < keep_prob, code.dtype)
                code *= kept / keep_prob
        mean, log_variance = tf.split(code, 2, axis=-1)  # by channels where the code is an image
        return tf.reshape(mean, (-1, self.latents)), tf.reshape(log_variance, (-1, self.latents))

    def decode(self, z):
        """z [batch, latents] -> logits [batch, 32, 32, 1]."""
        return self.decoder(z)

    def losses(self, pictures, noise, keep_prob=1.0, seed=None):
        """The two terms of the loss, reconstruction + beta * kl; scalars, in nats a picture (mean over the batch).

        pictures: [batch, 32, 32, 1] in [0, 1]. noise: standard normal, [batch, latents].

        reconstruction: binary cross-entropy, summed over pixels; from logits, since the log(p + 1e-10) of 2016
        gives a saturated pixel no gradient. kl: from the posterior to a standard normal, summed over latents.
        """
        mean, log_variance = self.encode(pictures, keep_prob, seed)
        z = mean + noise * tf.exp(log_variance / 2)
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=pictures, logits=self.decode(z))
        reconstruction = tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=(1, 2, 3)))
        divergence = (tf.square(mean) + tf.exp(log_variance) - log_variance - 1) / 2
        kl = tf.reduce_mean(tf.reduce_sum(divergence, axis=1))
        return reconstruction, kl

    def weight_penalty(self):
        """Half the sum of the squared weights, biases left out."""
        kernels = [layer.kernel for layer in self.encoder.layers + self.decoder.layers if hasattr(layer, "kernel")]
        return tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(kernel)) for kernel in kernels])


if __name__ == "__main__":
    import main
    for name, (size, _, weight_init) in main.MODELS.items():
        vae = BetaVAE(name, size, weight_init, seed=(0,))
        print(f"{name}: {vae.count_params():,} parameters")
        vae.encoder.summary()
        vae.decoder.summary()
