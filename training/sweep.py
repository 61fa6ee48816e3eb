"""Train a sweep of experiments, several at a time, and draw every figure. ./run hands over to this.

    ./run                         2016's 18: three models x {1, 2} balls x 3 betas, 100,000 steps each
    ./run --data_set=shapes       the paper's: its network and fully_connected x 3 betas, on 2D shapes
    ./run --model=conv --beta=4   other models, balls or betas; any flag of the experiment may be given more than once
    ./run --max_step=200          every other flag of main.py goes to all runs
    ./run --figures=F             where the figures go
    ./run --list                  print the commands, train nothing
    ./run --setup                 install what is needed (on a machine with a GPU, CUDA too), do nothing else
    ./run --task=3                train the experiment of that number in the list (from 0), draw nothing
    sbatch --array=0-17 run       the same as a Slurm array, each task its own experiment

Stopped at any moment, the same command resumes. PYTHON=python3 uses that Python as it is; otherwise .venv is made.
JOBS=n trains n at a time. CUDA_VISIBLE_DEVICES=0,2 takes these GPUs, and an empty one none.

Exit codes: 0 all trained and drawn, 1 something failed, 2 refused as asked, 128 + n stopped by signal n.
"""
import argparse
import dataclasses
import itertools
import os
import shlex
import subprocess
import sys
import time

from training import device, jobs, pictures, process, progress
from training.flags import TRAIN_DIR, Flag, boolean, integer, name, parse, parse_known, path
from training.folder import check_writable, locate

SWEEPS = {  # by data set: the values of flags of the experiment
    "balls": {"model": ("fully_connected", "conv", "all_conv"), "num_balls": (1, 2), "beta": (0.1, 0.5, 1.0)},
    "shapes": {"model": ("paper", "fully_connected"), "beta": (4.0, 1.0, 0.0)},
}
FLAGS = (
    Flag("figures", path, os.path.join(process.ROOT, "figures"), "folder of the figures", False),
    Flag("task", integer(0), None, "train the experiment of this number alone", False),
    Flag("list", boolean, False, "print the commands and train nothing", False),
    Flag("sweep", boolean, True, "what makes main.py a sweep", False),
)


def product(lists):
    """flag -> values: every combination, as flag -> value."""
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def words_of(experiment):
    return [f"--{flag}" if value is True else f"--{flag}={value}" for flag, value in experiment.items()]


def parse_sweep(table, words):
    """The sweep's own flags, and its experiments: flag -> value each. A flag that is part of the experiment may have
    several values; of the same experiment twice, one is left."""
    rows = (*(dataclasses.replace(row, many=row.experiment) for row in table), *FLAGS)
    flags = parse_known(__doc__, rows, words)
    given = {row.name: dict.fromkeys(getattr(flags, row.name)) for row in table
             if row.experiment and getattr(flags, row.name)}
    experiments = []
    for key in given.pop("data_set", ["balls"]):
        named = {} if key == "balls" else {"data_set": [key]}
        experiments += product({**named, **SWEEPS.get(key, {}), **given})
    return flags, experiments


def rest_of(flags, table):
    """The words of a command line for main.py that are no part of the experiment: those that were given."""
    return words_of({row.name: getattr(flags, row.name) for row in table
                     if not row.experiment and getattr(flags, row.name) is not None})


def jobs_and_threads(count, gpus):
    """How many of `count` trainings run at a time, and how many threads each has: on CPUs one-threaded ones waste
    least; of GPUs each is shared by three, which a single one leaves idle while it starts, saves and reports
    (docs/performance.md), if each has a core. JOBS decides otherwise."""
    cores = device.cores()
    at_a_time = max(len(gpus), min(3 * len(gpus), cores)) if gpus else cores
    if os.environ.get("JOBS"):
        try:
            at_a_time = integer(1)(os.environ["JOBS"])
        except argparse.ArgumentTypeError as error:
            process.refuse(f"JOBS: {error}")
    at_a_time = min(at_a_time, count)
    return at_a_time, max(1, cores // at_a_time)


def python(*words):
    """A command line of this Python, as it is: cut off from the user's settings where this one is."""
    return [sys.executable, *["-E", "-s"] * sys.flags.ignore_environment, *words]


def trainings_of(experiments, rest, table):
    """The trainings of experiments; rest: words that go to all of them."""
    trainings = []
    for experiment in experiments:
        words = [*words_of(experiment), *rest]
        flags = parse(None, table, words)
        command = python(os.path.join(process.ROOT, "main.py"), *words)
        trainings.append(jobs.Job(flags, name(flags, table), locate(flags, table), command))
    if len({training.name for training in trainings}) < len(trainings):
        process.refuse("two of these experiments have one name; give them a --train_dir each, in two sweeps")
    return trainings


def draw(flags, stopped):
    """Draw what there is, in one process. Returns what failed, a line each."""
    command = python(os.path.join(process.ROOT, "create_all.py"),
                     *words_of({"train_dir": flags.train_dir, "figures": flags.figures}))
    child = subprocess.Popen(command, cwd=process.ROOT,
                             env={**os.environ, "RUN_SWEEP": str(os.getpid())})
    while child.poll() is None:
        if stopped:
            child.terminate()
        time.sleep(jobs.PAUSE)
    code = child.returncode
    return [f"drawing failed, exit code {code}"] if code and not (stopped and (code < 0 or code > 128)) else []


def main(table, words=None):
    """Do what a command line asks for. table: of main.py's flags; words: by default this process's. Returns the exit
    code."""
    sys.argv[0] = "run"
    flags, experiments = parse_sweep(table, words)
    task, of_slurm = flags.task, os.environ.get("SLURM_ARRAY_TASK_ID")
    if task is None and of_slurm:
        if not of_slurm.isdecimal():
            process.refuse(f"SLURM_ARRAY_TASK_ID={of_slurm} is not the number of a task")
        task = int(of_slurm)
    if task is not None and task >= len(experiments):
        process.refuse(f"task {task}: the list goes from 0 to {len(experiments) - 1}")
    if flags.restart and os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        progress.say("run: Slurm has requeued this task (SLURM_RESTART_COUNT): it resumes, without --restart")
        flags.restart = None
    gpus = device.visible_gpus()
    at_a_time, threads = jobs_and_threads(len(experiments), gpus)
    if task is not None:
        threads = os.environ.get("SLURM_CPUS_PER_TASK", device.cores())
    rest = rest_of(flags, table)
    if not gpus and not flags.threads and not flags.list:
        rest.append(f"--threads={threads}")
    trainings = trainings_of(experiments, rest, table)
    if flags.list:
        print("\n".join(shlex.join(training.command) for training in trainings))
        return 0

    if gpus:  # those that TensorFlow does not find end here, before anything starts
        code = subprocess.run(python("-m", "training.device"), cwd=process.ROOT).returncode
        if code:
            return code if code > 0 else 1
    if task is not None:  # this process becomes the training, and gets its signals
        progress.say(f"run: task {task}: trains {trainings[task].name} alone, and draws nothing")
        os.execv(sys.executable, trainings[task].command)
    flags.train_dir, flags.figures = flags.train_dir or TRAIN_DIR, flags.figures or FLAGS[0].default
    check_writable(flags.figures)
    pictures.opencv()

    with process.stops() as stopped:
        where = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}" if gpus else f"{threads} of {device.cores()} cores each"
        chosen = [f"{word}={os.environ[word]}" for word in ("JOBS", "CUDA_VISIBLE_DEVICES") if word in os.environ]
        progress.say(f"run: {len(trainings)} experiments, {at_a_time} at a time, on {where}"
                     + f" ({', '.join(chosen)})" * bool(chosen))
        jobs.train(trainings, at_a_time, gpus, stopped)
        failed = [*filter(None, (training.failure(stopped) for training in trainings))]
        failed += [] if stopped else draw(flags, stopped)
    if failed:
        progress.say("\n".join(["run: failed:", *failed]))
    if stopped:
        progress.say(f"run: stopped; {process.resumes(flags)}")
        return 128 + stopped[0]
    if not failed:
        progress.say("run: all trained and drawn")
    return 1 if failed else 0
