"""What a script's process needs: refusals and stops in one line, and a matplotlib that looks the same for every user.

    if __name__ == "__main__":
        sys.exit(process.run(main))

Importing this module changes nothing; `run` leaves the process as it found it.
"""
import atexit
import contextlib
import ctypes
import gc
import os
import re
import signal
import sys
import threading

import matplotlib.style

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2",    # without its greetings; 0 shows them
              "TF_ENABLE_ONEDNN_OPTS": "1"}   # off by default on AVX2, where convolutions take 1.6 times as long


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
    return "the same command " + "without --restart " * bool(flags.restart) + "resumes"


def run(main):
    """Call a script's main and return its exit code. Ctrl-C is a stop, not an error. Where nobody reads what it
    printed, as after `| head -1`, or the disk that it went to is full, that changes no exit code."""
    environment, thresholds = dict(os.environ), gc.get_threshold()
    os.environ.update({**TENSORFLOW, **environment})
    gc.set_threshold(10_000, 50, 100)  # collect garbage seldom: most of what a script makes stays
    atexit.register(gc.freeze)  # at its end no collection looks at the 300,000 objects of TensorFlow
    with handlers({signal.SIGTERM: lambda number, frame: sys.exit(128 + number)}):  # what is half-written is removed
        try:
            end_with_sweep()
            code = main()
        except SystemExit as end:  # of a refusal, or after --help
            code = end.code
        except KeyboardInterrupt:
            print(f"{os.path.basename(sys.argv[0])}: stopped", file=sys.stderr)
            code = 128 + signal.SIGINT
        except BrokenPipeError:
            code = 128 + signal.SIGPIPE
        finally:
            gc.set_threshold(*thresholds)
            for name in TENSORFLOW.keys() - environment.keys():
                os.environ.pop(name, None)
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python itself flushes once more
    return code


@contextlib.contextmanager
def handlers(wanted):
    """Handle signals in another way for a while: number -> handler. Python allows that in the main thread alone;
    elsewhere they stay as they are."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stops():
    """Collect the signals that ask for a stop, in the order in which they come, instead of being ended by them. A
    SIGHUP that is ignored, as under nohup, stays so."""
    stopped = []
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    with handlers({number: lambda number, frame: stopped.append(number) for number in numbers}):
        yield stopped


def end_with_sweep():
    """Have this process sent SIGTERM when the sweep that it belongs to, process RUN_SWEEP, ends, however that ends."""
    sweep = os.environ.get("RUN_SWEEP", "")
    if sweep.isdecimal():
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, of Linux
        if os.getppid() != int(sweep):  # it has ended already
            os.kill(os.getpid(), signal.SIGTERM)


def default_style():
    """A context in which matplotlib has its own defaults, whatever the user's matplotlibrc says."""
    return matplotlib.style.context("default")
