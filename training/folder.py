"""A run's folder: <train_dir>_<name of the run>, with its flags, its lock and whatever the training leaves there.

    lock = claim(path, flags, FLAGS)          made, or resumed; locked
    flags = read_flags(path)                  raises ValueError, with a sentence, where it is not a run's
    find(train_dir)                           the folders there are
"""
import contextlib
import fcntl
import glob
import json
import os
import platform
import re
from types import SimpleNamespace

import ball_generator
from training.flags import NAMED, differences, name, stem
from training.process import refuse
from training.progress import say

OF_THE_CALL = "train_dir", "restart"  # flags that are not kept: they say where, and are no part of the run
NEEDED = *NAMED, "friction", "hidden_size", "weight_init", "seed"  # to load a run
NUMBERS = "numbers.json"  # what was measured of a run that is kept without its weights
WITHOUT_WEIGHTS = "comes without weights, with its numbers only"
LEFT_BY_A_KILL = r"lock|flags\.json(\.\d+)?\.new"  # in a folder without a run; older forms wrote no number


@contextlib.contextmanager
def replacing(path):
    """Where to write a file, so that it is found as it was or as it shall be, never in between; and by two processes,
    as one of them wrote it."""
    new = f"{path}.{os.getpid()}.new"
    try:
        yield new
        os.replace(new, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(new)


def write_whole(path, text):
    """Write a text file; see `replacing`."""
    with replacing(path) as new, open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_flags(path, flags):
    """Write a run's flags.json."""
    kept = {key: value for key, value in vars(flags).items() if key not in OF_THE_CALL}
    kept["data"] = ball_generator.constants()
    write_whole(os.path.join(path, "flags.json"), json.dumps(kept, indent=2) + "\n")


def read_flags(path):
    """The flags of a run's folder. Raises ValueError, with a sentence, where it is no such folder, or where its images
    were made with other constants than ball_generator.py has now."""
    now = ball_generator.constants()
    if not os.path.isdir(path):
        raise ValueError("there is no such folder")
    try:
        with open(os.path.join(path, "flags.json")) as file:
            flags = SimpleNamespace(**json.load(file))
        missing = [key for key in NEEDED if not hasattr(flags, key)]
        if missing:
            raise ValueError(f"{', '.join(missing)} not found")
        int(flags.seed), name_of(path, flags)
        old = dict(getattr(flags, "data", now))  # an old run, without a record of them, counts as one with today's
    except FileNotFoundError:
        raise ValueError("it has no flags.json") from None
    except (ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
        raise ValueError(f"its flags.json cannot be read ({error})") from None
    changed = [f"{key} was {old.get(key)}, now {now[key]}" for key in now if old.get(key) != now[key]]
    if changed:
        raise ValueError(f"its images are not those of today's ball_generator.py: {'; '.join(changed)}")
    return flags


def why_not_loaded(path):
    """Why a run without a whole checkpoint has none, in words."""
    return f"it {WITHOUT_WEIGHTS}" if os.path.exists(os.path.join(path, NUMBERS)) else "it has no whole checkpoint"


def check_writable(path, flag="--figures"):
    """Make a folder for results, or refuse one that cannot be written. flag: what names it."""
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, f".probe-{os.getpid()}")
        with open(probe, "w"):
            os.remove(probe)
    except OSError as error:
        refuse(f"{flag}: {path} cannot be written: {error.strerror}")


def name_of(path, flags):
    """The name of the run in a folder: what follows the prefix, also of one moved aside. Raises ValueError where it is
    not of these flags."""
    found = re.search(rf"_({re.escape(stem(flags))}(_.*?)?)(\.old-\d+)?$", os.path.basename(os.path.abspath(path)))
    if not found:
        raise ValueError(f"it is of {stem(flags)}")
    return found[1]


def find(train_dir):
    """Folders of runs under a train_dir's prefix, in the order of their names; those moved aside are left out."""
    found = glob.glob(glob.escape(train_dir) + "_model_*")
    return sorted(path for path in found if os.path.isdir(path) and not re.search(r"\.old-\d+$", path))


def locate(flags, table):
    """The path of a run's folder. An older form of this project gave a suffix to friction and seed alone: a run under
    such a name keeps it."""
    path = f"{flags.train_dir}_{name(flags, table)}"
    older = f"{flags.train_dir}_{name(flags, [row for row in table if row.name in ('friction', 'seed')])}"
    if not os.path.exists(path):
        try:
            if not differences(vars(read_flags(older)), flags, table):
                return older
        except ValueError:
            pass
    return path


def check(path, flags, table):
    """Refuse (exit code 2) a folder that is not ours, that holds other flags, or that another process is training in.
    Changes nothing. Returns whether there is a run in it."""
    try:
        files = os.listdir(path) if os.path.isdir(path) else []
        known = any(not re.fullmatch(LEFT_BY_A_KILL, file) for file in files)
        if os.path.exists(os.path.join(path, "lock")):
            with open(os.path.join(path, "lock")) as file:
                _lock(file, path, fcntl.LOCK_SH)  # NFS gives no other to a file that is only read
        changed = differences(vars(read_flags(path)), flags, table) if known and not flags.restart else ()
    except ValueError as error:
        refuse(f"{path} is in the way: {error}. Give another --train_dir, or --restart to move it aside")
    except OSError as error:
        refuse(f"--train_dir: {error.filename or path} cannot be read: {error.strerror}")
    if changed:
        refuse(f"{path} holds another experiment: {'; '.join(changed)}. Give the old values, another --train_dir, or "
               "--restart to move the old run aside")
    return known


def claim(path, flags, table):
    """Make a run's folder, or take up the one there is; lock it, and write its flags.json.

    Returns the lock, to be kept until the process ends. Refuses what `check` does, and a folder that cannot be written.
    """
    known = check(path, flags, table)
    try:
        os.makedirs(path, exist_ok=True)
        lock = _take(path)
        if known and flags.restart:
            number = 1
            while os.path.exists(f"{path}.old-{number}"):
                number += 1
            os.rename(path, f"{path}.old-{number}")
            say(f"moved the old run to {path}.old-{number}")
            os.makedirs(path)
            lock = _take(path)
        for file in os.listdir(path):
            if re.fullmatch(r"(flags\.json|losses\.csv|stddev\.csv|checkpoint)\.\d+\.new", file):  # left by a kill
                os.remove(os.path.join(path, file))
        write_flags(path, flags)
    except OSError as error:
        refuse(f"--train_dir: {error.filename or path} cannot be written: {error.strerror}")
    return lock


def _take(path):
    """Lock a folder for this process; the system lifts the lock when the process ends, however it ends."""
    file = open(os.path.join(path, "lock"), "a+")  # open, and so locked, while the process lives
    _lock(file, path, fcntl.LOCK_EX)
    file.truncate(0)
    file.write(f"{os.getpid()} on {platform.node()}\n")
    file.flush()
    return file


def _lock(file, path, kind):
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        refuse(f"{path} is being trained in by process {file.read().strip()}")
