"""One training, from its flags to a model that is ready to train, and what is kept and said of it.

    run = Run(flags, table)
    if run.claim():                       # False: it is trained already
        run.start(model, optimizer, beta_at)
        ...
        run.save(step)
"""
import logging
import os
import platform
import signal

import numpy as np

from architecture import MODELS, keras, tf
from training import checkpoints, device, folder, process, progress, tables
from training.loader import NONE_ACTIVE
from training.records import Records, log, start_log


class Run:
    """A run and its folder.

    name, path: what the flags call it, and where it is. step: the one it is at. xla: what XLA compiles, see
    device.set_up. records: its tables, once it has started.
    """

    def __init__(self, flags, table):
        self.flags, self.table = flags, table
        self.path = folder.locate(flags, table)
        self.name = folder.name_of(self.path, flags)
        self.level = progress.screen_level()
        self.end_log = lambda: None

    def claim(self):
        """Load TensorFlow and take the folder, at its newest checkpoint. Returns False where there is nothing to train.

        What cannot be done as asked is refused, with nothing changed.
        """
        flags, path = self.flags, self.path
        folder.check(path, flags, self.table)
        there = self._steps()
        self.step, self.prefix = (None, None) if flags.restart else checkpoints.newest(path)
        if self.step is not None and self.step >= flags.max_step:
            progress.say(f"{path} is trained: step {self.step} of {flags.max_step}")
            return False
        if self.step is None and not flags.restart:
            self._refuse_if_lost()
        self._check_init()
        try:
            device.import_cv2()
        except ImportError as error:
            process.refuse(str(error))
        if self.level <= logging.INFO:
            progress.say("loading TensorFlow ...")
        self.device, self.xla = device.set_up(flags, device.load_tensorflow())
        self._refuse_if_trained_on(there)
        if self.prefix and not checkpoints.has_optimizer(self.prefix):
            process.refuse(f"{path} holds weights alone, without Adam's state: they can be loaded and drawn, but not "
                           f"trained further. --init_from={path} with another --train_dir starts a new run from them")
        self.lock = folder.claim(path, flags, self.table)
        self._refuse_if_trained_on(there)
        return True

    def _steps(self):
        return checkpoints.steps(self.path) if os.path.isdir(self.path) and not self.flags.restart else []

    def _refuse_if_trained_on(self, there):
        """By another process, since the checkpoints of these steps were seen there; the folder is not yet locked."""
        if self._steps() != there:
            process.refuse(f"{self.path}: another process has just trained it further; {process.resumes(self.flags)}")

    def _refuse_if_lost(self):
        """Beginning again would cut the loss curve back to nothing."""
        if os.path.exists(os.path.join(self.path, folder.NUMBERS)):
            process.refuse(f"{self.path} {folder.WITHOUT_WEIGHTS}. Give another --train_dir")
        there = tables.last_step(self.path)
        often = getattr(folder.read_flags(self.path), "save_every", 0) if there else 0
        if os.path.exists(os.path.join(self.path, "checkpoint")) or (
                there > (often if isinstance(often, int) else 0)):
            process.refuse(f"{self.path} was trained to step {there}, and no whole checkpoint is left. Give another "
                           "--train_dir, or --restart to move it aside and begin again")

    def _check_init(self):
        """Find the weights that --init_from names, for a run that starts."""
        self.init = None, None
        if self.flags.init_from is None or self.prefix:
            return
        try:
            old = folder.read_flags(self.flags.init_from)
            changed = [f"its {flag} is {getattr(old, flag)}" for flag in ("model", "hidden_size")
                       if getattr(old, flag) != getattr(self.flags, flag)]
            self.init = checkpoints.newest(self.flags.init_from)
            if changed or not self.init[1]:
                raise ValueError(" and ".join(changed) or folder.why_not_loaded(self.flags.init_from))
        except (ValueError, OSError) as error:
            process.refuse(f"--init_from: {self.flags.init_from}: {error}")

    def start(self, model, optimizer, beta_at):
        """Give model and optimizer the state that they have at this step, and open log and tables."""
        flags = self.flags
        self.model, self.optimizer = model, optimizer
        self.checkpoint = checkpoints.parts(model, optimizer=optimizer)
        self.variables = model.variables + optimizer.variables
        try:
            if self.prefix:
                checkpoints.read(self.checkpoint, self.prefix)
            elif self.init[1]:
                checkpoints.read_weights(model, self.init[1])
        except ValueError as error:
            process.refuse(f"{self.prefix or self.init[1]}: {error}")
        self.saved, self.step = self.step, self.step or 0

        self.end_log = start_log(self.path, self.level)
        log.info(f"{self.name}: {model.count_params():,} parameters, in {self.path}")
        log.info(f"on {self.device}, XLA {self.xla}; TensorFlow {tf.__version__}, Keras {keras.__version__}, "
                 f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}")
        log.debug(" ".join(f"--{key}={value}" for key, value in vars(flags).items()))
        if self.prefix:
            log.info(f"resumed from step {self.step}")
        elif self.init[1]:
            log.info(f"starts from the weights of {flags.init_from} at its step {self.init[0]}")
        for flag, kind in ("keep_prob", "dropout"), ("weight_init", "dense"):
            if getattr(flags, flag) != self._row(flag).default_of(flags.model) and not MODELS[flags.model].has(kind):
                log.warning(f"--{flag}={getattr(flags, flag)} changes nothing: {flags.model} has no {kind} layer")
        if flags.beta_start is not None and flags.max_step < flags.beta_steps:
            log.warning(f"at --max_step={flags.max_step} beta is {beta_at(flags.max_step):.3g}: it reaches "
                        f"{flags.beta:g} at step {flags.beta_steps} (--beta_steps)")
        if flags.beta_start is None and flags.beta_steps != self._row("beta_steps").default:
            log.warning(f"--beta_steps={flags.beta_steps} changes nothing without --beta_start")
        self.records = Records(self.path, self.step, beta_at)

    def _row(self, flag):
        return next(row for row in self.table if row.name == flag)

    def save(self, step):
        """Save, unless a weight is no number any more: the last losses can be finite and the weights after them not."""
        for variable in self.variables:
            if not np.isfinite(variable.numpy()).all():
                raise FloatingPointError(f"weights are not finite after step {step}")
        self.records.events.flush()
        checkpoints.save(self.checkpoint, self.path, step, self.flags.keep)
        self.saved = step

    def end(self, step, stopped):
        """Say how it ended, and return the exit code."""
        rows, _ = tables.read_losses(self.path)
        losses = f"reconstruction {rows[-1][1]:.2f}, KL {rows[-1][2]:.2f} nats per image" if rows else "no step taken"
        if stopped and step < self.flags.max_step:
            log.info(f"{self.name}: stopped by {signal.Signals(stopped[0]).name} at step {step}, saved ({losses}); "
                     + process.resumes(self.flags))
            return 128 + stopped[0]
        if rows and rows[-1][2] < 0.1:
            losses += f"; {NONE_ACTIVE}"
        log.info(f"{self.name}: trained, step {step}: {losses}")
        return 0

    def fail(self, reason):
        """Say why it ended early, and return the exit code."""
        log.error(f"{self.path}: {reason}")
        return 1

    def close(self):
        self.end_log()
        self.lock.close()


def check_finite(terms, step):
    """Raise FloatingPointError where a term of the loss is no number. terms: name -> values of the steps from `step`
    on."""
    for term, values in terms.items():
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise FloatingPointError(f"{term} is {values[bad]} at step {step + bad + 1}")
