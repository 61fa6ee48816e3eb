"""Processes that measure when told, so that what is compared can be measured in turn, or at the same time.

    worker = Worker(training, ["--model=conv"], gpu="0")
    worker.measure()         milliseconds of a call of training(flags, data, xla)
"""
import multiprocessing
import os
import resource
import time

import main
from architecture import tf
from training import batches, checkpoints, device
from training.data_sets import data_set_of
from training.flags import parse
from training.seeds import Purpose

SPAWN = multiprocessing.get_context("spawn")
BLOCK = batches.STEPS_PER_CALL


class Worker:
    """make: (flags, data, xla) -> a function without arguments, whose time is measured. words: flags of main.py."""

    def __init__(self, make, words, gpu=None):
        self.pipe, theirs = SPAWN.Pipe()
        SPAWN.Process(target=serve, args=(theirs, make, words, gpu), daemon=True).start()
        theirs.close()  # so that the end of the process is told as EOFError
        self.tell = lambda: self.pipe.send(None)
        self.answer = lambda: self.pipe.recv()[0]
        self.close = self.pipe.close

    def measure(self):
        self.tell()
        return self.answer()

    def memory(self):
        """MB of the process at its peak."""
        self.tell()
        return self.pipe.recv()[1]


def serve(pipe, make, words, gpu):
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    flags = parse(None, main.FLAGS, words)
    _, xla = device.set_up(flags)
    work = make(flags, data_set_of(flags), xla)
    work()  # traced and compiled
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        began = time.perf_counter()
        work()
        pipe.send(((time.perf_counter() - began) * 1000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def states_of(flags, data, count=BLOCK):
    return data.simulate([(flags.seed, int(Purpose.TRAJECTORY), i) for i in range(count)], flags.batch_size)


def training(flags, data, xla):
    """Up to BLOCK steps (--max_step) as main.py takes them, and the simulation of their states."""
    model = checkpoints.new_model(flags, data)
    train_steps = main.make_train_steps(flags, data, model, main.new_optimizer(flags, model), xla)
    count = min(BLOCK, flags.max_step)
    return lambda: train_steps(states_of(flags, data), 0, count)[0].numpy()


def images(flags, data, xla):
    """The images of BLOCK steps: simulated, and rendered as in a step."""
    @tf.function(jit_compile=xla == "on")
    def render(states):
        total = tf.constant(0.0)
        for i in tf.range(BLOCK):
            total += tf.reduce_sum(data.render(states[i]))
        return total

    return lambda: render(tf.constant(states_of(flags, data))).numpy()


def product(flags, data, xla):
    """A large matrix product, of 2 * 2048^3 operations."""
    a = tf.random.normal((2048, 2048))
    graph = tf.function(lambda: tf.reduce_sum(a @ a))
    return lambda: graph().numpy()
