"""A trained model in NumPy, for the plot scripts and for a notebook.

    from analysis import load
    vae = load("checkpoints/pretrained/train_store_model_conv_num_balls_1_beta_0.5")
    mean, stddev = vae.encode(images)
    images = vae.decode(mean)
"""
import functools
from types import SimpleNamespace

import numpy as np

import architecture
from analysis.maps import grid_of_images, response_map
from analysis.measure import scores
from analysis.samples import states_of
from architecture import tf
from training import checkpoints, latents
from training.data_sets import data_set_of
from training.folder import read_flags, why_not_loaded

BATCH = 1000  # images a call of the graph


def load(path):
    """The trained model in a run's folder, at its newest whole checkpoint. Raises ValueError, in a sentence, where
    there is none."""
    try:
        flags = read_flags(path)
        data = data_set_of(flags)
        step, values = checkpoints.newest(path)
        if values is None:
            raise ValueError(why_not_loaded(path))
        model = checkpoints.new_model(flags, data)
        checkpoints.assign(checkpoints.variables_of(model), values)
        return TrainedVAE(model, flags, data, step, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except OSError as error:
        raise ValueError(f"{path}: it cannot be read: {error.strerror}") from None


class TrainedVAE:
    """A beta-VAE: NumPy arrays in, NumPy arrays out. Images are [n, rows, columns], or [n, rows, columns, channels],
    from 0 to 1 (uint8: from 0 to 255).

    flags: those of its run; data: the record of its data set; step: of the training; latents: their number; folder: of
    its run, or None.
    """

    def __init__(self, model, flags, data, step, folder=None):
        self.model, self.flags, self.data, self.step, self.folder = model, flags, data, step, folder
        self.latents = model.latents

    def __repr__(self):
        return (f"{self.flags.model} on {self.data.words}, beta {self.flags.beta:g}, step {self.step:,}: "
                f"{len(self.active)} of {self.latents} latents are active ({', '.join(map(str, self.active))})")

    def at(self, step):
        """The network of the same run at another checkpoint. Raises ValueError where that is damaged."""
        model = checkpoints.new_model(self.flags, self.data)
        checkpoints.assign(checkpoints.variables_of(model), checkpoints.read(checkpoints.file_of(self.folder, step)))
        return TrainedVAE(model, self.flags, self.data, step)

    def untrained(self):
        """The same network at step 0."""
        flags = self.flags
        return untrained(self.data, flags.model, flags.hidden_size, flags.weight_init, flags.seed)

    def encode(self, images):
        """Mean and stddev of the posterior of each image, [n, latents] each."""
        mean, log_variance = call(self._encode, self.checked(images))
        return mean, np.exp(log_variance / 2)

    def encode_states(self, states):
        """As `encode`, of the images of states [n, *state_shape]: of balls, their positions [n, balls, 2]."""
        states = np.asarray(states, np.float32)
        if states.shape[1:] != self.data.state_shape:
            raise ValueError(f"states are {['n', *self.data.state_shape]}: given {list(states.shape)}")
        render = renderer(self.data)
        mean, log_variance = call(lambda some: self._encode(render(some)), states)
        return mean, np.exp(log_variance / 2)

    def decode(self, z):
        """The images of codes z [n, latents]: [n, rows, columns] (of one channel), from 0 to 1."""
        images = call(lambda some: tf.sigmoid(self._decode(some)), self._checked_codes(z))
        return images[..., 0] if images.shape[-1] == 1 else images

    def reconstruct(self, images):
        """The images decoded from the means of their posteriors: as of `decode`."""
        return self.decode(self.encode(images)[0])

    def sample(self, n, seed=0):
        """Images decoded from n codes drawn from the prior: as of `decode`."""
        return self.decode(np.random.default_rng(seed).standard_normal((n, self.latents)))

    def reconstruction_loss(self, images, noise):
        """[n]: each image's cross-entropy with the image of a sampled code, in nats. noise: standard normal,
        [n, latents]."""
        def loss(images, noise):
            mean, log_variance = self._encode(images)
            return architecture.reconstruction_loss(images, self._decode(mean + noise * tf.exp(log_variance / 2)))

        images = self.checked(images)
        return call(loss, images, self._checked_codes(noise, len(images)))

    def scores(self):
        """How far each latent encodes one factor: metric -> number, or one a factor; see analysis/metrics.py."""
        return scores(self)

    def response_map(self, *latents):
        """[latents, rows, columns]: each latent's mean over the first of the data set's views, of balls their place; by
        default of the active latents."""
        return response_map(self, self.data.views[0], list(latents) or self.active)

    def grid(self, a, b, n=7):
        """[n, n, rows, columns]: images decoded while latent a goes through its range along the columns and b along the
        rows; the others stay as in the first image of the sample."""
        return grid_of_images(self, a, b, n)

    @functools.cached_property
    def stddev(self):
        """[latents]: the posterior's stddev, averaged over a trajectory of 1,000 frames, none of the training's."""
        return latents.average_stddev(self._encode, self.data)

    @functools.cached_property
    def active(self):
        """Indices of the active latents, that of the lowest average stddev first."""
        return latents.active(self.stddev)

    @functools.cached_property
    def codes(self):
        """Mean and stddev of the posteriors of the states that scores are over, [samples, latents] each."""
        return self.encode_states(states_of(self.data)[0])

    def _checked_codes(self, z, n=None):
        """Codes [n, latents] in float32. Raises ValueError for another shape."""
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latents or n not in (None, len(z)):
            raise ValueError(f"codes are [{'n' if n is None else n}, {self.latents}]: given {list(z.shape)}")
        return z

    def checked(self, images):
        """Images as the model takes them, [n, rows, columns, channels] in float32. Raises ValueError for another shape
        or range."""
        images = np.asarray(images)
        shape, given = self.data.image_shape, list(images.shape)
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

    @functools.cached_property
    def _encode(self):
        return graph(self.model.encode, self.data.image_shape)

    @functools.cached_property
    def _decode(self):
        return graph(self.model.decode, (self.latents,))


@functools.cache
def untrained(data, model, hidden_size, weight_init, seed):
    """A network at step 0, where beta has done nothing yet; the same one for the same flags."""
    flags = SimpleNamespace(model=model, hidden_size=hidden_size, weight_init=weight_init, seed=seed, beta=0.0)
    return TrainedVAE(checkpoints.new_model(flags, data), flags, data, 0)


def call(compute, *inputs):
    """What is computed of inputs [n, ...] each, BATCH at a time, in NumPy."""
    n = len(inputs[0])
    if not n:  # TensorFlow convolves no empty batch: one, and none of its outputs
        inputs = [np.zeros((1, *values.shape[1:]), values.dtype) for values in inputs]
    starts = range(0, len(inputs[0]), BATCH)
    parts = [compute(*(tf.constant(values[start:start + BATCH]) for values in inputs)) for start in starts]
    if isinstance(parts[0], (list, tuple)):
        return tuple(np.concatenate(column)[:n] for column in zip(*parts, strict=True))
    return np.concatenate(parts)[:n]


@functools.cache
def renderer(data):
    """The graph of a data set's render, one for all models."""
    return graph(data.render, data.state_shape)


def graph(function, shape):
    """A TensorFlow graph of a function of an array [n, *shape] in float32."""
    signature = [tf.TensorSpec((None, *shape), tf.float32)]
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
