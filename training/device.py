"""The machine: its cores and cards, and TensorFlow set up to compute on them.

    name, xla = device.set_up(flags)
"""
import contextlib
import itertools
import math
import os
import shutil
import subprocess
import sys
import tempfile

from architecture import MODELS, tf
from training.process import refuse


def cores():
    """How many CPU cores this process may use: those it is bound to, and no more than a container's quota allows."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota())))


def quota(root="/sys/fs/cgroup"):
    """The CPUs that a container may use, as its control group says, of version 2 or 1; infinite without a limit."""
    for files in ["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]:
        with contextlib.suppress(OSError, ValueError):  # there is none; it is "max"
            limit, period = (int(word) for file in files for word in open(os.path.join(root, file)).read().split())
            return limit / period if limit > 0 else math.inf
    return math.inf


def visible_gpus():
    """The GPUs that a process may use, as CUDA counts them: those that nvidia-smi finds, or, of these, the ones that
    CUDA_VISIBLE_DEVICES lists. As CUDA reads it, the list ends where an entry is no device."""
    if not shutil.which("nvidia-smi"):
        return []
    found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    count = sum(line.startswith("GPU ") for line in found.splitlines())
    every = list(map(str, range(count)))
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(every))
    devices = itertools.takewhile(lambda entry: entry in every or entry.startswith(("GPU-", "MIG-")),
                                  map(str.strip, chosen.split(",")))
    return list(dict.fromkeys(devices)) if count else []


def set_up(flags=None):
    """Load TensorFlow for a script, and set it up before its first operation. Returns the device's name and what XLA
    compiles of a training with these flags: "on" (the whole step), "adam" or "off".

    GPUs take memory as they need it, since several runs share one, and multiply in float32, where TensorFlow's own
    choice is the 10 bits of TF32.
    """
    with quiet():
        gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with contextlib.suppress(RuntimeError, ValueError):  # used before, in this process
            tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if not gpus and visible_gpus():
        print("nvidia-smi is there, but TensorFlow finds no GPU: install tensorflow[and-cuda], or a newer driver "
              "(TF_CPP_MIN_LOG_LEVEL=0 shows why; CUDA_VISIBLE_DEVICES= does without GPUs)", file=sys.stderr)
    if flags is None:
        return
    threading = tf.config.threading
    if flags.threads and flags.threads != threading.get_intra_op_parallelism_threads():
        try:
            threading.set_intra_op_parallelism_threads(flags.threads)
            threading.set_inter_op_parallelism_threads(flags.threads)
        except RuntimeError:
            refuse(f"--threads={flags.threads}: TensorFlow computes with another number in this process already")
    threads = flags.threads or threading.get_intra_op_parallelism_threads() or cores()
    if gpus:
        device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    else:
        device = f"CPU, {threads} thread{'s' * (threads > 1)}"
    xla = flags.xla
    if xla == "auto":
        xla = "on" if gpus else MODELS[flags.model].xla_cpu[threads > 1]
    return device, xla


@contextlib.contextmanager
def quiet():
    """Keep back what is written to stderr, from C++ too, unless an exception comes or TF_CPP_MIN_LOG_LEVEL is 0:
    TensorFlow's import is noisy."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


if __name__ == "__main__":  # whether TensorFlow finds the GPUs that nvidia-smi finds
    set_up()
    sys.exit(0 if tf.config.list_physical_devices("GPU") else 2)
