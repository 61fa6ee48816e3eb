"""How time and memory grow: with balls, batch size, length, and over a long run.

    python benchmarks/growth.py

prints four tables (some six minutes on two fast cores): the simulation's time against balls, trajectories and frames; a
training step's time against balls, and against batch size; the memory of a process over 20,000 steps.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import ball_generator  # noqa: E402
import main  # noqa: E402
from architecture import MODELS  # noqa: E402
from training import checkpoints, data, device  # noqa: E402
from training.flags import parse  # noqa: E402
from training.seeds import Purpose  # noqa: E402

ROUNDS = 5


def median_ms(work):
    """Median milliseconds of a call, after one that does not count."""
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def simulation():
    print("simulation: microseconds a frame of one trajectory (flat: linear in trajectories and frames)")
    print(f"{'balls':>6} {'trajectories':>13} {'frames':>7} {'ms':>9} {'us':>7}")
    for balls, trajectories, frames in [
            *((balls, 1000, 128) for balls in range(1, 7)), *((1, n, 128) for n in (250, 500, 2000, 4000)),
            *((1, 1000, frames) for frames in (32, 64, 256, 512, 1024))]:
        seeds = [(0, 0, i) for i in range(trajectories)]
        ms = median_ms(lambda: ball_generator.simulate(seeds, balls, frames))  # noqa: B023
        print(f"{balls:6} {trajectories:13} {frames:7} {ms:9.1f} {ms * 1000 / trajectories / frames:7.3f}", flush=True)


def step_ms(*words):
    """Milliseconds of a training step, simulation left out."""
    flags = parse(None, main.FLAGS, list(words))
    _, xla = device.set_up(flags, device.load_tensorflow())
    model = checkpoints.new_model(flags)
    run_steps = main.make_train_steps(flags, model, main.new_optimizer(flags, model), xla)
    seeds = [(0, int(Purpose.TRAJECTORY), i) for i in range(data.STEPS_PER_CALL)]
    positions = ball_generator.simulate(seeds, flags.num_balls, flags.batch_size)
    count = max(5, min(data.STEPS_PER_CALL, 6400 // flags.batch_size))
    return median_ms(lambda: run_steps(positions, 0, count)[0].numpy()) / count


def training():
    print("\ntraining: milliseconds a step of conv, batch 128, against balls")
    for balls in range(1, 7):
        print(f"{balls:6} {step_ms('--model=conv', f'--num_balls={balls}'):9.2f}", flush=True)
    print("\ntraining: milliseconds a step, and microseconds a image, one ball, against batch size")
    print(f"{'batch':>6}" + "".join(f"{model:>22}" for model in MODELS))
    for batch in 32, 64, 128, 256, 512, 1024, 2048:
        line = f"{batch:6}"
        for model in MODELS:
            ms = step_ms(f"--model={model}", f"--batch_size={batch}")
            line += f"{ms:14.2f} {ms * 1000 / batch:7.1f}"
        print(line, flush=True)


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next((int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")), float("nan"))


def memory(max_step=20_000):
    """Resident memory of main.py while it trains, at every 2,000th step."""
    print("\nmemory: resident MB of a training of all_conv against steps")
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, main.__file__, "--model=all_conv", f"--max_step={max_step}", f"--train_dir={home}/s"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        due = 2000
        while process.poll() is None:
            for rows in pathlib.Path(home).glob("*/losses.csv"):
                lines = rows.read_text().splitlines()
                if len(lines) > 1 and int(lines[-1].split(",")[0]) >= due:
                    print(f"{due:6} {resident_mb(process.pid):9.0f}", flush=True)
                    due += 2000
            time.sleep(0.2)
        if process.returncode:
            sys.exit(f"training failed: exit code {process.returncode}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(__doc__)
        sys.exit(0 if sys.argv[1] in ("-h", "--help") else 2)
    print(f"{len(os.sched_getaffinity(0))} cores")
    simulation()
    training()
    memory()
