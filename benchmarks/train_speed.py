"""How fast training is against as in 2016, on the machine at hand.

    python -m benchmarks.train_speed          a table
    python -m benchmarks.train_speed --json   JSON alone

Milliseconds a step of 128 images, of one ball for 2016's models and of a 2D shape for the paper's sweep:

    feed          as 2016 did it: Python loops over balls and sub-steps, one NumPy image a frame, fed from the host,
                  one graph call a step, no XLA (of balls alone)
    one process   main.py by itself
    all cores     main.py as ./run runs it: one one-threaded process a core (three processes a GPU), a step's time
                  over their number

The three are taken in turn, several rounds in one run; medians. Beside them the share of the machine's own
matrix-product peak that dense models reach in one process (the optimizer included), the share of a step that its images
take (simulation, rendering), the memory of a process at its peak, and the whole sweep's hours both ways.
"""
import json
import statistics
import sys

import numpy as np

import main
from architecture import MODELS, tf
from benchmarks.workers import BLOCK, Worker, images, product, training
from training import checkpoints, device, process, sweep
from training.data_sets import DATA_SETS, data_set_of
from training.flags import Flag, boolean, integer, parse

FLAGS = (Flag("json", boolean, False, "print JSON alone"), Flag("rounds", integer(1), 7, "times each is measured"),
         Flag("model", MODELS, None, "these models alone", many=True),
         Flag("data_set", DATA_SETS, None, "these data sets alone", many=True))


def feed_images(rng, frames, num_balls=1):
    """A batch as 2016 made it: scalar physics, one image at a time."""
    size, radius, box = 32, 1.2, 10.0
    x = rng.uniform(2, 8.8, (num_balls, 2))
    v = rng.standard_normal((num_balls, 2))
    v = v / np.sqrt((v ** 2).sum()) * 0.5
    centres = (np.arange(size) + 0.5) * box / size
    columns, rows = np.meshgrid(centres, centres)
    batch = np.zeros((frames, size, size, 1), np.float32)
    for frame in range(frames):
        for ball in range(num_balls):
            square = ((columns - x[ball, 0]) ** 2 + (rows - x[ball, 1]) ** 2) / radius ** 2
            batch[frame, :, :, 0] += np.exp(-square ** 4)
        batch[frame] = np.minimum(batch[frame], 1)
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
    return batch


def feed(flags, data, xla):
    """BLOCK steps as 2016 took them."""
    model = checkpoints.new_model(flags, data)
    optimizer = main.new_optimizer(flags, model)
    rng = np.random.default_rng(0)

    @tf.function(input_signature=[tf.TensorSpec((flags.batch_size, *data.image_shape))])
    def step(batch):
        noise = tf.random.normal((flags.batch_size, model.latents))
        with tf.GradientTape() as tape:
            reconstruction, kl = model.losses(batch, noise)
            loss = main.objective(flags, model, reconstruction, kl, 0)
        optimizer.apply(tape.gradient(loss, model.variables))
        return reconstruction

    return lambda: [step(feed_images(rng, flags.batch_size)).numpy() for _ in range(BLOCK)]


def together(workers):
    """Milliseconds of a call of several workers at a time, over their number."""
    for worker in workers:
        worker.tell()
    return statistics.mean([worker.answer() for worker in workers]) / len(workers)


def compare(model, data_set, rounds):
    """The workers of a model, told in turn; medians of what they measure."""
    words = [f"--model={model}", f"--data_set={data_set}"]
    flags = parse(None, main.FLAGS, words)
    gpus = device.visible_gpus()
    at_a_time, threads = sweep.jobs_and_threads(len(sweep.product(sweep.SWEEPS["balls"])), gpus)
    own = [*words, *([] if gpus else [f"--threads={threads}"])]
    makes = [training, images, product, *[feed] * (data_set == "balls")]
    one, images_alone, large, *fed = (Worker(make, words) for make in makes)
    all_cores = [Worker(training, own, gpus[i % len(gpus)] if gpus else None) for i in range(at_a_time)]
    measure = {"one_process_ms": lambda: one.measure() / BLOCK, "all_cores_ms": lambda: together(all_cores) / BLOCK,
               "images_ms": lambda: images_alone.measure() / BLOCK, "product_ms": large.measure}
    if fed:
        measure["feed_ms"] = lambda: fed[0].measure() / BLOCK
    for worker in (one, images_alone, large, *fed, *all_cores):
        worker.measure()  # all are there: none is measured while another loads
    found = {key: [] for key in measure}
    for _ in range(rounds):
        for key, call in measure.items():
            found[key].append(call())
    result = {key: statistics.median(values) for key, values in found.items()}
    result["images_share"] = result["images_ms"] / result["one_process_ms"]
    if fed:
        for key in "one_process_ms", "all_cores_ms":
            result[f"feed_over_{key[:-3]}"] = statistics.median(np.divide(found["feed_ms"], found[key]))
    if not MODELS[model].has("conv"):  # products forward, and of two gradients, but of none to the images
        network = checkpoints.new_model(flags, data_set_of(flags))
        operations = 2 * flags.batch_size * (3 * network.count_params() - int(np.prod(network.variables[0].shape)))
        result["peak_share"] = operations / (2 * 2048 ** 3) * statistics.median(
            np.divide(found["product_ms"], found["one_process_ms"]))
    result["peak_memory_mb"] = one.memory()
    for worker in (one, images_alone, large, *fed, *all_cores):
        worker.close()
    return {key: round(value, 4) for key, value in result.items()}


def table(results):
    lines = [f"{device.cores()} cores, milliseconds a step (batch 128), medians",
             f"{'':24} {'feed':>7} {'one process':>12} {'all cores':>10} {'ratios':>12} {'of peak':>8} {'images':>7} "
             f"{'memory':>8}"]
    for (model, data_set), r in results.items():
        feed_ms = f"{r['feed_ms']:.1f}" if "feed_ms" in r else ""
        ratios = f"{r['feed_over_one_process']:5.2f}, {r['feed_over_all_cores']:5.2f}" if feed_ms else ""
        peak = f"{r['peak_share']:.0%}" if "peak_share" in r else ""
        lines.append(f"{model + ', ' + data_set:24} {feed_ms:>7} {r['one_process_ms']:12.1f} {r['all_cores_ms']:10.1f} "
                     f"{ratios:>12} {peak:>8} {r['images_share']:7.1%} {r['peak_memory_mb']:5.0f} MB")
    balls = [r for (_, data_set), r in results.items() if data_set == "balls"]
    if len(balls) == len(sweep.SWEEPS["balls"]["model"]):
        ours, fed = (sum(r[key] for r in balls) * 6 * 100_000 / 3.6e6 for key in ("all_cores_ms", "feed_ms"))
        lines.append(f"the sweep, 18 x 100,000 steps: {ours:.1f} hours; as in 2016: {fed:.1f} hours, "
                     f"{fed / ours:.2f} times as long")
    return "\n".join(lines)


def run(words=None):
    flags = parse(__doc__, FLAGS, words)
    results = {}
    for data_set in flags.data_set or sweep.SWEEPS:
        for model in flags.model or sweep.SWEEPS[data_set]["model"]:
            print(f"measuring {model} on {data_set}", file=sys.stderr)
            results[model, data_set] = compare(model, data_set, flags.rounds)
    print(json.dumps({", ".join(key): r for key, r in results.items()}, indent=2) if flags.json else table(results))
    return 0


if __name__ == "__main__":
    sys.exit(process.run(run))
