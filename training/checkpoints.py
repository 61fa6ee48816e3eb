"""A run's checkpoints, ckpt-<step>.npz: an array for each variable of model and optimizer. A file is there whole or not
at all, and NumPy's format has a checksum of each array.

    save(variables_of(model, optimizer), path, step)
    step, values = newest(path)
    assign(variables_of(model), values)
"""
import contextlib
import os
import re
import sys

import numpy as np

import architecture
from training.folder import replacing
from training.process import first_line
from training.seeds import Purpose


def new_model(flags, data):
    """The model of a run at step 0. Raises ValueError, with a sentence, where its flags make none."""
    if flags.model not in architecture.MODELS:
        raise ValueError(f"architecture.py has no model {flags.model}")
    try:
        return architecture.BetaVAE(flags.model, data.image_shape, flags.hidden_size, flags.weight_init,
                                    (flags.seed, Purpose.WEIGHTS, 0))
    except (TypeError, ValueError) as error:
        raise ValueError(f"its flags make no model ({first_line(error)})") from None


def variables_of(model, optimizer=None):
    """Name in a checkpoint -> variable."""
    found = {f"{part}/{number}/{variable.name}": variable for part in ("encoder", "decoder")
             for number, layer in enumerate(getattr(model, part).layers) for variable in layer.weights}
    if optimizer:
        found.update({f"optimizer/{number}": variable for number, variable in enumerate(optimizer.variables)})
    return found


def assign(variables, values):
    """Give variables the values of a checkpoint. Raises ValueError, with a sentence, where they do not fit."""
    wrong = [name for name, variable in variables.items()
             if name not in values or values[name].shape != tuple(variable.shape)]
    wrong += [name for name in values if name not in variables and not name.startswith("optimizer/")]
    if wrong:
        raise ValueError(f"its weights do not fit its flags.json and architecture.py ({wrong[0]})")
    for name, variable in variables.items():
        variable.assign(values[name])


def has_optimizer(values):
    """Whether a checkpoint has the optimizer's state, and not the weights alone."""
    return any(name.startswith("optimizer/") for name in values)


def file_of(path, step):
    return os.path.join(path, f"ckpt-{step}.npz")


def steps(path):
    """Steps of the checkpoints in a folder, newest first, whole or not. Raises OSError where it cannot be read."""
    found = [re.fullmatch(r"ckpt-(\d+)\.npz", file) for file in os.listdir(path)]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def read(file):
    """The arrays of a checkpoint, by name. Raises ValueError where it is cut short or altered."""
    with open(file, "rb") as content:
        try:
            return dict(np.load(content, allow_pickle=False))
        except Exception as error:  # one of a dozen kinds, by the bit that is altered
            raise ValueError(first_line(error)) from None


def newest(path):
    """Step and values of the newest whole checkpoint in a folder; (None, None) where there is none. A damaged one is
    told on stderr and passed over."""
    tried = set()
    while waiting := [step for step in steps(path) if step not in tried]:  # anew: a training may replace them meanwhile
        tried.add(waiting[0])
        try:
            return waiting[0], read(file_of(path, waiting[0]))
        except FileNotFoundError:
            pass
        except ValueError:
            print(f"{file_of(path, waiting[0])} is damaged; looking for the one before", file=sys.stderr)
    return None, None


def save(variables, path, step, keep=1):
    """Write ckpt-<step>.npz, and drop all but the newest `keep`. Raises OSError, the older ones untouched, where the
    disk does not take it, and FloatingPointError where a value is no number: the last losses can be finite and the
    weights after them not."""
    values = {name: variable.numpy() for name, variable in variables.items()}
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise FloatingPointError(f"weights are not finite after step {step} ({name})")
    with replacing(file_of(path, step)) as new, open(new, "wb") as file:
        np.savez(file, **values)
    for old in [old for old in steps(path) if old <= step][keep:]:
        with contextlib.suppress(FileNotFoundError):
            os.remove(file_of(path, old))
