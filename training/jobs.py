"""Trainings as processes, several at a time.

    train(trainings, at_a_time, gpus, stopped)
    failed = [training.failure(stopped) for training in trainings]
"""
import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque

from training import curves, progress

PAUSE = 0.2  # seconds between two looks at whether a training has ended


class Job:
    """A run with these flags, name and folder, and the command that trains it. child: its process, once there is one;
    code: the exit code, once it has ended. step, reconstruction, kl, seconds: the last row of its losses.csv."""

    def __init__(self, flags, name, path, command):
        self.flags, self.name, self.path, self.command = flags, name, path, command
        self.child = self.code = self.bar = None
        self.error = ""  # its last line on stderr

    def read(self):
        rows = []
        if self.child or not self.flags.restart:  # else the run that is there is yet to be moved aside
            with contextlib.suppress(OSError):  # which the training itself tells
                rows = curves.read_losses(self.path)
        self.step, self.reconstruction, self.kl, self.seconds = rows[-1][:4] if rows else (0, 0, 0, 0)

    def start(self, slot, gpus):
        """Start it in a slot, a number from 0 that no other has while it runs; the slots share the GPUs."""
        env = {**os.environ, "RUN_SWEEP": str(os.getpid())}
        if gpus:
            env["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
        self.child = subprocess.Popen(self.command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, errors="replace")
        self.bar = progress.Bar(self.flags, self.step, line=1 + slot)
        self.listeners = [threading.Thread(target=self.listen, args=pair) for pair in (
            (self.child.stdout, sys.stdout), (self.child.stderr, sys.stderr))]
        for listener in self.listeners:
            listener.start()

    def listen(self, stream, screen):
        """Hand on what it writes; beside bars, what it writes to stderr alone."""
        for line in stream:
            if self.bar.disable or screen is sys.stderr:
                progress.say(line.rstrip("\n"), screen)
            if screen is sys.stderr and line.strip():
                self.error = line.strip()

    def runs(self):
        """Whether it still does."""
        if self.code is None and self.child.poll() is not None:
            for listener in self.listeners:
                listener.join()
            self.bar.close()
            self.read()
            self.code = self.child.returncode
        return self.code is None

    def failure(self, stopped):
        """What went wrong, in a line; None where nothing did, or where one of the signals in stopped ended it."""
        if self.code in (None, 0) or any(self.code in (-number, 128 + number) for number in stopped):
            return None
        why = self.error
        if self.code == -signal.SIGKILL:
            why = "killed, perhaps for want of memory"
        elif self.code < 0 or 128 < self.code < 128 + signal.NSIG:
            why = signal.strsignal(max(-self.code, self.code - 128))
        return f"{self.name} failed, exit code {self.code}" + f": {why}" * bool(why)


def progress_of(trainings, at_a_time):
    """How many are trained, and how long the others will take, in words: at the speed that each model has had so far,
    or, of one that has not yet had any, at the slowest of the others."""
    text = f"{sum(training.code == 0 for training in trainings)} of {len(trainings)} trained"
    steps, seconds = Counter(), Counter()  # by model
    for training in trainings:
        steps[training.flags.model] += training.step
        seconds[training.flags.model] += training.seconds
    speeds = {model: seconds[model] / steps[model] for model in steps if steps[model]}
    left = [max(0, training.flags.max_step - training.step) * speeds.get(training.flags.model, max(speeds.values()))
            for training in trainings if training.code is None] if speeds else []
    if left:
        minutes = math.ceil(max(sum(left) / at_a_time, *left) / 60)
        text += f", {'less than ' * (len(speeds) < len(steps))}{minutes // 60} h {minutes % 60} min left"
    return text


def train(trainings, at_a_time, gpus, stopped):
    """Train all of them, some at a time, until a signal is in stopped, which is handed on to those that run."""
    waiting, slots, handed = deque(trainings), [None] * at_a_time, 0
    line = progress.Line()
    for training in trainings:
        training.read()
    while True:
        for slot, training in enumerate(slots):
            if training and not training.runs():
                slots[slot] = None
            if not slots[slot] and waiting and not stopped:
                slots[slot] = waiting.popleft()
                slots[slot].start(slot, gpus)
        running = [training for training in slots if training and training.runs()]
        for number in stopped[handed:]:
            for training in running:
                training.child.send_signal(number)
            handed += 1
        ended = len(trainings) - len(waiting) - len(running)
        if line.due(ended):
            for training in running:
                training.read()
                if training.step:
                    training.bar.show(training.step, training.reconstruction, training.kl)
            line.show(progress_of(trainings, at_a_time), ended)
        if not running and (stopped or not waiting):
            break
        time.sleep(PAUSE)
    line.close()
