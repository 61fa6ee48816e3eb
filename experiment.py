"""One experiment: its flags, its name, its folder.

    parse_flags: a table of flags and the words of a command line -> flags
    name, folder: flags -> where the experiment lives
    claim: the folder, made or gone on with, and locked
    save: checkpoint -> ckpt-<step>.* in the folder, whole or not at all
    restore: folder -> flags, model, step: how all that draws loads a run
    find: a train_dir -> the run folders there

Nothing here imports TensorFlow before a model is needed, so that a bad flag is refused at once.
"""
import argparse
import difflib
import fcntl
import functools
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import sys
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")    # TensorFlow's greetings: errors only
os.environ["KERAS_BACKEND"] = "tensorflow"            # whatever else Keras is used with on this machine
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")   # off by default on AVX2: convolutions take 1.6 times as long

TRAIN_DIR = "./checkpoints/train_store"
KEPT = 3  # checkpoints a folder

# What a random number is for: the middle of every seed, (seed, purpose, step).
TRAJECTORY, WEIGHTS, NOISE, DROPOUT, REPORT, EVALUATION = range(6)

# Flags that may differ when a run goes on: they change how long and how it is run and reported, not what it is.
NOT_THE_EXPERIMENT = ("train_dir", "max_step", "report_every", "save_every", "xla", "threads", "restart")


@functools.cache
def import_tensorflow():
    """TensorFlow, without its greetings (TF_CPP_MIN_LOG_LEVEL=0 shows them), and the GPUs it finds: set to take memory
    as they need it, since several runs share one, and to multiply in float32, where TensorFlow's own choice is the 10
    bits of TF32."""
    sys.stderr.flush()
    stderr = os.dup(2)
    null = os.dup(2) if os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0" else os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # some greetings come before TF_CPP_MIN_LOG_LEVEL counts, from C++
    try:
        import tensorflow as tf
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
    if not gpus and shutil.which("nvidia-smi") and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1"):
        print("nvidia-smi is there, but TensorFlow finds no GPU: install tensorflow[and-cuda], or a newer driver "
              "(TF_CPP_MIN_LOG_LEVEL=0 shows why; CUDA_VISIBLE_DEVICES= does without GPUs)", file=sys.stderr)
    return tf, gpus


def import_cv2():
    """OpenCV; refused with a hint where it does not load, as on a machine without a screen's libraries."""
    try:
        import cv2
    except ImportError as error:
        refuse(f"OpenCV does not load: {error}. Debian and Ubuntu: apt install libgl1 libglib2.0-0; or use "
               "opencv-python-headless")
    return cv2


def refuse(message):
    """End the program for something that cannot be done as asked: one line on stderr, exit code 2."""
    print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr)
    sys.exit(2)


# Flags

def whole(low, high=None):
    """A flag's type: a whole number from low on, or from low to high."""
    return _number(int, "a whole number", lambda x: low <= x and (high is None or x <= high),
                   f"from {low} to {high}" if high is not None else f"from {low} on")


def real(allowed, test):
    """A flag's type: a finite number that passes the test; allowed says which in words."""
    return _number(float, "a number", lambda x: abs(x) < float("inf") and test(x), allowed)


def _number(kind, kind_name, test, allowed):
    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not test(value):
            raise argparse.ArgumentTypeError(f"'{text}' is not {kind_name} {allowed}")
        return value
    return convert


def boolean(text):
    """A flag's type: true or false."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")
    return text.lower() == "true"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        refuse(message.replace("argument ", "", 1))


def parse_flags(description, table, words=None):
    """Parse a command line by a table of (name, type, default, help); a list of names as type is a choice.

    A flag of type boolean may stand alone. Unknown, shortened and mistyped flags are refused with exit code 2.
    """
    parser = _Parser(description=description, allow_abbrev=False,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind, default, text in table:
        kinds = {"choices": kind} if isinstance(kind, (list, tuple)) else {"type": kind}
        if kind is boolean:
            kinds.update(nargs="?", const=True)
        parser.add_argument("--" + name, default=default, help=text, **kinds,
                            metavar=None if "choices" in kinds else name.upper().split("_")[-1])
    flags, unknown = parser.parse_known_args(words)
    for word in unknown:
        close = difflib.get_close_matches(word.split("=")[0].lstrip("-"), [row[0] for row in table], 1, 0.5)
        refuse(f"unknown flag {word}: " + (f"did you mean --{close[0]}?" if close else "--help lists the flags"))
    return flags


# Name and folder

def name(flags):
    """The experiment's name, a function of its flags: as in 2016, with a suffix for friction and for a seed but 0."""
    return (f"model_{flags.model}_num_balls_{flags.num_balls}_beta_{flags.beta}"
            + "_friction" * flags.friction
            + (f"_beta_start_{flags.beta_start}_beta_steps_{flags.beta_steps}" if flags.beta_start else "") + f"_seed_{flags.seed}" * (flags.seed != 0))


def folder(flags):
    return f"{flags.train_dir}_{name(flags)}"


def write_whole(path, text):
    """Write a text file so that it is found as it was or as it shall be, never in between."""
    with open(path + ".new", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def write_flags(flags):
    """Write a run's flags.json: when its folder is made, and again whenever a training begins there."""
    given = {key: value for key, value in vars(flags).items() if key not in ("train_dir", "restart")}
    write_whole(os.path.join(folder(flags), "flags.json"), json.dumps(given, indent=2) + "\n")


def read_flags(path):
    """The flags of a run folder. Raises ValueError, with a sentence, where it is not one of ours."""
    try:
        with open(os.path.join(path, "flags.json")) as file:
            flags = SimpleNamespace(**json.load(file))
        named = path.endswith("_" + name(flags))
    except FileNotFoundError:
        raise ValueError("it has no flags.json") from None
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"its flags.json cannot be read ({error})") from None
    if not named:
        raise ValueError(f"its flags.json is of {name(flags)}")
    return flags


def last_step(path):
    """The last step that a run folder's losses.csv tells of; 0 where it tells of none."""
    try:
        with open(os.path.join(path, "losses.csv")) as lines:
            rows = [line for line in lines if line.endswith("\n")]
        return int(rows[-1].split(",")[0]) if len(rows) > 1 else 0
    except FileNotFoundError:
        return 0


def claim(flags):
    """Make the run folder, with its flags.json, or take up the one there is; lock it.

    Returns the lock, to be kept until the process ends. Refuses (exit code 2), with nothing changed, a folder that
    cannot be written, that is not ours, that holds other flags, or that another process is training in.
    """
    path = folder(flags)
    try:
        known = os.path.isdir(path) and set(os.listdir(path)) - {"lock", "flags.json.new"}
        if known and not flags.restart:
            old = vars(read_flags(path))
            changed = [f"--{key} was {old.get(key)}, now {value}" for key, value in vars(flags).items()
                       if key not in NOT_THE_EXPERIMENT and old.get(key, value if key == 'beta_steps' else None) != value]
            if changed:
                refuse(f"{path} holds another experiment: {'; '.join(changed)}. Give the old values, another "
                       "--train_dir, or --restart to move the old run aside")
        os.makedirs(path, exist_ok=True)
        lock = _lock(path)
        if known and flags.restart:
            number = 1
            while os.path.exists(f"{path}.old-{number}"):
                number += 1
            os.rename(path, f"{path}.old-{number}")
            print(f"moved the old run to {path}.old-{number}")
            os.makedirs(path)
            lock = _lock(path)
        if not known or flags.restart:
            write_flags(flags)
    except ValueError as error:
        refuse(f"{path} is in the way: {error}. Give another --train_dir, or --restart to move it aside")
    except OSError as error:
        refuse(f"--train_dir: {error.filename or path} cannot be written: {error.strerror}")
    return lock


def _lock(path):
    """Lock a folder for this process; the system lifts the lock when the process ends, however it ends."""
    file = open(os.path.join(path, "lock"), "a+")  # open, and so locked, while the process lives
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        refuse(f"{path} is being trained in by process {file.read().strip()}")
    file.truncate(0)
    file.write(f"{os.getpid()} on {platform.node()}\n")
    file.flush()
    return file


# Checkpoints

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
    """Steps of the checkpoints in a folder, newest first, whole or not."""
    found = [re.fullmatch(r"ckpt-(\d+)\.index", file) for file in os.listdir(path)]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def newest(path):
    """Step and prefix of the newest whole checkpoint in a folder; (None, None) where there is none.

    One that is cut short or altered is told on stderr and passed over.
    """
    for step in steps(path) if os.path.isdir(path) else ():
        prefix = os.path.join(path, f"ckpt-{step}")
        try:
            with open(prefix + ".sha256") as file:
                whole_one = file.read() == _sums(prefix)
        except (OSError, UnicodeDecodeError):
            whole_one = False
        if whole_one:
            return step, prefix
        print(f"{prefix} is damaged; looking for the one before", file=sys.stderr)
    return None, None


def save(checkpoint, path, step):
    """Write a tf.train.Checkpoint as ckpt-<step>, and drop all but the newest few.

    Written aside, then moved in with the index last; nothing of it depends on the clock. Raises OSError or
    tf.errors.OpError, the older ones untouched, where the disk does not take it.
    """
    aside = os.path.join(path, "saving")
    shutil.rmtree(aside, ignore_errors=True)  # of a process killed while saving
    try:
        os.mkdir(aside)
        prefix = os.path.join(aside, f"ckpt-{step}")
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
    for old in [old for old in steps(path) if old <= step][KEPT:]:
        for file in reversed(_files(os.path.join(path, f"ckpt-{old}"))):
            os.remove(file)


def parts(model, **others):
    """The tf.train.Checkpoint of a model, and of what else a training needs."""
    import tensorflow as tf
    return tf.train.Checkpoint(encoder=model.encoder, decoder=model.decoder, **others)


def new_model(flags):
    """The experiment's model at step 0."""
    import architecture
    return architecture.BetaVAE(flags.model, flags.hidden_size, flags.weight_init, (flags.seed, WEIGHTS, 0))


def restore(path):
    """A run folder's flags, its model at the newest whole checkpoint, and that checkpoint's step.

    Raises ValueError, with a sentence, where there is no such thing.
    """
    flags = read_flags(path)
    step, prefix = newest(path)
    if step is None:
        raise ValueError("it has no whole checkpoint")
    try:
        model = new_model(flags)
        parts(model).read(prefix).assert_existing_objects_matched().expect_partial()
    except (AttributeError, TypeError, KeyError, ValueError, AssertionError) as error:
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"its flags.json does not fit its weights ({first_line})") from None
    return flags, model, step


def find(train_dir):
    """Folders of runs under a train_dir's prefix, in the order of their names; those moved aside are left out."""
    found = glob.glob(glob.escape(train_dir) + "_model_*")
    return sorted(path for path in found if os.path.isdir(path) and not re.search(r"\.old-\d+$", path))
