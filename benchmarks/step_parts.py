"""Where the time of fully_connected's training step goes.

    python -m benchmarks.step_parts --threads=2

times, in turn and by medians, the whole step and its parts, each compiled as main.py compiles it: the twenty matrix
products alone, forward and backward; the gradients without Adam; Adam alone; the images; the noise. And two limits of
the machine: a large matrix product, and a pass over memory. What the step takes above products and Adam is left for
ELU, the loss and whatever waits.
"""
import statistics
import sys
import time

import numpy as np

import architecture
import main
from architecture import tf
from benchmarks.workers import product, states_of
from training import checkpoints, device, process
from training.data_sets import data_set_of
from training.flags import Flag, integer, parse
from training.seeds import Purpose

FLAGS = (Flag("threads", integer(1), 2, "CPU threads"), Flag("rounds", integer(1), 15, "times that each is measured"))
STEPS = 10  # a call


def repeated(work):
    """A graph that does `work` STEPS times; work: number -> a scalar."""
    def call():
        total = tf.constant(0.0)
        for i in tf.range(STEPS):
            total += work(tf.cast(i, tf.int64))
        return total
    return call


def parts_of(flags, data, model, xla):
    """name -> function of no arguments that does the part STEPS times."""
    optimizer = main.new_optimizer(flags, model)
    states = states_of(flags, data)
    images = data.render(states[0])
    noise = architecture.normal((flags.batch_size, model.latents), (0, 0))
    weights = [variable.value for variable in model.variables if len(variable.shape) == 2]
    inputs = [tf.random.normal((flags.batch_size, weight.shape[0])) for weight in weights]
    outputs = [tf.random.normal((flags.batch_size, weight.shape[1])) for weight in weights]
    gradients = [tf.random.normal(variable.shape) * 1e-3 for variable in model.variables]
    train_steps = main.make_train_steps(flags, data, model, optimizer, xla)

    def small(number):  # what is added, so that no part is the same in each step
        return tf.cast(number, tf.float32) * 1e-9

    def products(number):
        total = tf.constant(0.0)
        for layer, (weight, x, y) in enumerate(zip(weights, inputs, outputs, strict=True)):
            x = x + small(number)
            total += tf.reduce_sum(x @ weight) + tf.reduce_sum(tf.matmul(x, y, transpose_a=True))
            if layer:  # none to the images
                total += tf.reduce_sum(tf.matmul(y + small(number), weight, transpose_b=True))
        return total

    def all_gradients(number):
        with tf.GradientTape() as tape:
            loss = main.objective(flags, model, *model.losses(images + small(number), noise), number)
        return tf.add_n([tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.variables)])

    def adam(number):
        optimizer.apply([gradient * (1 + small(number)) for gradient in gradients])
        return tf.constant(0.0)

    def image_sum(number):
        return tf.reduce_sum(data.render(states[0] + small(number)))

    def noises(number):
        return tf.reduce_sum(architecture.normal((flags.batch_size, model.latents),
                                                 main.seed_at(flags, Purpose.NOISE, number)))

    found = {"whole step": lambda: train_steps(states, 0, STEPS)[0].numpy()}
    for name, work in (("matrix products", products), ("gradients", all_gradients), ("Adam", adam),
                       ("images", image_sum), ("noise", noises)):
        compiled = xla == "on" or (xla == "adam" and work is adam)
        graph = tf.function(repeated(work), jit_compile=compiled).get_concrete_function()
        found[name] = lambda graph=graph: graph().numpy()
    return found


def memory():
    """A pass over memory: reads two arrays of 64 MiB, and writes one."""
    x, y = tf.Variable(tf.ones(16 << 20)), tf.ones(16 << 20)
    add = tf.function(lambda: x.assign_add(y).value()[0])
    return lambda: add().numpy()


def milliseconds(work):
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def run(words=None):
    flags = parse(__doc__, FLAGS, words)
    own = parse(None, main.FLAGS, ["--model=fully_connected", f"--threads={flags.threads}"])
    _, xla = device.set_up(own)
    data = data_set_of(own)
    model = checkpoints.new_model(own, data)
    parts = parts_of(own, data, model, xla)
    all_of_it = {**parts, "product": product(own, data, xla), "memory": memory()}
    times = {name: [] for name in all_of_it}
    for number in range(flags.rounds + 1):
        for name, work in all_of_it.items():
            taken = milliseconds(work)
            if number:  # the first traces and compiles
                times[name].append(taken)
    median = {name: statistics.median(values) for name, values in times.items()}
    peak, speed = 2 * 2048 ** 3 / median["product"] / 1e6, 3 * (64 << 20) / median["memory"] / 1e6
    parameters, first = model.count_params(), int(np.prod(model.variables[0].shape))
    operations = 2 * own.batch_size * (3 * parameters - first)
    print(f"{flags.threads} threads, XLA {xla}; matrix product {peak:.0f} GFLOP/s, memory {speed:.1f} GB/s")
    print(f"at that peak the products of a step take {operations / peak / 1e6:.1f} ms; at that speed Adam's seven "
          f"passes over {4 * parameters / 1e6:.0f} MB take {7 * 4 * parameters / speed / 1e6:.1f} ms")
    whole = median["whole step"] / STEPS
    for name in parts:
        print(f"{name:16} {median[name] / STEPS:7.2f} ms  {median[name] / STEPS / whole:5.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(process.run(run))
