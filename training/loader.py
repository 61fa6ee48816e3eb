"""A trained model in NumPy, for the plot scripts and for a notebook.

    from training import load
    vae = load("checkpoints/pretrained/train_store_model_conv_num_balls_1_beta_0.5")
    mean, stddev = vae.encode(images)
    images = vae.decode(mean)
"""
import functools

import numpy as np

import architecture
import ball_generator
from architecture import tf
from training.checkpoints import newest, restored
from training.device import load_tensorflow
from training.folder import name_of, read_flags, why_not_loaded
from training.seeds import Evaluation

NONE_ACTIVE = "no latent is active: the model has collapsed, or has not left the plateau yet"
ACTIVE_BELOW = 0.9   # a latent is active if its average posterior stddev is lower; the prior's is 1
FRAMES = 1000        # of the trajectory that it is averaged over
BATCH = 1000         # images a call of the graph
TRIES = 5            # to read a checkpoint, while a training replaces it by newer ones


def load(path):
    """The trained model in a run's folder, at its newest whole checkpoint. Raises ValueError, in a sentence, where
    there is none."""
    try:
        flags = read_flags(path)
        load_tensorflow()
        for _ in range(TRIES):
            step, prefix = newest(path)
            if step is None:
                break
            try:
                model = restored(flags, prefix)
            except tf.errors.OpError:
                continue
            return TrainedVAE(model, flags, step, path)
        raise ValueError(why_not_loaded(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except OSError as error:
        raise ValueError(f"{path}: it cannot be read: {error.strerror}") from None


class TrainedVAE:
    """A beta-VAE: NumPy arrays in, NumPy arrays out. Images are [n, 32, 32], or [n, 32, 32, 1], from 0 to 1 (uint8:
    from 0 to 255).

    flags: those of its run; step: of the training; name: of the run; latents: their number.
    """

    def __init__(self, model, flags, step, path=None):
        self.model, self.flags, self.step, self.path = model, flags, step, path
        self.name = name_of(path, flags) if path else None
        self.latents = model.latents
        self._images, self._codes = ball_generator.IMAGE_SHAPE, (self.latents,)

    def encode(self, images):
        """Mean and stddev of the posterior of each image, [n, latents] each."""
        mean, log_variance = self._call(self._encode, checked(images))
        return mean, np.exp(log_variance / 2)

    def encode_positions(self, positions):
        """As `encode`, of the images of balls at positions [n, balls, 2], in box units."""
        positions = np.asarray(positions, np.float32)
        if positions.ndim != 3 or positions.shape[2] != 2:
            raise ValueError(f"positions are [n, balls, 2]: given {list(positions.shape)}")
        render = renderer(positions.shape[1])
        mean, log_variance = self._call(lambda some: self._encode(render(some)), positions)
        return mean, np.exp(log_variance / 2)

    def decode(self, z):
        """The images of codes z [n, latents]: [n, 32, 32], from 0 to 1."""
        return self._call(lambda some: tf.sigmoid(self._decode(some)), self._checked_codes(z))[..., 0]

    def reconstruct(self, images):
        """The images decoded from the means of their posteriors: [n, 32, 32], from 0 to 1."""
        return self.decode(self.encode(images)[0])

    def sample(self, n, seed=0):
        """Images decoded from n codes drawn from the prior: [n, 32, 32], from 0 to 1."""
        return self.decode(np.random.default_rng(seed).standard_normal((n, self.latents)))

    def reconstruction_loss(self, images, noise):
        """[n]: each image's cross-entropy with the image of a sampled code, in nats. noise: standard normal,
        [n, latents]."""
        def loss(images, noise):
            mean, log_variance = self._encode(images)
            return architecture.reconstruction_loss(images, self._decode(mean + noise * tf.exp(log_variance / 2)))

        images = checked(images)
        return self._call(loss, images, self._checked_codes(noise, len(images)))

    @functools.cached_property
    def stddev(self):
        """[latents]: the posterior's stddev, averaged over a trajectory of 1,000 frames, none of the training's."""
        positions = trajectory(self.flags.num_balls, self.flags.friction, FRAMES)
        return self.encode_positions(positions)[1].mean(axis=0)

    @functools.cached_property
    def active(self):
        """Indices of the active latents, that of the lowest average stddev first."""
        return np.array([latent for latent in np.argsort(self.stddev) if self.stddev[latent] < ACTIVE_BELOW], int)

    def _checked_codes(self, z, n=None):
        """Codes [n, latents] in float32. Raises ValueError for another shape."""
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latents or n not in (None, len(z)):
            raise ValueError(f"codes are [{'n' if n is None else n}, {self.latents}]: given {list(z.shape)}")
        return z

    def _call(self, compute, *inputs):
        """What is computed of inputs [n, ...] each, BATCH at a time, in NumPy."""
        n = len(inputs[0])
        if not n:  # TensorFlow convolves no empty batch: one, and none of its outputs
            inputs = [np.zeros((1, *values.shape[1:]), values.dtype) for values in inputs]
        starts = range(0, len(inputs[0]), BATCH)
        parts = [compute(*(tf.constant(values[start:start + BATCH]) for values in inputs)) for start in starts]
        if isinstance(parts[0], (list, tuple)):
            return tuple(np.concatenate(column)[:n] for column in zip(*parts, strict=True))
        return np.concatenate(parts)[:n]

    @functools.cached_property
    def _encode(self):
        return graph(self.model.encode, self._images)

    @functools.cached_property
    def _decode(self):
        return graph(self.model.decode, self._codes)


@functools.cache
def renderer(num_balls):
    """The graph of ball_generator.render for so many balls, one for all models."""
    return graph(ball_generator.render, (num_balls, 2))


def graph(function, shape):
    """A TensorFlow graph of a function of an array [n, *shape] in float32."""
    signature = [tf.TensorSpec((None, *shape), tf.float32)]
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


def checked(images):
    """Images as the model takes them, [n, 32, 32, 1] in float32. Raises ValueError for another shape or range."""
    images = np.asarray(images)
    shape, given = ball_generator.IMAGE_SHAPE, list(images.shape)
    if images.ndim == 3 and shape[-1] == 1:
        images = images[..., None]
    if images.ndim != 4 or images.shape[1:] != shape:
        n, _, channels = shape
        raise ValueError(f"images are [n, {n}, {n}] or [n, {n}, {n}, {channels}]: given {given}")
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 255
    if images.dtype.kind not in "fiub":
        raise ValueError(f"images are numbers: given {images.dtype}")
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError("images are from 0 to 1, or uint8: "
                         f"given {images.dtype} from {images.min()} to {images.max()}")
    return images.astype(np.float32)


def trajectory(num_balls, friction, frames):
    """Positions [frames, balls, 2] of the trajectory that stddevs are averaged over, the same for every model."""
    return ball_generator.simulate([Evaluation.STDDEV.seed], num_balls, frames, friction)[0]
