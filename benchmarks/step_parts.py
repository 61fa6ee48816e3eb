"""Where the time of fully_connected's training step goes.

    python benchmarks/step_parts.py [--threads=2]

times, in turn and by medians, the whole step and its parts, each compiled as main.py compiles it: the nine matrix
products alone, forward and backward; the gradients without Adam; Adam alone; the images; the noise. And two limits of
the machine: a large matrix product, and a pass over memory. What the step takes above products and Adam is left for
ELU, the loss and whatever waits.
"""
import pathlib
import statistics
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import architecture  # noqa: E402
import ball_generator  # noqa: E402
import main  # noqa: E402
from architecture import tf  # noqa: E402
from training import checkpoints, data, device, process  # noqa: E402
from training.flags import Flag, parse, whole  # noqa: E402
from training.seeds import Purpose  # noqa: E402

FLAGS = (Flag("threads", whole(1), 2, "CPU threads"), Flag("rounds", whole(1), 15, "times that each is measured"))
STEPS = 10  # a call


def repeated(work):
    """A graph that does `work` STEPS times; work: step -> a scalar."""
    def call():
        total = tf.constant(0.0)
        for i in tf.range(STEPS):
            total += work(tf.cast(i, tf.int64))
        return total
    return call


def parts_of(flags, xla):
    """name -> function of no arguments that does the part STEPS times."""
    model = checkpoints.new_model(flags)
    optimizer = main.new_optimizer(flags, model)
    positions = next(data.simulations(flags, 0))[:data.STEPS_PER_CALL]
    images = ball_generator.render(positions[0])
    noise = architecture.normal((flags.batch_size, model.latents), (0, 0))
    weights = [layer.kernel for layer in model.encoder.layers + model.decoder.layers if hasattr(layer, "kernel")]
    inputs = [tf.random.normal((flags.batch_size, weight.shape[0])) for weight in weights]
    outputs = [tf.random.normal((flags.batch_size, weight.shape[1])) for weight in weights]
    gradients = [tf.random.normal(variable.shape) * 1e-3 for variable in model.variables]
    train_steps = main.make_train_steps(flags, model, optimizer, xla)

    def products(step):
        small = tf.cast(step, tf.float32) * 1e-9
        total = tf.constant(0.0)
        for number, (weight, x, y) in enumerate(zip(weights, inputs, outputs, strict=True)):
            x = x + small
            total += tf.reduce_sum(x @ weight) + tf.reduce_sum(tf.matmul(x, y, transpose_a=True))
            if number:  # none to the images
                total += tf.reduce_sum(tf.matmul(y + small, weight, transpose_b=True))
        return total

    def all_gradients(step):
        with tf.GradientTape() as tape:
            reconstruction, kl = model.losses(images + tf.cast(step, tf.float32) * 1e-9, noise)
            loss = main.objective(flags, model, reconstruction, kl, step)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.variables)])

    def adam(step):
        optimizer.apply([gradient * (1 + tf.cast(step, tf.float32) * 1e-9) for gradient in gradients])
        return tf.constant(0.0)

    def image_sum(step):
        return tf.reduce_sum(ball_generator.render(positions[0] + tf.cast(step, tf.float32) * 1e-9))

    def noises(step):
        return tf.reduce_sum(architecture.normal((flags.batch_size, model.latents),
                                                 main.seed_at(flags, Purpose.NOISE, step)))

    whole_step = xla == "on"
    found = {"whole step": lambda: train_steps(positions[:data.STEPS_PER_CALL], 0, STEPS)[0].numpy()}
    for name, work, compiled in (("matrix products", products, whole_step), ("gradients", all_gradients, whole_step),
                                 ("Adam", adam, xla != "off"), ("images", image_sum, whole_step),
                                 ("noise", noises, whole_step)):
        graph = tf.function(repeated(work), jit_compile=compiled).get_concrete_function()
        found[name] = lambda graph=graph: graph().numpy()
    return found, sum(int(np.prod(weight.shape)) for weight in weights), int(np.prod(weights[0].shape))


def machine():
    """GFLOP/s of a large matrix product, and GB/s of a pass over memory that reads two arrays and writes one."""
    a = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.reduce_sum(a @ a))
    x, y = tf.Variable(tf.ones(16 << 20)), tf.ones(16 << 20)
    add = tf.function(lambda: x.assign_add(y).value()[0])
    return {"product": lambda: product().numpy(), "memory": lambda: add().numpy()}


def milliseconds(work):
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def run(words=None):
    flags = parse(__doc__, FLAGS, words)
    own = parse(None, main.FLAGS, ["--model=fully_connected", f"--threads={flags.threads}"])
    _, xla = device.set_up(own, device.load_tensorflow())
    parts, parameters, first = parts_of(own, xla)
    limits = machine()
    times = {name: [] for name in (*parts, *limits)}
    for work in (*parts.values(), *limits.values()):
        work()  # traced and compiled
    for _ in range(flags.rounds):
        for name, work in (*parts.items(), *limits.items()):
            times[name].append(milliseconds(work))
    median = {name: statistics.median(values) for name, values in times.items()}
    peak, memory = 2 * 2048 ** 3 / median["product"] / 1e6, 3 * (64 << 20) / median["memory"] / 1e6
    flops = 2 * own.batch_size * (3 * parameters - first)
    print(f"{flags.threads} threads, XLA {xla}; matrix product {peak:.0f} GFLOP/s, memory {memory:.1f} GB/s")
    print(f"at that peak the products of a step take {flops / peak / 1e6:.1f} ms; at that speed Adam's seven passes "
          f"over {4 * parameters / 1e6:.0f} MB take {7 * 4 * parameters / memory / 1e6:.1f} ms")
    whole = median["whole step"] / STEPS
    for name in parts:
        print(f"{name:16} {median[name] / STEPS:7.2f} ms  {median[name] / STEPS / whole:5.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(process.run(run))
