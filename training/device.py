"""The machine: its cores and cards, and TensorFlow set up to compute on them.

    name, xla = device.set_up(flags)
"""
import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

from architecture import MODELS, tf
from training.process import refuse


def cores():
    """How many CPU cores this process may use: those it is bound to, and no more than a container's quota allows."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(count, quota())))


def quota(root="/sys/fs/cgroup", own="/proc/self/cgroup"):
    """The CPUs that the process's control groups allow, of either version; infinite without a limit."""
    least = math.inf
    with contextlib.suppress(OSError):
        groups = re.findall(r"^\d+:([^:]*):(.*)$", open(own).read(), re.MULTILINE)
        for controllers, group in groups:
            folders = [root] if not controllers else [os.path.join(root, controllers), os.path.join(root, "cpu")]
            if controllers and "cpu" not in controllers.split(","):
                continue
            for folder in folders:
                parts = [part for part in group.split("/") if part]
                for depth in range(len(parts) + 1):  # a limit of any group above counts, too
                    least = min(least, _limit(os.path.join(folder, *parts[:depth])))
    return least


def _limit(group):
    """The CPUs that one control group allows."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        file = os.path.join(group, "cpu.max")
        if os.path.exists(file):
            limit, period = open(file).read().split()
        else:
            limit, period = (open(os.path.join(group, f"cpu.cfs_{name}_us")).read() for name in ("quota", "period"))
        if limit != "max" and int(limit) > 0:
            return int(limit) / int(period)
    return math.inf


def visible_gpus():
    """The GPUs that a process may use, as CUDA counts them: those that nvidia-smi finds, or, of these, the ones that
    CUDA_VISIBLE_DEVICES lists. As CUDA reads it, the list ends where an entry is no device."""
    if not shutil.which("nvidia-smi"):
        return []
    found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    count = sum(line.startswith("GPU ") for line in found.splitlines())
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [str(i) for i in range(count)]
    visible = []
    for entry in (word.strip() for word in chosen.split(",")):
        if not entry.startswith(("GPU-", "MIG-")) and not (entry.isdecimal() and int(entry) < count):
            break
        entry = str(int(entry)) if entry.isdecimal() else entry
        if entry not in visible:
            visible.append(entry)
    return visible if count else []


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


def import_cv2():
    """OpenCV. Raises ImportError, with a hint, where it does not load, as on a machine without a screen's libraries."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"OpenCV does not load: {error}. Debian and Ubuntu: apt install libgl1 libglib2.0-0; or use "
                          "opencv-python-headless") from None
    return cv2


def check_cv2():
    """Refuse to start what could not write its images in the end."""
    try:
        import_cv2()
    except ImportError as error:
        refuse(str(error))


if __name__ == "__main__":  # whether TensorFlow finds the GPUs that nvidia-smi finds
    set_up()
    sys.exit(0 if tf.config.list_physical_devices("GPU") else 2)
