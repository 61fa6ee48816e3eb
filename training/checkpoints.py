"""A run's checkpoints: ckpt-<step>.*, each whole, with its SHA-256, or not there at all.

    save(parts(model, optimizer=optimizer), path, step)
    step, prefix = newest(path)
"""
import contextlib
import hashlib
import os
import re
import shutil
import sys

import architecture
import ball_generator
from architecture import tf
from training.folder import write_whole
from training.process import first_line
from training.seeds import Purpose


def new_model(flags):
    """The model of a run at step 0."""
    return architecture.BetaVAE(flags.model, ball_generator.IMAGE_SHAPE, flags.hidden_size, flags.weight_init,
                                (flags.seed, int(Purpose.WEIGHTS), 0))


def parts(model, **others):
    """The tf.train.Checkpoint of a model, and of what else a training needs."""
    return tf.train.Checkpoint(encoder=model.encoder, decoder=model.decoder, **others)


def read(checkpoint, prefix, partly=False):
    """Give all parts of a tf.train.Checkpoint their values; partly: the file may hold more. Raises ValueError, with a
    sentence, where they do not fit."""
    try:
        status = checkpoint.read(prefix)
        status.expect_partial().assert_existing_objects_matched() if partly else status.assert_consumed()
    except (AssertionError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"its weights do not fit its flags.json and architecture.py ({first_line(error)})") from None


def read_weights(model, prefix):
    """Give a model the weights of a checkpoint; as `read`."""
    read(parts(model), prefix, partly=True)


def restored(flags, prefix):
    """The model of a run, at one of its checkpoints. Raises ValueError, with a sentence, where that cannot be."""
    if flags.model not in architecture.MODELS:
        raise ValueError(f"architecture.py has no model {flags.model}")
    try:
        model = new_model(flags)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its flags.json makes no model ({first_line(error)})") from None
    read_weights(model, prefix)
    return model


def has_optimizer(prefix):
    """Whether a checkpoint has Adam's state, and not the weights alone."""
    return any(key.startswith("optimizer/") for key in tf.train.load_checkpoint(prefix).get_variable_to_shape_map())


def prefix_of(path, step):
    """A checkpoint's path, as TensorFlow takes it: without what its files' names end in."""
    return os.path.join(path, f"ckpt-{step}")


def _files(prefix):
    """A checkpoint's files, in the order in which they appear: it counts as there once its index is."""
    return [prefix + ".data-00000-of-00001", prefix + ".sha256", prefix + ".index"]


def _sums(prefix):
    """SHA-256 of a checkpoint's data and index, in the format of sha256sum."""
    lines = []
    for file in (_files(prefix)[0], _files(prefix)[2]):
        with open(file, "rb") as content:
            lines.append(f"{hashlib.sha256(content.read()).hexdigest()}  {os.path.basename(file)}\n")
    return "".join(lines)


def steps(path):
    """Steps of the checkpoints in a folder, newest first, whole or not. Raises OSError where it cannot be read."""
    found = [re.fullmatch(r"ckpt-(\d+)\.index", file) for file in os.listdir(path)]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def newest(path):
    """Step and prefix of the newest whole checkpoint in a folder; (None, None) where there is none.

    One that is cut short or altered is told on stderr and passed over.
    """
    for step in steps(path) if os.path.isdir(path) else ():
        prefix = prefix_of(path, step)
        if is_whole(prefix):
            return step, prefix
        if os.path.exists(prefix + ".index"):  # else a training that goes on has just dropped it for a newer one
            print(f"{prefix} is damaged; looking for the one before", file=sys.stderr)
    return None, None


def whole(path, last):
    """Step -> prefix of the whole checkpoints in a folder up to a step, in their order."""
    prefixes = {step: prefix_of(path, step) for step in reversed(steps(path)) if step <= last}
    return {step: prefix for step, prefix in prefixes.items() if is_whole(prefix)}


def is_whole(prefix):
    """Whether a checkpoint is as it was saved, by its SHA-256."""
    try:
        with open(prefix + ".sha256") as file:
            return file.read() == _sums(prefix)
    except (OSError, UnicodeDecodeError):
        return False


def save(checkpoint, path, step, keep=1):
    """Write a tf.train.Checkpoint as ckpt-<step>, and drop all but the newest `keep`.

    Written aside, then moved in with the index last; nothing of it depends on the clock. Raises OSError or
    tf.errors.OpError, the older ones untouched, where the disk does not take it.
    """
    aside = os.path.join(path, "saving")
    shutil.rmtree(aside, ignore_errors=True)  # of a process killed while saving
    try:
        os.mkdir(aside)
        prefix = prefix_of(aside, step)
        checkpoint.write(prefix)
        with open(prefix + ".sha256", "w") as file:
            file.write(_sums(prefix))
        for file in _files(prefix):
            with open(file, "rb") as content:
                os.fsync(content.fileno())
        for file in _files(prefix):
            os.replace(file, os.path.join(path, os.path.basename(file)))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    # What tf.train.latest_checkpoint reads; TensorFlow's own writer adds the time of day.
    write_whole(os.path.join(path, "checkpoint"), f'model_checkpoint_path: "ckpt-{step}"\n')
    for old in [old for old in steps(path) if old <= step][keep:]:
        for file in reversed(_files(prefix_of(path, old))):
            with contextlib.suppress(FileNotFoundError):
                os.remove(file)
