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
import logging
import os
import shlex
import subprocess
import sys
import time

import main
from architecture import MODELS
from training import jobs, process, progress
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
    return parse(None, main.FLAGS, [*words_of(experiment), *words])


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
    at_a_time = 3 * len(gpus) if gpus else cores
    if os.environ.get("JOBS"):
        try:
            at_a_time = whole(1)(os.environ["JOBS"])
        except argparse.ArgumentTypeError as error:
            process.refuse(f"JOBS: {error}")
    at_a_time = min(at_a_time, count)
    return at_a_time, max(1, cores // at_a_time)


def trainings_of(experiments, rest):
    """The trainings of experiments; rest: words that go to all of them."""
    trainings = []
    for experiment in experiments:
        flags = flags_of(experiment, rest)
        command = [sys.executable, "main.py", *words_of(experiment), *rest]
        trainings.append(jobs.Training(flags, name(flags, main.FLAGS), locate(flags, main.FLAGS), command))
    if len({training.name for training in trainings}) < len(trainings):
        process.refuse("two of these experiments have one name; give them a --train_dir each, in two sweeps")
    return trainings


def draw(flags, stopped):
    """Draw what there is, in one process. Returns what failed, a line each."""
    command = [sys.executable, "-m", "analysis.draw", f"--train_dir={flags.train_dir}", f"--figures={flags.figures}"]
    child = subprocess.Popen(command, env={**os.environ, "RUN_SWEEP": f"{os.getpid()} {logging.INFO}"})
    while child.poll() is None:
        if stopped:
            child.terminate()
        time.sleep(jobs.PAUSE)
    code = child.returncode
    return [f"drawing failed, exit code {code}"] if code and not (stopped and (code < 0 or code > 128)) else []


def run(words=None):
    """Do what a command line asks for; words: by default this process's. Returns the exit code."""
    os.chdir(process.ROOT)
    flags, experiments = parse_sweep(words)
    task = task_of(flags, len(experiments))
    gpus, cores = visible_gpus(), len(os.sched_getaffinity(0))
    at_a_time, threads = jobs_and_threads(len(experiments), gpus)
    if task is not None:
        threads = os.environ.get("SLURM_CPUS_PER_TASK", cores)
    rest = rest_of(flags)
    if not gpus and not flags.threads and not flags.list:
        rest.append(f"--threads={threads}")
    trainings = trainings_of(experiments, rest)
    if flags.list:
        print("\n".join(shlex.join(training.command) for training in trainings))
        return 0

    try:
        import_cv2()
    except ImportError as error:
        process.refuse(str(error))
    if gpus:  # those that TensorFlow does not find end here, before anything starts
        finds = "import sys; from training import device; sys.exit(0 if device.load_tensorflow() else 2)"
        code = subprocess.run([sys.executable, "-c", finds]).returncode
        if code:
            return code if code > 0 else 1
    if task is not None:  # this process becomes the training, and gets its signals
        os.execv(sys.executable, trainings[task].command)
    check_writable(flags.figures)

    with process.stops() as stopped:
        where = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}" if gpus else f"{threads} of {cores} cores each"
        progress.say(f"run: {len(trainings)} experiments, {at_a_time} at a time, on {where}")
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
