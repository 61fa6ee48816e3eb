"""TensorFlow, loaded in silence, and the device it computes on.

    gpus = device.load_tensorflow()
    name, xla = device.set_up(flags, gpus)
"""
import contextlib
import functools
import gc
import os
import shutil
import signal
import subprocess
import sys

from architecture import MODELS, tf
from training.process import refuse

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@functools.cache
def load_tensorflow():
    """Import TensorFlow, without its greetings (TF_CPP_MIN_LOG_LEVEL=0 shows them). Returns the GPUs it finds: set to
    take memory as they need it, since several runs share one, and to multiply in float32, where TensorFlow's own choice
    is the 10 bits of TF32."""
    os.environ.setdefault(LOG_LEVEL, "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on AVX2: convolutions take 1.6 times as long
    with contextlib.nullcontext() if os.environ[LOG_LEVEL] == "0" else stderr_unless_it_dies():
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            with contextlib.suppress(RuntimeError, ValueError):  # in a notebook that has used or set it up before
                tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
    gc.freeze()  # the 300,000 objects of the import stay: no collection need look at them
    if not gpus and visible_gpus():
        print("nvidia-smi is there, but TensorFlow finds no GPU: install tensorflow[and-cuda], or a newer driver "
              "(TF_CPP_MIN_LOG_LEVEL=0 shows why; CUDA_VISIBLE_DEVICES= does without GPUs)", file=sys.stderr)
    return gpus


@contextlib.contextmanager
def stderr_unless_it_dies():
    """Keep back what is written to stderr, from C++ too. It is shown where an exception, or the end of the process,
    comes before the end of the block: a child waits for that, since a process that dies in C++ can say nothing more."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with os.fdopen(os.memfd_create("stderr"), "rb") as kept:
        waits, tells = os.pipe()
        child = os.fork()
        if child == 0:
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
                signal.signal(number, signal.SIG_IGN)
            os.close(tells)
            if not os.read(waits, 1):
                os.lseek(kept.fileno(), 0, os.SEEK_SET)
                while text := os.read(kept.fileno(), 65536):
                    os.write(stderr, text)
            os._exit(0)
        os.close(waits)
        os.dup2(kept.fileno(), 2)
        try:
            yield
            with contextlib.suppress(BrokenPipeError):  # the child was killed
                os.write(tells, b".")
        finally:
            os.dup2(stderr, 2)
            for number in stderr, tells:
                os.close(number)
            os.waitpid(child, 0)


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


def set_up(flags, gpus):
    """Set threads, before TensorFlow's first operation. Returns the device's name and what XLA compiles: "on" (the
    whole step), "adam" or "off"."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(flags.threads)
        tf.config.threading.set_inter_op_parallelism_threads(flags.threads)
    except RuntimeError:
        refuse(f"--threads={flags.threads}: TensorFlow computes with another number in this process already")
    threads = flags.threads or len(os.sched_getaffinity(0))
    if gpus:
        device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    else:
        device = f"CPU, {threads} thread{'s' * (threads > 1)}"
    xla = flags.xla
    if xla == "auto":
        xla = "on" if gpus else MODELS[flags.model].xla_cpu[threads > 1]
    return device, xla


def import_cv2():
    """OpenCV. Raises ImportError, with a hint, where it does not load, as on a machine without a screen's libraries."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"OpenCV does not load: {error}. Debian and Ubuntu: apt install libgl1 libglib2.0-0; or use "
                          "opencv-python-headless") from None
    return cv2
