"""Train one beta-VAE on pictures of bouncing balls.

    python main.py --model=conv --num_balls=1 --beta=0.5

makes the folder checkpoints/train_store_model_conv_num_balls_1_beta_0.5 and keeps everything there: flags.json,
log.txt, losses.csv, TensorBoard events, sample pictures, checkpoints. The same command again goes on from the newest
checkpoint and ends with the model of a run never stopped. Ctrl-C, SIGTERM and SIGUSR1 save first.

Exit codes: 0 trained (or was already), 1 failed, 2 refused as asked, 128 + n stopped by signal n.
"""
import os
import platform
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

import ball_generator
import experiment
from experiment import boolean, real, whole

MODELS = {  # hidden_size, lr, weight_init
    "fully_connected": (10, 5e-5, 0.01),
    "conv": (32, 1e-3, 0.1),
    "all_conv": (1, 1e-3, 0.1),  # no dense layers: its convolutions start at 0.01 whatever weight_init says
}
PER_MODEL = "; default " + ", ".join(f"{{}} for {model}" for model in MODELS)
FLAGS = (  # name, type, default, help
    ("train_dir", os.path.expanduser, experiment.TRAIN_DIR,
     "prefix of the run's folder, to which its model, balls and beta are added (%(default)s)"),
    ("model", list(MODELS), "conv", "which of the three models (%(default)s)"),
    ("num_balls", whole(1, ball_generator.MAX_BALLS), 1, "balls in a picture, 1 to 6 (%(default)s)"),
    ("friction", boolean, False, "pull the balls down and slow them (off; also --friction=true or false)"),
    ("beta", real("from 0 on", lambda x: x >= 0), 0.1, "weight of the KL term (%(default)s)"),
    ("beta_start", real("above 0", lambda x: x > 0), None,
     "weight of the KL term at the start; it falls along a geometric line to beta (default: beta is constant)"),
    ("beta_steps", whole(1), 80000, "steps that the fall from beta_start takes; after them beta stays (%(default)s)"),
    ("hidden_size", whole(1), None, "latents; all_conv has 16 times as many"
     + PER_MODEL.format(*(row[0] for row in MODELS.values()))),
    ("max_step", whole(0), 100000, "training steps (%(default)s); a larger one continues a finished run"),
    ("batch_size", whole(1), 128, "pictures a step: consecutive frames of one trajectory (%(default)s)"),
    ("lr", real("above 0", lambda x: x > 0), None, "Adam's step size"
     + PER_MODEL.format(*(row[1] for row in MODELS.values()))),
    ("keep_prob", real("above 0, up to 1", lambda x: 0 < x <= 1), 1.0,
     "share of the encoder's dense units that dropout keeps; conv alone has dropout (%(default)s)"),
    ("weight_init", real("above 0", lambda x: x > 0), None, "sigma of the dense layers' first weights, and their bias"
     + PER_MODEL.format(*(row[2] for row in MODELS.values()))),
    ("weight_decay", real("from 0 on", lambda x: x >= 0), 0.0,
     "adds this * half the sum of squared weights to the loss of a batch (%(default)s: 2016 never added its 0.0005)"),
    ("seed", whole(0, 2 ** 31 - 1), 0, "all random numbers are a function of it and of the step (%(default)s)"),
    ("save_every", whole(1), 1000, "steps between checkpoints (%(default)s)"),
    ("report_every", whole(1), 2000, "steps between sample pictures and stddev lines (%(default)s)"),
    ("xla", ("auto", "on", "adam", "off"), "auto",
     "what XLA compiles: the whole step, Adam alone, or nothing; auto: what is fastest for model and device"),
    ("threads", whole(0), 0, "CPU threads, 0 for all cores (%(default)s)"),
    ("restart", boolean, False, "move an existing run aside and start afresh"),
)

STEPS_PER_CALL = 50        # of the graph; a row of losses.csv each, and the longest wait of a Ctrl-C
STEPS_PER_SIMULATION = 1000


def parse(words=None):
    """The flags of a command line, the model's own defaults filled in."""
    flags = experiment.parse_flags(__doc__, FLAGS, words)
    for key, value in zip(("hidden_size", "lr", "weight_init"), MODELS[flags.model]):
        if getattr(flags, key) is None:
            setattr(flags, key, value)
    if flags.beta_start is not None and flags.beta == 0:
        experiment.refuse("--beta: a geometric fall from --beta_start never reaches 0; give a beta above 0")
    return flags


def beta_at(flags, step):
    """The weight of the KL term at a step, counted from 0: constant, or annealed from beta_start to beta."""
    if flags.beta_start is None:
        return flags.beta
    import tensorflow as tf
    t = tf.minimum(1.0, tf.cast(step, tf.float32) / flags.beta_steps)
    return flags.beta_start ** (1 - t) * flags.beta ** t


def set_up_device(flags):
    """Choose GPU or CPU and threads, before TensorFlow's first operation. Returns the device's name, and what XLA is to
    compile: "on" (the step), "adam" or "off"."""
    tf, gpus = experiment.import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(flags.threads)
    tf.config.threading.set_inter_op_parallelism_threads(flags.threads)
    threads = flags.threads or len(os.sched_getaffinity(0))
    if gpus:
        device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    else:
        device = f"CPU, {threads} thread{'s' * (threads > 1)}"
    xla = flags.xla
    if xla == "auto":  # on a CPU: convolutions ten times slower, Adam's passes over much memory made one
        xla = "on" if gpus else "off" if flags.model != "fully_connected" else "adam" if threads == 1 else "on"
    return device, xla


def new_optimizer(flags, model):
    """Adam with 2016's epsilon; Keras's own default is 1e-7."""
    import keras
    optimizer = keras.optimizers.Adam(flags.lr, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    optimizer.build(model.variables)
    return optimizer


def set_up_training(flags, path, prefix):
    """Model, Adam and the tf.train.Checkpoint of both, read from the run folder's prefix (None: as they start)."""
    model = experiment.new_model(flags)
    optimizer = new_optimizer(flags, model)
    checkpoint = experiment.parts(model, optimizer=optimizer)
    if prefix:
        try:
            checkpoint.read(prefix).assert_consumed()
        except AssertionError:
            experiment.refuse(f"{path} holds weights alone, without Adam's state: to be drawn, not trained further. "
                              "Give another --train_dir")
    return model, optimizer, checkpoint


def make_train(flags, model, optimizer, xla):
    """The graph that trains: (positions [STEPS_PER_CALL, batch, balls, 2], first step, count) ->
    reconstruction, kl of each step, [STEPS_PER_CALL] each, nats a picture."""
    import tensorflow as tf

    import architecture

    def seed_of(purpose, step):
        return tf.stack([tf.constant(flags.seed * 16 + purpose, tf.int64), step])

    @tf.function(jit_compile=xla == "adam")
    def apply(gradients):
        optimizer.apply(gradients)

    @tf.function(jit_compile=xla == "on", input_signature=[
        tf.TensorSpec((STEPS_PER_CALL, flags.batch_size, flags.num_balls, 2), tf.float32),
        tf.TensorSpec((), tf.int64), tf.TensorSpec((), tf.int32)])
    def train(positions, first, count):
        reconstructions = tf.TensorArray(tf.float32, STEPS_PER_CALL)
        kls = tf.TensorArray(tf.float32, STEPS_PER_CALL)
        for i in tf.range(count):
            step = first + tf.cast(i, tf.int64)
            pictures = ball_generator.render(positions[i])
            noise = architecture.normal((flags.batch_size, model.latents), seed_of(experiment.NOISE, step))
            with tf.GradientTape() as tape:
                reconstruction, kl = model.losses(
                    pictures, noise, flags.keep_prob, seed_of(experiment.DROPOUT, step))
                loss = flags.batch_size * (reconstruction + beta_at(flags, step) * kl)  # summed over the batch, as in 2016
                if flags.weight_decay:
                    loss += flags.weight_decay * model.weight_penalty()
            apply(tape.gradient(loss, model.variables))
            reconstructions = reconstructions.write(i, reconstruction)
            kls = kls.write(i, kl)
        return reconstructions.stack(), kls.stack()

    return train


def simulations(flags, step):
    """Positions of the steps from `step` on, [up to STEPS_PER_SIMULATION, batch, balls, 2] at a time; the next ones
    are made while these are trained on."""
    def simulate(first):
        seeds = [(flags.seed, experiment.TRAJECTORY, i)
                 for i in range(first, min(first + STEPS_PER_SIMULATION, flags.max_step))]
        return ball_generator.simulate(seeds, flags.num_balls, flags.batch_size, flags.friction)

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(simulate, step)
        while True:
            positions = coming.result()
            step += STEPS_PER_SIMULATION
            coming = pool.submit(simulate, step) if step < flags.max_step else None
            yield positions
            if coming is None:
                return


def train(flags, path, step, prefix, stopped):
    """Train the experiment in its claimed folder, from the checkpoint of that step and prefix (None: from the start),
    until max_step or until stopped is not empty. Returns the exit code."""
    device, xla = set_up_device(flags)
    import keras
    import tensorflow as tf

    from records import Records
    model, optimizer, checkpoint = set_up_training(flags, path, prefix)
    variables = model.variables + optimizer.variables
    saved, step = step, step or 0

    experiment.write_flags(flags)
    records = Records(flags, path, step)
    on_screen = sys.stdout.isatty()
    slot = os.environ.get("RUN_SLOT")  # set by run, where several bars share the screen
    quiet = on_screen and slot is not None
    records.say(f"{experiment.name(flags)}: {model.count_params():,} parameters, in {path}", quiet)
    records.say(f"on {device}, XLA {xla}; TensorFlow {tf.__version__}, Keras {keras.__version__}, "
                f"NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}", quiet)
    records.say(" ".join(f"--{key}={value}" for key, value in vars(flags).items()), quiet)
    if saved is not None:
        records.say(f"going on from step {step}", quiet)
    if flags.keep_prob < 1 and flags.model != "conv":
        records.say(f"--keep_prob={flags.keep_prob} changes nothing: {flags.model} has no dropout")
    if flags.weight_init != MODELS[flags.model][2] and flags.model == "all_conv":
        records.say(f"--weight_init={flags.weight_init} changes nothing: all_conv has no dense layers")

    run_steps = make_train(flags, model, optimizer, xla)
    bar = tqdm(total=flags.max_step, initial=step, unit="step", dynamic_ncols=True, file=sys.stdout,
               position=int(slot or 0), disable=not on_screen, desc=experiment.name(flags), smoothing=0.05)
    mark = time.perf_counter(), step
    chunk, chunks = np.empty((0,)), simulations(flags, step)
    while step < flags.max_step and not stopped:
        # Data: the positions of the coming steps.
        count = min([STEPS_PER_CALL - step % STEPS_PER_CALL, flags.max_step - step]
                    + [every - step % every for every in (flags.save_every, flags.report_every)])
        while len(chunk) < count:
            chunk = np.concatenate([chunk, next(chunks)]) if len(chunk) else next(chunks)
        positions, chunk = chunk[:count], chunk[count:]
        if count < STEPS_PER_CALL:
            positions = np.pad(positions, [(0, STEPS_PER_CALL - count), (0, 0), (0, 0), (0, 0)])

        # Step: many a call.
        reconstructions, kls = (part.numpy()[:count] for part in run_steps(positions, step, count))
        for term, values in ("reconstruction", reconstructions), ("KL", kls):
            if not np.isfinite(values).all():
                bad = int(np.flatnonzero(~np.isfinite(values))[0])
                raise FloatingPointError(f"{term} is {values[bad]} at step {step + bad + 1}")
        step += count

        # Report.
        reconstruction, kl = reconstructions.mean(dtype=float), kls.mean(dtype=float)
        records.add(step, reconstruction, kl, float(beta_at(flags, step)))
        bar.set_postfix(reconstruction=f"{reconstruction:.2f}", kl=f"{kl:.2f}", refresh=False)
        bar.update(count)
        if step % flags.report_every == 0 or step == flags.max_step:
            records.report(step, model)
            speed = (step - mark[1]) / (time.perf_counter() - mark[0])
            mark = time.perf_counter(), step
            records.say(f"{experiment.name(flags)}: step {step} of {flags.max_step}, "
                        f"reconstruction {reconstruction:.3f}, KL {kl:.3f} nats a picture, {speed:.1f} steps/s, "
                        f"{(flags.max_step - step) / speed / 60:.0f} min left", on_screen)

        # Save.
        if step % flags.save_every == 0 or step == flags.max_step:
            saved = save(checkpoint, records, path, step, variables)
    bar.close()
    if saved != step:  # stopped in between, or --max_step=0
        saved = save(checkpoint, records, path, step, variables)
    chunks.close()  # after the save: it waits for a simulation under way
    if stopped and step < flags.max_step:
        records.say(f"{experiment.name(flags)}: stopped by {signal.Signals(stopped[0]).name} at step {step}, saved; "
                    "the same command goes on")
        return 128 + stopped[0]
    records.say(f"{experiment.name(flags)}: trained, step {step}", quiet)
    return 0


def save(checkpoint, records, path, step, variables):
    """Save, unless a weight is no number any more: the last losses can be finite and the weights after them not."""
    for variable in variables:
        if not np.isfinite(variable.numpy()).all():
            raise FloatingPointError(f"weights are not finite after step {step}")
    records.events.flush()
    experiment.save(checkpoint, path, step)
    return step


class Tee:
    """A stream that is also kept in a file: stderr, in a run's log."""

    def __init__(self, stream, path):
        self.stream, self.path = stream, path

    def write(self, text):
        self.stream.write(text)
        try:
            with open(self.path, "a") as log:
                log.write(text)
        except OSError:
            pass  # a full disk: it is on the stream already

    def __getattr__(self, name):
        return getattr(self.stream, name)


def main():
    flags = parse()
    stopped = []  # signals, in the order they came
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGUSR1:
        signal.signal(number, lambda number, frame: stopped.append(number))
    experiment.import_cv2()
    path = experiment.folder(flags)
    lock = experiment.claim(flags)
    sys.stderr = Tee(sys.stderr, os.path.join(path, "log.txt"))
    step, prefix = experiment.newest(path)
    if step is not None and step >= flags.max_step:
        print(f"{path} is trained: step {step} of {flags.max_step}")
        return 0
    had_one = os.path.exists(os.path.join(path, "checkpoint"))
    if step is None and (had_one or experiment.last_step(path) > experiment.read_flags(path).save_every):
        experiment.refuse(f"{path} was trained to step {experiment.last_step(path)}, and no whole checkpoint is left. "
                          "Give another --train_dir, or --restart to move it aside and begin again")
    tf, _ = experiment.import_tensorflow()
    try:
        code = train(flags, path, step, prefix, stopped)
    except FloatingPointError as error:
        code, reason = 1, f"diverged: {error}. Try a smaller --lr; checkpoints up to the last good one are kept"
    except (OSError, MemoryError, tf.errors.OpError) as error:
        # A disk that is full or became read-only, or too little memory: TensorFlow's errors go on for lines.
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        code, reason = 1, f"failed: {first_line}. What is saved is kept; the same command goes on there"
    if code == 1:
        print(f"{path}: {reason}", file=sys.stderr)
    lock.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
