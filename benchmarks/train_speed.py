"""How fast training is against as in 2016, on the machine at hand.

    python benchmarks/train_speed.py          a table
    python benchmarks/train_speed.py --json   JSON alone

For each model, milliseconds a step of 128 images of one ball:

    feed          as 2016 did it: Python loops over balls and sub-steps, one NumPy image a frame, fed from the host,
                  one graph call a step, no XLA
    one process   main.py by itself
    all cores     main.py as ./run runs it: one one-threaded process a core (three processes a GPU), a step's time
                  over their number

The three are taken in turn, several rounds in one run; medians. Beside them the share of the machine's own
matrix-product peak that fully_connected reaches in one process (Adam included), the share of a step that its simulation
takes, the memory of a process at its peak, and the whole sweep's hours both ways.
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import ball_generator  # noqa: E402
import main  # noqa: E402
from architecture import MODELS, tf  # noqa: E402
from training import checkpoints, data, device, sweep  # noqa: E402
from training.flags import parse  # noqa: E402
from training.seeds import Purpose  # noqa: E402

ROUNDS = 7
BLOCK = data.STEPS_PER_CALL
# Multiplications and additions of fully_connected's step: forward, and two gradients, but none to the images.
FLOPS = 2 * 128 * (3 * 6_820_644 - 1024 * 1200)


def feed_images(rng, frames=128, num_balls=1):
    """A batch as 2016 made it: scalar physics, one image at a time."""
    size, radius, box = 32, 1.2, 10.0
    x = rng.uniform(2, 8.8, (num_balls, 2))
    v = rng.standard_normal((num_balls, 2))
    v = v / np.sqrt((v ** 2).sum()) * 0.5
    centres = (np.arange(size) + 0.5) * box / size
    columns, rows = np.meshgrid(centres, centres)
    images = np.zeros((frames, size, size, 1), np.float32)
    for frame in range(frames):
        for ball in range(num_balls):
            square = ((columns - x[ball, 0]) ** 2 + (rows - x[ball, 1]) ** 2) / radius ** 2
            images[frame, :, :, 0] += np.exp(-square ** 4)
        images[frame] = np.minimum(images[frame], 1)
        for _ in range(2):
            for ball in range(num_balls):
                x[ball] += 0.5 * v[ball]
                for k in range(2):
                    if x[ball, k] - radius < 0:
                        v[ball, k] = abs(v[ball, k])
                    if x[ball, k] + radius > box:
                        v[ball, k] = -abs(v[ball, k])
            for i in range(num_balls):
                for j in range(i):
                    gap = x[i] - x[j]
                    distance = np.sqrt((gap ** 2).sum())
                    if distance < 2 * radius:
                        unit = gap / distance
                        push = (v[i] - v[j]).dot(unit) * unit
                        v[i] -= push
                        v[j] += push
    return images


def worker(kind, model_name, threads):
    """A process that measures when told: for every line on stdin, the milliseconds of a step on stdout."""
    if kind == "feed":
        print(tf.__version__, file=sys.stderr)  # loads TensorFlow as it comes, before it is set up
    flags = parse(None, main.FLAGS, [f"--model={model_name}", f"--threads={threads}"])
    _, xla = device.set_up(flags, device.load_tensorflow())
    if kind == "peak":
        a = tf.random.normal((2048, 2048))
        product = tf.function(lambda: tf.reduce_sum(a @ a))

        def measure():  # in GFLOP/s
            began = time.perf_counter()
            for _ in range(4):
                product().numpy()
            return 4 * 2 * 2048 ** 3 / (time.perf_counter() - began) / 1e9
    elif kind == "simulate":
        seeds = [(0, int(Purpose.TRAJECTORY), i) for i in range(data.STEPS_PER_SIMULATION)]

        def measure():
            began = time.perf_counter()
            ball_generator.simulate(seeds, 1, 128)
            return (time.perf_counter() - began) / data.STEPS_PER_SIMULATION * 1000
    else:
        model = checkpoints.new_model(flags)
        optimizer = main.new_optimizer(flags, model)
        if kind == "feed":
            rng = np.random.default_rng(0)

            @tf.function(input_signature=[tf.TensorSpec((128, 32, 32, 1), tf.float32)])
            def step(images):
                noise = tf.random.normal((128, model.latents))
                with tf.GradientTape() as tape:
                    reconstruction, kl = model.losses(images, noise)
                    loss = 128 * (reconstruction + flags.beta * kl)
                optimizer.apply(tape.gradient(loss, model.variables))
                return reconstruction, kl

            def steps():
                for _ in range(BLOCK):
                    step(feed_images(rng))[0].numpy()
        else:
            run_steps = main.make_train_steps(flags, model, optimizer, xla)
            seeds = [(0, int(Purpose.TRAJECTORY), i) for i in range(BLOCK)]

            def steps():  # with its share of the simulation
                positions = ball_generator.simulate(seeds, 1, 128)
                run_steps(positions, 0, BLOCK)[0].numpy()

        def measure():
            began = time.perf_counter()
            steps()
            return (time.perf_counter() - began) / BLOCK * 1000
    measure()  # traced and compiled
    print("ready", flush=True)
    for _ in sys.stdin:
        print(measure(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


class Worker:
    def __init__(self, kind, model, threads, gpu=None):
        command = [sys.executable, __file__, f"--worker={kind}", f"--model={model}", f"--threads={threads}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})})
        assert self.process.stdout.readline() == "ready\n", f"the worker for {kind}, {model} ended"

    def tell(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def answer(self):
        milliseconds, megabytes = map(float, self.process.stdout.readline().split())
        self.megabytes = megabytes
        return milliseconds

    def measure(self):
        self.tell()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def jobs_of_run():
    """Threads and GPU of each process that ./run has at a time."""
    gpus = device.visible_gpus()
    at_a_time, threads = sweep.jobs_and_threads(len(sweep.names()), gpus)
    return [(0, gpus[i % len(gpus)]) if gpus else (threads, None) for i in range(at_a_time)]


def compare(model, jobs, rounds):
    """The workers of a model, told in turn; medians of what they measure."""
    feed, alone = Worker("feed", model, 0), Worker("ours", model, 0)
    together = [Worker("ours", model, threads, gpu) for threads, gpu in jobs]
    simulate, peak = Worker("simulate", model, 0), Worker("peak", model, 0)
    found = {"feed_ms": [], "one_process_ms": [], "all_cores_ms": [], "simulate_ms": [], "peak": []}
    for _ in range(rounds):
        found["feed_ms"].append(feed.measure())
        found["one_process_ms"].append(alone.measure())
        for one in together:
            one.tell()
        found["all_cores_ms"].append(sum(one.answer() for one in together) / len(jobs) ** 2)
        found["simulate_ms"].append(simulate.measure())
        found["peak"].append(peak.measure())
    median = {key: statistics.median(values) for key, values in found.items()}
    ratio = {key: statistics.median(np.divide(found["feed_ms"], found[key]))
             for key in ("one_process_ms", "all_cores_ms")}
    result = {
        "feed_ms": round(median["feed_ms"], 2),
        "one_process_ms": round(median["one_process_ms"], 2),
        "all_cores_ms": round(median["all_cores_ms"], 2),
        "feed_over_one_process": round(ratio["one_process_ms"], 2),
        "feed_over_all_cores": round(ratio["all_cores_ms"], 2),
        "peak_share": None if model != "fully_connected" else round(
            statistics.median(FLOPS / (ms / 1000) / 1e9 / peak
                              for ms, peak in zip(found["one_process_ms"], found["peak"], strict=True)), 3),
        "generator_share": round(median["simulate_ms"] / median["one_process_ms"], 4),
        "peak_memory_mb": round(alone.megabytes),
    }
    for one in [feed, alone, simulate, peak, *together]:
        one.close()
    return result


def benchmark(rounds):
    jobs = jobs_of_run()
    results = {}
    for model in MODELS:
        print(f"measuring {model}", file=sys.stderr)
        results[model] = compare(model, jobs, rounds)
    for key, hours in ("all_cores_ms", "sweep_hours"), ("feed_ms", "feed_sweep_hours"):
        results[hours] = round(sum(results[model][key] for model in MODELS) * 6 * 100_000 / 3.6e6, 2)
    results["cores"] = len(os.sched_getaffinity(0))
    return results


def table(results):
    lines = [f"{results['cores']} cores, milliseconds a step (one ball, batch 128), medians",
             f"{'':16} {'feed':>8} {'one process':>12} {'all cores':>10} {'ratios':>12} {'of peak':>8} "
             f"{'simulation':>11} {'memory':>8}"]
    for model in MODELS:
        r = results[model]
        peak = f"{r['peak_share']:.0%}" if r["peak_share"] else ""
        lines.append(f"{model:16} {r['feed_ms']:8.1f} {r['one_process_ms']:12.1f} {r['all_cores_ms']:10.1f} "
                     f"{r['feed_over_one_process']:5.2f}, {r['feed_over_all_cores']:5.2f} {peak:>8} "
                     f"{r['generator_share']:11.1%} {r['peak_memory_mb']:5} MB")
    times = results["feed_sweep_hours"] / results["sweep_hours"]
    lines.append(f"the sweep, 18 x 100,000 steps: {results['sweep_hours']:.1f} hours; as in 2016: "
                 f"{results['feed_sweep_hours']:.1f} hours, {times:.2f} times as long")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--threads", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.worker:
        worker(words.worker, words.model, words.threads)
    else:
        measured = benchmark(words.rounds)
        print(json.dumps(measured, indent=2) if words.json else table(measured))
