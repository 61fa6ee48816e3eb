"""What a training asks of a GPU: on paper, and measured on the card at hand.

    python -m benchmarks.gpu --predict        on paper, for an H100, without a card: 20 seconds of CPU
    python -m benchmarks.gpu                  on the first card, beside what paper says: made to take 8 minutes
    python -m benchmarks.gpu --steps=50 --together=1 --model=fully_connected       less, also on a CPU

On paper: XLA lowers one step of main.py for a GPU that is not there, and compiles it for the CPU that is. Each
instruction that it then has stands for a kernel, which reads its inputs and writes its outputs. A step takes

    at least     2 us for each product or convolution; or, if that is more, reading weights and optimizer once and
                 writing them once; or its operations
    at most      5 us for each kernel, and all that kernels read and write, and the operations, one after the other

Left out: copies that cuDNN makes into layouts of its own, and the loop's condition, which the host reads each step.
Between steps the host saves, every 1,000, and reports, every 2,000: both are timed here.
"""
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time

import main
from architecture import MODELS
from benchmarks.hlo import instructions, lowered
from benchmarks.workers import BLOCK, Worker, training
from training import checkpoints, curves, device, process, sweep
from training.data_sets import data_set_of
from training.flags import Flag, boolean, integer, name, parse
from training.records import Records

FLAGS = (Flag("predict", boolean, False, "on paper alone"), Flag("model", MODELS, None, "these alone", many=True),
         Flag("steps", integer(1), 500, "steps of a training whose losses are compared"),
         Flag("together", integer(1), None, "how many trainings at once: 1, 3, 6 and 9", many=True))
CARD, BANDWIDTH, FLOPS = "H100", 3e12, 67e12  # bytes and float32 operations a second, of NVIDIA's data sheet (SXM)
LAUNCH = 2e-6, 5e-6  # seconds a kernel, assumed: in a CUDA graph; one by one
START = 30           # seconds until the first step, assumed: TensorFlow, tracing, XLA
STEPS = 100_000      # of a training
REACH = 1e-4         # of float32: how far the mean loss of the first 50 steps may be from the CPU's, relative
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}


# On paper

@dataclasses.dataclass
class Paper:
    """launches, bytes, ms: of a step, at least and at most. shared: ms of a step that bytes and operations alone take.
    host: seconds that the saves and reports of 1,000 steps take."""
    launches: tuple
    bytes: tuple
    operations: int
    ms: tuple
    shared: float
    host: float

    def seconds(self, end):
        """Of a training, at least (end 0) or at most (1): on the card, and in all."""
        card = STEPS * self.ms[end] / 1000
        return card, card + START + self.host * STEPS / 1000

    def fill(self, end):
        """How many trainings keep the card busy."""
        card, both = self.seconds(end)
        return both / card


def predict(flags):
    found = instructions(lowered(flags)(stage="optimized_hlo", platform_name="CPU"))
    kernels = [one for one in found if one.kind not in FREE]
    products = sum(one.kind in ("dot", "convolution") for one in kernels)
    once = sum(one.bytes for one in found if one.kind == "parameter") + found[-1].bytes  # the last is the output
    each = sum(one.bytes + sum(given.bytes for given in one.inputs) for one in kernels)
    operations = sum(one.operations for one in kernels)
    shared = each / BANDWIDTH + operations / FLOPS
    least = max(products * LAUNCH[0], once / BANDWIDTH, operations / FLOPS)
    return Paper((products, len(kernels)), (once, each), operations,
                 (1000 * least, 1000 * (len(kernels) * LAUNCH[1] + shared)), 1000 * shared, host_seconds(flags))


def host_seconds(flags):
    data = data_set_of(flags)
    model = checkpoints.new_model(flags, data)
    variables = checkpoints.variables_of(model, main.new_optimizer(flags, model))
    with tempfile.TemporaryDirectory() as folder:
        records = Records(folder, 0, model.latents)
        times = []
        for step in 1, 2, 3:
            began = time.perf_counter()
            checkpoints.save(variables, folder, step)
            saved = time.perf_counter()
            records.report(step, model, data, flags)
            times.append(saved - began + (time.perf_counter() - saved) / 2)
    return min(times)


def sweep_minutes(papers, together, end):
    """Of 2016's 18 trainings on one card that `together` share, one's kernels at a time, at least or at most."""
    times = [papers[f"{model}, balls"].seconds(end) for model in sweep.SWEEPS["balls"]["model"]] * 6
    return max(sum(card for card, _ in times), sum(both for _, both in times) / together) / 60


def say_papers(papers):
    print(f"Prediction for one {CARD}, not measured. At least and at most:\n\n| | kernels | MB | GFLOP | ms a step | "
          "alone, ms | host, s per 1,000 steps | fill |\n" + "|---" * 8 + "|")
    for key, paper in papers.items():
        print(f"| {key} | {paper.launches[0]} to {paper.launches[1]} | {paper.bytes[0] / 1e6:.0f} to "
              f"{paper.bytes[1] / 1e6:.0f} | {paper.operations / 1e9:.1f} | {paper.ms[0]:.2f} to {paper.ms[1]:.2f} | "
              f"{paper.shared:.2f} | {paper.host:.2f} | {paper.fill(1):.1f} to {paper.fill(0):.1f} |")
    if papers.keys() >= {f"{model}, balls" for model in sweep.SWEEPS["balls"]["model"]}:
        print("\n| trainings that share a card | 1 | 2 | 3 | 6 | 9 |\n" + "|---" * 6 + "|\n| minutes of the sweep | "
              + " | ".join(f"{sweep_minutes(papers, n, 0):.0f} to {sweep_minutes(papers, n, 1):.0f}"
                           for n in (1, 2, 3, 6, 9)) + " |")


# Measured

def losses(words, gpu, steps):
    """Rows of losses.csv of a training by main.py."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*words, f"--max_step={steps}", f"--train_dir={folder}/run"]
        subprocess.run([sys.executable, "main.py", *words], cwd=process.ROOT, check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "CUDA_VISIBLE_DEVICES": gpu})
        return curves.read_losses(f"{folder}/run_{name(parse(None, main.FLAGS, words), main.FLAGS)}")


def ms_of(workers, count):
    """Of a step, all workers at once, over their number; the median of five rounds."""
    rounds = []
    for _ in range(5):
        for worker in workers:
            worker.tell()
        rounds.append(statistics.mean([worker.answer() for worker in workers]) / len(workers) / count)
    return statistics.median(rounds)


def measure(words, gpu, steps, counts):
    """How far losses are from the CPU's, in the first row and at most; ms a step with XLA adam, off, and on, by the
    number at once; MB of the card's memory that each takes."""
    card, cpu = losses([*words, "--xla=on"], gpu, steps), losses([*words, "--xla=off"], "", steps)
    apart = [abs(a[1] + a[2] - b[1] - b[2]) / abs(b[1] + b[2]) for a, b in zip(card, cpu, strict=True)]
    words = [*words, f"--max_step={steps}", f"--threads={max(1, device.cores() // max(counts))}"]
    workers = {xla: [Worker(training, [*words, f"--xla={xla}"], gpu) for _ in range(max(counts) if xla == "on" else 1)]
               for xla in ("adam", "off", "on")}
    for worker in sum(workers.values(), []):
        worker.measure()  # all are there
    ms = [ms_of(workers[xla][:n], min(steps, BLOCK))
          for xla, n in [("adam", 1), ("off", 1), *(("on", n) for n in counts)]]
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", f"--id={gpu}"]
    used = subprocess.run(query, capture_output=True, text=True).stdout.strip() if gpu else ""
    for worker in sum(workers.values(), []):
        worker.close()
    return (apart[0], max(apart)), ms, int(used) / (max(counts) + 2) if used.isdigit() else 0


def run(words=None):
    flags = parse(__doc__, FLAGS, words)
    counts = flags.together or [1, 3, 6, 9]
    gpu = (device.visible_gpus() or [""])[0]
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # of this process, which only predicts
    device.set_up()
    cases = {f"{model}, {data_set}": [f"--model={model}", f"--data_set={data_set}"]
             for data_set, table in sweep.SWEEPS.items() for model in table["model"]
             if not flags.model or model in flags.model}
    papers = {key: predict(parse(None, main.FLAGS, words)) for key, words in cases.items()}
    say_papers(papers)
    if flags.predict:
        return 0
    print(f"\nMeasured on {'GPU ' + gpu if gpu else 'the CPU'}. Losses: how far from the CPU's, in the first row and "
          f"at most; above {REACH:.0e} in the first is too far. ms a step, over the number at once:\n")
    heads = ["", "losses", "XLA adam", "XLA off", *(f"XLA on, {n} at once" for n in counts), "on paper", "MB each"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    far, measured = False, {}
    for key, words in cases.items():
        apart, measured[key], used = measure(words, gpu, flags.steps, counts)
        far = far or not apart[0] <= REACH
        print(f"| {key} | {apart[0]:.0e}, {apart[1]:.0e} | " + " | ".join(f"{ms:.2f}" for ms in measured[key])
              + " | {:.2f} to {:.2f} | {:.0f} |".format(*papers[key].ms, used), flush=True)
    swept = [measured.get(f"{model}, balls") for model in sweep.SWEEPS["balls"]["model"]]
    if all(swept):
        print("\nThe sweep's steps take " + ", ".join(
            f"{sum(ms[2 + i] for ms in swept) * 6 * STEPS / 6e4:.0f} minutes with {n} at once"
            for i, n in enumerate(counts)) + ".")
    return int(far)


if __name__ == "__main__":
    sys.exit(process.run(run))
