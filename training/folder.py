"""A run's folder: its flags, its lock, and whatever the training leaves there. What a run is, its flags.json says,
whatever the folder is called and wherever it is.

    with claimed(flags, FLAGS) as path: ...   made, or taken up; locked
    flags = read_flags(path)                  raises ValueError, with a sentence, where it is not a run's
    find(places)                              the folders there are
"""
import contextlib
import fcntl
import glob
import json
import os
import platform
import re
import sys
import tempfile
from types import SimpleNamespace

from training.data_sets import DATA_SETS, data_set_of
from training.flags import differences, name, variant
from training.process import refuse
from training.progress import say

NEEDED = "name", "variant", "model", "data_set", "beta", "hidden_size", "weight_init", "seed", "data"  # to load a run
NUMBERS = "numbers.json"  # what was measured of a run, which may be kept without its weights
LEFT_BY_A_KILL = r".+\.\d+\.new"  # of `replacing`


@contextlib.contextmanager
def replacing(path):
    """Where to write a file, so that it is found as it was or as it shall be, never in between; and by two processes,
    as one of them wrote it."""
    new = f"{path}.{os.getpid()}.new"
    try:
        yield new
        with open(new, "rb") as file:
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(new)


def write_whole(path, text):
    """Write a text file; see `replacing`."""
    with replacing(path) as new, open(new, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def write_flags(path, flags, table):
    """Write a run's flags.json: its name, its flags, how it differs from the defaults, the constants of its data."""
    kept = {key: value for key, value in vars(flags).items() if key not in ("train_dir", "restart")
            and value is not None}
    kept = {"name": name(flags, table), **kept, "variant": variant(flags, table),
            "data": data_set_of(flags).constants()}
    write_whole(os.path.join(path, "flags.json"), json.dumps(kept, indent=2) + "\n")


def read_flags(path):
    """The flags of a run's folder. Raises ValueError, with a sentence, where it is no such folder, or where its images
    were made with other constants than its data set has now."""
    if not os.path.isdir(path):
        raise ValueError("there is no such folder")
    try:
        with open(os.path.join(path, "flags.json"), encoding="utf-8") as file:
            flags = SimpleNamespace(**json.load(file))
        missing = [key for key in NEEDED if not hasattr(flags, key)]
        if missing:
            raise ValueError(f"{', '.join(missing)} not found")
        if flags.data_set not in DATA_SETS:
            raise ValueError(f"there is no data set {flags.data_set}")
        was, now = dict(flags.data), data_set_of(flags).constants()
    except FileNotFoundError:
        raise ValueError("it has no flags.json") from None
    except Exception as error:  # one of many kinds, by what was done to the file
        raise ValueError(f"its flags.json cannot be read ({error})") from None
    other = [f"{key} was {was.get(key)}, now {now[key]}" for key in now if was.get(key) != now[key]]
    if other:
        raise ValueError(f"its images are not those of today's {flags.data_set}: {'; '.join(other)}")
    return flags


def why_not_loaded(path):
    """Why a run without a whole checkpoint has none, in words."""
    kept = os.path.exists(os.path.join(path, NUMBERS))
    return "it comes without weights, with its numbers only" if kept else "it has no whole checkpoint"


def check_writable(path, flag="--figures"):
    """Make a folder for results, or refuse one that cannot be written. flag: what names it."""
    try:
        os.makedirs(path, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        refuse(f"{flag}: {path} cannot be written: {error.strerror}")


def locate(flags, table):
    """The path of a run's folder: its name behind the prefix --train_dir, or in that folder, if it ends in a /."""
    return flags.train_dir + "_" * (not flags.train_dir.endswith("/")) + name(flags, table)


def find(place):
    """The folders of runs that a --train_dir stands for: a run's own; else all that begin so; else all in it."""
    if is_run(place):
        return [place]
    found = filter(is_run, glob.glob(glob.escape(place) + ("*" if place.endswith("/") else "_*")))
    found = sorted(found, key=lambda path: (len(path), path))  # of one name, store's before store_2's
    return found or sorted(filter(is_run, glob.glob(os.path.join(glob.escape(place), "*"))))


def is_run(path):
    return os.path.isfile(os.path.join(path, "flags.json"))


def checked(path, flags, table):
    """Whether there is a run of these flags; what is none, or holds another experiment, is refused (exit code 2).
    Changes nothing. Raises OSError where it cannot be read."""
    try:
        if not os.path.lexists(path) or os.path.isdir(path) and not set(os.listdir(path)) - {"lock"}:
            return False
        other = differences(vars(read_flags(path)), flags, table)
        if other:
            refuse(f"{path} holds another experiment: {'; '.join(other)}. Give the old values, another --train_dir, or "
                   "--restart to move the old run aside")
        return True
    except ValueError as error:
        refuse(f"{path} is in the way: {error}. Give another --train_dir, or --restart to move it aside")


@contextlib.contextmanager
def claimed(flags, table):
    """A run's folder, made or taken up, for this process alone while it lasts; with --restart, the one that is there is
    moved aside. Refuses one that cannot be written or that another process trains in; what is in it is not looked at
    (see `checked`)."""
    path = locate(flags, table)
    try:
        os.makedirs(path, exist_ok=True)
        lock = _locked(path)
        if flags.restart and set(os.listdir(path)) - {"lock"}:
            number = 1
            while os.path.exists(f"{path}.old-{number}"):
                number += 1
            os.rename(path, f"{path}.old-{number}")
            say(f"moved the old run to {path}.old-{number}", sys.stderr)
            os.makedirs(path)
            lock = _locked(path)
        for file in os.listdir(path):
            if re.fullmatch(LEFT_BY_A_KILL, file):
                os.remove(os.path.join(path, file))
        write_flags(path, flags, table)
    except OSError as error:
        refuse(f"--train_dir: {error.filename or path} cannot be written: {error.strerror}")
    with lock:
        yield path


def _locked(path):
    """A file that is locked for this process; the system lifts the lock when the process ends, however it ends."""
    file = open(os.path.join(path, "lock"), "a+")  # open, and so locked, as long as it is kept
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        refuse(f"{path} is being trained in by process {file.read().strip()}")
    file.truncate(0)
    file.write(f"{os.getpid()} on {platform.node()}\n")
    file.flush()
    return file
