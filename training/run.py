"""One training under way: the step that it is taken up at, and what is kept and said of it.

    step = checked_step(flags, FLAGS)
    step = restore(flags, path, model, optimizer)
    run = Training(flags, FLAGS, path, model, optimizer, step)
"""
import os
import platform
import signal

import numpy as np

from architecture import MODELS, keras, tf
from training import checkpoints, curves, folder, process
from training.data_sets import data_set_of
from training.flags import name, not_default
from training.latents import NONE_ACTIVE
from training.records import Records, log


def checked_step(flags, table):
    """The step of the newest whole checkpoint of these flags' run; None where it has yet to begin. What cannot be done
    as asked is refused, in a second and with nothing changed."""
    path = folder.locate(flags, table)
    try:
        if not flags.restart and folder.checked(path, flags, table):
            step, values = checkpoints.newest(path)
            if values and (step >= flags.max_step or checkpoints.has_optimizer(values)):
                return step
            if values:
                raise ValueError("it holds weights alone, without the optimizer's state: they can be loaded and drawn, "
                                 f"but not trained on. --init_from={path} with another --train_dir starts a new run")
            if checkpoints.steps(path):  # beginning again would cut its curve back to nothing
                rows = curves.read_losses(path)
                raise ValueError(f"it was trained to step {rows[-1][0] if rows else 0}, and no whole checkpoint is "
                                 "left. Give another --train_dir, or --restart to move it aside and begin again")
            if os.path.exists(os.path.join(path, folder.NUMBERS)):
                raise ValueError(f"{folder.why_not_loaded(path)}. Give another --train_dir")
    except (ValueError, OSError) as error:
        process.refuse(f"{path}: {error}")
    if flags.init_from:
        check_init(flags)
    return None


def check_init(flags):
    """Refuse an --init_from that names no run to start this one from."""
    try:
        old = folder.read_flags(flags.init_from)
        facts = [("model is", old.model, flags.model), ("hidden_size is", old.hidden_size, flags.hidden_size),
                 ("images are", data_set_of(old).image_shape, data_set_of(flags).image_shape)]
        wrong = [f"its {what} {was}, here {now}" for what, was, now in facts if was != now]
        if wrong or not checkpoints.newest(flags.init_from)[1]:
            raise ValueError("; ".join(wrong) or folder.why_not_loaded(flags.init_from))
    except (ValueError, OSError) as error:
        process.refuse(f"--init_from: {flags.init_from}: {error}")


def restore(flags, path, model, optimizer):
    """Give model and optimizer the values of the run's newest checkpoint, or, where it has none, the weights that
    --init_from names. Returns the step. Values that do not fit are refused."""
    source = path
    try:
        step, values = checkpoints.newest(path)
        if values:
            checkpoints.assign(checkpoints.variables_of(model, optimizer), values)
            log.info(f"resumed from step {step}")
            return step
        if flags.init_from:
            source = flags.init_from
            step, values = checkpoints.newest(source)
            checkpoints.assign(checkpoints.variables_of(model), values or {})
            log.info(f"starts from the weights of {source} at its step {step}")
        return 0
    except ValueError as error:
        process.refuse(f"{source}: {error}")


def hints(flags, table, beta_at):
    """What a user may not have meant, a sentence each."""
    given = {row.name for row in not_default(flags, table)}
    for flag, kind in ("keep_prob", "dropout"), ("weight_init", "dense"):
        if flag in given and not MODELS[flags.model].has(kind):
            yield f"--{flag}={getattr(flags, flag)} changes nothing: {flags.model} has no {kind} layer"
    if flags.beta_start is not None and flags.max_step < flags.beta_steps:
        yield (f"at --max_step={flags.max_step} beta is {beta_at(flags.max_step):.3g}: it reaches {flags.beta:g} at "
               f"step {flags.beta_steps} (--beta_steps)")
    if flags.beta_start is None and "beta_steps" in given:
        yield f"--beta_steps={flags.beta_steps} changes nothing without --beta_start"


class Training:
    """A training under way. name: what its flags call it. records: its tables."""

    def __init__(self, flags, table, path, model, optimizer, step):
        self.flags, self.name, self.path = flags, name(flags, table), path
        self.variables = checkpoints.variables_of(model, optimizer)
        self.saved = step
        log.info(f"{self.name}: {model.count_params():,} parameters, in {path}")
        log.info(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, NumPy {np.__version__}, Python "
                 f"{platform.python_version()}, {platform.machine()}")
        log.debug(" ".join(f"--{key}={value}" for key, value in vars(flags).items() if value is not None))
        self.records = Records(path, step, model.latents)

    def save(self, step):
        self.records.flush()
        checkpoints.save(self.variables, self.path, step, self.flags.keep)
        self.saved = step

    def end(self, step, stopped):
        """Say how it ended, and return the exit code."""
        rows = curves.read_losses(self.path)
        losses = f"reconstruction {rows[-1][1]:.2f}, KL {rows[-1][2]:.2f} nats per image" if rows else "no step taken"
        if stopped and step < self.flags.max_step:
            log.info(f"{self.name}: stopped by {signal.Signals(stopped[0]).name} at step {step}, saved ({losses}); "
                     + process.resumes(self.flags))
            return 128 + stopped[0]
        if rows and rows[-1][2] < 0.1:
            losses += f"; {NONE_ACTIVE}"
        log.info(f"{self.name}: trained, step {step}: {losses}")
        return 0


def check_finite(terms, step):
    """Raise FloatingPointError where a term of the loss is no number. terms: name -> values of the steps from `step`
    on."""
    for term, values in terms.items():
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise FloatingPointError(f"{term} is {values[bad]} at step {step + bad + 1}")
