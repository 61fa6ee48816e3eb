"""Train a sweep of experiments, several at a time, and draw every figure. ./run hands over to this.

    ./run                         2016's 18: every model x {1, 2} balls x 3 betas, 100,000 steps each
    ./run --model=conv --beta=4   other models, balls or betas; any flag of the experiment may be given more than once
    ./run --max_step=200          every other flag of main.py goes to all runs
    ./run --figures=F             where the figures go
    ./run --list                  print the commands, train nothing
    ./run --setup                 install what is needed (on a machine with a GPU, CUDA too), do nothing else
    ./run --task=3                train the experiment of that number in the list (from 0), draw nothing
    sbatch --array=0-17 run       the same as a Slurm array, each task its own experiment

Stopped at any moment, the same command resumes. PYTHON=python3 uses that Python as it is; otherwise .venv is made.
JOBS=n trains n at a time. CUDA_VISIBLE_DEVICES=0,2 takes these GPUs, and an empty one none. Relative paths start at the
project's folder.

Exit codes: 0 all trained and drawn, 1 something failed, 2 refused as asked, 128 + n stopped by signal n.
"""
import argparse
import itertools
import os
import shlex
import subprocess
import sys
import threading
import time
from collections import deque

import main
from architecture import MODELS
from training import process, progress, tables
from training.device import import_cv2, visible_gpus
from training.flags import Flag, boolean, name, parse, parse_known, parser_of, path, whole
from training.folder import check_writable, locate

BALLS, BETAS = (1, 2), (0.1, 0.5, 1.0)
SWEEP = {"model": tuple(MODELS), "num_balls": BALLS, "beta": BETAS}
FLAGS = (
    *main.FLAGS,
    Flag("figures", path, "./figures", "folder of the figures", False),
    Flag("task", whole(0), None, "train the experiment of this number alone", False),
    Flag("list", boolean, False, "print the commands and train nothing", False),
)
PAUSE = 0.2  # seconds between two looks at the trainings


def names():
    """The names of 2016's 18 experiments (more, with a model more), in the order of the sweep."""
    return [name(flags_of(experiment), main.FLAGS) for experiment in product(SWEEP)]


def product(lists):
    """flag -> values: every combination, as flag -> value."""
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def words_of(experiment):
    return [f"--{flag}" if value is True else f"--{flag}={value}" for flag, value in experiment.items()]


def flags_of(experiment, words=()):
    """The flags of an experiment, or a refusal."""
    return main.check(parse(None, main.FLAGS, [*words_of(experiment), *words]))


def parse_sweep(words):
    """The sweep's own flags, and its experiments: flag -> value each. A flag that is part of the experiment may have
    several values; of the same experiment twice, one is left."""
    parser = parser_of(__doc__, FLAGS, action="append", default=None)
    flags = parse_known(parser, FLAGS, words)
    lists = {**SWEEP, **{row.name: dict.fromkeys(getattr(flags, row.name)) for row in FLAGS
                         if row.experiment and getattr(flags, row.name)}}
    return flags, product(lists)


def rest_of(flags):
    """The words of a command line for main.py that are no part of the experiment: those that were given."""
    return words_of({row.name: getattr(flags, row.name) for row in main.FLAGS
                     if not row.experiment and getattr(flags, row.name) != row.default})


def jobs_and_threads(count, gpus):
    """How many of `count` trainings run at a time, and how many threads each has: on CPUs one-threaded ones waste
    least; of GPUs each is shared by three, which a single one leaves idle. JOBS decides otherwise."""
    cores = len(os.sched_getaffinity(0))
    jobs = 3 * len(gpus) if gpus else cores
    if os.environ.get("JOBS"):
        try:
            jobs = whole(1)(os.environ["JOBS"])
        except argparse.ArgumentTypeError as error:
            process.refuse(f"JOBS: {error}")
    jobs = min(jobs, count)
    return jobs, max(1, cores // jobs)


class Sweep:
    """The trainings that wait, run, and have ended."""

    def __init__(self, commands, runs, jobs, gpus):
        """commands: one a training. runs: their flags. jobs: how many at a time. gpus: to be shared out."""
        self.waiting = deque(zip(commands, runs, strict=True))
        self.runs, self.gpus = runs, gpus
        self.slots = {slot: None for slot in range(jobs)}
        self.failed, self.ended = [], 0

    def start(self, slot):
        """Start the next training that waits."""
        command, flags = self.waiting.popleft()
        env = {**os.environ, "RUN_SWEEP": f"{os.getpid()} {slot}"}
        if self.gpus:
            env["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, errors="replace",
                                 stdin=subprocess.DEVNULL)
        said = deque(maxlen=1)
        listener = threading.Thread(target=listen, args=(child.stderr, said))
        listener.start()
        self.slots[slot] = child, flags, said, listener

    def look(self, stopped):
        """Note which trainings have ended, and start others in their places, unless there was a signal."""
        for slot, running in self.slots.items():
            if running and running[0].poll() is not None:
                child, flags, said, listener = running
                listener.join()
                self.slots[slot] = None
                self.ended += 1
                if child.returncode and not stopped:
                    why = said[0] if said else "killed, perhaps for want of memory" if child.returncode == -9 else ""
                    self.failed.append(f"{name(flags, main.FLAGS)} failed, exit code {child.returncode}: {why}")
            if not self.slots[slot] and self.waiting and not stopped:
                self.start(slot)
        return any(self.slots.values())

    def signal(self, number):
        for running in self.slots.values():
            if running:
                running[0].send_signal(number)

    def said(self):
        """How far it is, in words: trainings done, and the time left at the speed that each model has had so far."""
        left, speeds = {}, {}
        for flags in self.runs:
            rows, _ = tables.read_losses(locate(flags, main.FLAGS))
            step, seconds = (rows[-1][0], rows[-1][3]) if rows else (0, 0)
            left[flags.model] = left.get(flags.model, 0) + max(0, flags.max_step - step)
            if step:
                speeds.setdefault(flags.model, []).append(seconds / step)
        text = f"{self.ended - len(self.failed)} of {len(self.runs)} trained"
        if set(left) <= set(speeds) and any(left.values()):
            seconds = sum(left[model] * sum(speeds[model]) / len(speeds[model]) for model in left) / len(self.slots)
            text += f", {seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min left"
        return text


def listen(stream, said):
    """Hand on what a training writes to stderr; said: takes its last line."""
    for line in stream:
        sys.stderr.write(line)
        sys.stderr.flush()
        if line.strip():
            said.append(line.strip())


def train(sweep, stopped):
    """Train all that wait, until a signal is in stopped, which is handed on to the trainings."""
    handed, due = 0, 0.0
    with progress.Line(len(sweep.slots)) as line:
        while sweep.look(stopped):
            for number in stopped[handed:]:
                sweep.signal(number)
                handed += 1
            if time.monotonic() > due or sweep.ended != line.ended:
                line.show(sweep.said(), sweep.ended)
                due = time.monotonic() + 10
            time.sleep(PAUSE)
        line.show(sweep.said(), sweep.ended)


def draw(flags, stopped):
    """Draw what there is, in one process. Returns what failed, a line each."""
    command = [sys.executable, "-m", "analysis.draw", f"--train_dir={flags.train_dir}", f"--figures={flags.figures}"]
    child = subprocess.Popen(command, cwd=process.ROOT, env={**os.environ, "RUN_SWEEP": f"{os.getpid()} 0"})
    while child.poll() is None:
        if stopped:
            child.terminate()
        time.sleep(PAUSE)
    return [f"drawing failed, exit code {child.returncode}"] if child.returncode and not stopped else []


def run(words=None):
    """Do what a command line asks for; words: by default this process's. Returns the exit code."""
    flags, experiments = parse_sweep(words)
    runs = [flags_of(experiment, rest_of(flags)) for experiment in experiments]
    task = task_of(flags, len(runs))
    gpus = visible_gpus()
    jobs, threads = jobs_and_threads(len(runs), gpus)
    if task is not None:
        threads = os.environ.get("SLURM_CPUS_PER_TASK", len(os.sched_getaffinity(0)))
    rest = rest_of(flags)
    if not gpus and not flags.threads and not flags.list:
        rest.append(f"--threads={threads}")
    commands = [[sys.executable, "main.py", *words_of(experiment), *rest] for experiment in experiments]
    if flags.list:
        print("\n".join(map(shlex.join, commands)))
        return 0

    try:
        import_cv2()
    except ImportError as error:
        process.refuse(str(error))
    if gpus:  # those that TensorFlow does not find end here, before anything starts
        finds = "import sys; from training import device; sys.exit(0 if device.load_tensorflow() else 2)"
        code = subprocess.run([sys.executable, "-c", finds], cwd=process.ROOT).returncode
        if code:
            return code
    if task is not None:  # this process becomes the training, and gets its signals
        os.chdir(process.ROOT)
        os.execv(sys.executable, commands[task])
    check_writable(flags.figures)

    with process.stops() as stopped:
        where = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}" if gpus else f"{threads} of {os.cpu_count()} cores each"
        print(f"run: {len(runs)} experiments, {jobs} at a time, on {where}", flush=True)
        sweep = Sweep(commands, runs, jobs, gpus)
        train(sweep, stopped)
        failed = sweep.failed if stopped else sweep.failed + draw(flags, stopped)
    if failed:
        print("run: failed:", *failed, sep="\n")
    if stopped:
        print("run: stopped; the same command " + "without --restart " * flags.restart + "resumes")
        return 128 + stopped[0]
    if not failed:
        print("run: all trained and drawn")
    return 1 if failed else 0


def task_of(flags, count):
    """The number of the one experiment to train, of --task or of a Slurm array; None without. A task that Slurm has
    requeued keeps what it has trained."""
    task, said = flags.task, "--task"
    if task is None and "SLURM_ARRAY_TASK_ID" in os.environ:
        said = "SLURM_ARRAY_TASK_ID"
        try:
            task = whole(0)(os.environ[said])
        except argparse.ArgumentTypeError as error:
            process.refuse(f"{said}: {error}")
    if task is not None and task >= count:
        process.refuse(f"{said}: {task} is not a number from 0 to {count - 1}")
    if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        flags.restart = False
    return task


if __name__ == "__main__":
    sys.argv[0] = "run"
    sys.exit(process.run(run))
