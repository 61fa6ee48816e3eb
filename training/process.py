"""What a script's process needs whatever it does: refusals and stops in one line, standard streams that are there, and
a matplotlib that looks the same for every user.

    if __name__ == "__main__":
        sys.exit(process.run(main))
"""
import contextlib
import ctypes
import gc
import importlib
import io
import itertools
import os
import re
import signal
import sys


def refuse(message):
    """End the program for something that cannot be done as asked: one line on stderr, exit code 2."""
    print(f"{os.path.basename(sys.argv[0])}: " + message.replace("\n", " "), file=sys.stderr)
    sys.exit(2)


def first_line(error):
    """What an exception says, in a line: TensorFlow's go on for pages, and begin with the name of a graph's node."""
    text = re.sub(r"^\{\{.*?\}\}\s*", "", str(error).strip())
    return (text or type(error).__name__).splitlines()[0]


def resumes(flags):
    """How to go on with a training or a sweep that has stopped, in words."""
    return "the same command " + "without --restart " * flags.restart + "resumes"


def open_streams():
    """Give the process the standard streams that its caller closed, as `python main.py >&-` does: the null device."""
    for number, name, mode in (0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a β that a terminal does not have ends nothing


def stopped_hook(kind, error, trace, before=sys.excepthook):
    """Ctrl-C is a stop, and no error: a line instead of a traceback; the exit code is 130 all the same."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"{os.path.basename(sys.argv[0])}: stopped", file=sys.stderr)
    else:
        before(kind, error, trace)


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
script = getattr(sys.modules["__main__"], "__file__", None)  # with `python -m training.sweep` it is not yet known
if script and re.fullmatch(r"main\.py|create_\w+\.py|(benchmarks|tests)/.+", os.path.relpath(
        os.path.realpath(script), os.path.realpath(ROOT))) or any(
        flag == "-m" and word.startswith(("training.", "analysis."))
        for flag, word in itertools.pairwise(sys.orig_argv)):
    # One of this project's scripts, from its imports on. A notebook, or a script of the user's, keeps its own way.
    sys.excepthook = stopped_hook
    gc.set_threshold(10_000, 50, 100)  # collect garbage seldom: most of what a script makes stays
    os.environ["MPLBACKEND"] = "agg"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a second one of NumPy's mostly waits, at full speed


def run(main):
    """Call a script's main and return its exit code. Where nobody reads what it printed, as after `| head -1`, or
    the disk that it went to is full, that changes no exit code."""
    open_streams()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what is half-written is removed
    end_with_sweep()
    try:
        code = main()
    except SystemExit as end:  # of a refusal, or after --help
        code = end.code
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python itself flushes once more
    return code


STOPS = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP


@contextlib.contextmanager
def stops():
    """Collect the signals that ask for a stop, in the order in which they come, instead of being ended by them. A
    SIGHUP that is ignored, as under nohup, stays so."""
    stopped = []
    before = {number: signal.getsignal(number) for number in STOPS}
    for number in STOPS:
        if number != signal.SIGHUP or before[number] != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: stopped.append(number))
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def sweep():
    """The process of the sweep that this one belongs to, and the level from which it shows messages; None without."""
    pid, _, level = os.environ.get("RUN_SWEEP", "").partition(" ")
    return (int(pid), int(level)) if pid.isdecimal() and level.isdecimal() else None


def end_with_sweep():
    """Have this process sent SIGTERM when the sweep that it belongs to ends, however that ends."""
    if sweep():
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != sweep()[0]:  # it has ended already
            os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def default_style():
    """matplotlib's own defaults, whatever the user's matplotlibrc says."""
    matplotlib = importlib.import_module("matplotlib")
    with matplotlib.rc_context(
            {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}):
        yield
