"""Train one beta-VAE, on images of bouncing balls or of 2D shapes.

    python main.py --model=conv --num_balls=1 --beta=0.5

makes the folder checkpoints/train_store_model_conv_num_balls_1_beta_0.5 and keeps everything there: flags.json,
log.txt, losses.csv, TensorBoard events, sample images, checkpoints. The same command again resumes from the newest
checkpoint and ends with the model of a run never stopped. Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP save first.

Exit codes: 0 trained (or was already), 1 failed, 2 refused (a flag or a folder), 128 + n stopped by signal n.
"""
import sys
import time

try:
    import architecture
    from architecture import MODELS, keras, tf
    from ball_generator import MAX_BALLS
    from training import batches, checkpoints, device, folder, pictures, process, progress, sweep
    from training.data_sets import DATA_SETS, data_set_of
    from training.flags import TRAIN_DIR, Flag, boolean, integer, parse, path, real
    from training.records import log, logged
    from training.run import Training, check_finite, checked_step, hints, restore
    from training.seeds import Purpose, graph_seed
except ModuleNotFoundError as error:
    print(f"main.py: {error}. ./run --setup makes .venv, whose Python has what is needed: .venv/bin/python main.py",
          file=sys.stderr)
    sys.exit(2)


def of_model(flag):
    """The default of a flag, by model."""
    return {model: record.defaults[flag] for model, record in MODELS.items()}


FLAGS = (  # name, kind, default, help
    # Of the experiment: each that is not at its default is in the run's name.
    Flag("model", MODELS, "conv", "which of the models", named=True),
    Flag("data_set", DATA_SETS, "balls", "what the images show"),
    Flag("num_balls", integer(1, MAX_BALLS), 1, f"balls in an image, 1 to {MAX_BALLS}", named=True),
    Flag("beta", real("from 0 on", lambda x: x >= 0), 0.1, "weight of the KL term", named=True),
    Flag("friction", boolean, False, "pull the balls down and slow them (also --friction=true or false)"),
    Flag("beta_start", real("above 0", lambda x: x > 0), None,
         "annealing: weight of the KL term at step 0; it falls linearly to beta"),
    Flag("beta_steps", integer(1), 80000, "annealing: the step at which beta is reached"),
    Flag("hidden_size", integer(1, 100_000), of_model("hidden_size"),
         "latents (all_conv has 16 times as many on images of 32 x 32, 64 times as many on 64 x 64)"),
    Flag("batch_size", integer(1, 1_000_000), 128, "images a step (of balls: consecutive frames of one trajectory)"),
    Flag("optimizer", ("adam", "adagrad"), of_model("optimizer"), "what takes the steps"),
    Flag("lr", real("above 0", lambda x: x > 0), of_model("lr"), "the optimizer's step size"),
    Flag("keep_prob", real("above 0, up to 1", lambda x: 0 < x <= 1), 1.0,
         "share of the encoder's dense units that dropout keeps; conv alone has dropout"),
    Flag("weight_init", real("above 0", lambda x: x > 0), of_model("weight_init"),
         "sigma of the dense layers' first weights, and their bias"),
    Flag("weight_decay", real("from 0 on", lambda x: x >= 0), 0.0,
         "adds this * half the sum of squared weights to the loss of a batch (2016 never added its 0.0005)"),
    Flag("init_from", path, None, "folder of a run whose weights a new run starts from, at step 0"),
    Flag("seed", integer(0, 2 ** 31 - 1), 0, "all random numbers are a function of it and of the step"),
    # Of how it is run: they may differ when a run is resumed.
    Flag("train_dir", path, TRAIN_DIR, "prefix of the run's folder, to which the run's name is added",
         experiment=False),
    Flag("max_step", integer(0), 100000, "training steps; a larger one continues a finished run", experiment=False),
    Flag("save_every", integer(1), 1000, "steps between checkpoints", experiment=False),
    Flag("report_every", integer(1), 2000, "steps between sample images and stddev lines", experiment=False),
    Flag("keep", integer(1), 3, "newest checkpoints that are kept", experiment=False),
    Flag("xla", ("auto", "on", "adam", "off"), "auto",
         "what XLA compiles: the whole step, the optimizer alone, or nothing; auto: the fastest for model and device",
         experiment=False),
    Flag("threads", integer(0, 1000), 0, "CPU threads, 0 for all cores", experiment=False),
    Flag("restart", boolean, False, "move an existing run aside and begin again", experiment=False),
)


# The objective

def beta_at(flags, step):
    """The weight of the KL term at a step, counted from 0: constant, or annealed linearly from beta_start to beta
    (deterministic annealing, after Rose 1998)."""
    if flags.beta_start is None:
        return flags.beta
    t = tf.minimum(1.0, tf.cast(step, tf.float32) / flags.beta_steps)
    return flags.beta_start * (1 - t) + flags.beta * t


def objective(flags, model, reconstruction, kl, step):
    """What the optimizer minimises, summed over the batch as in 2016. reconstruction, kl: nats per image."""
    loss = flags.batch_size * (reconstruction + beta_at(flags, step) * kl)
    return loss + flags.weight_decay * model.weight_penalty() if flags.weight_decay else loss


# One training step

def train_step(flags, data, model, states, step, objective, apply):
    """Take one step on the images of states [batch, *state_shape]. apply: what takes the gradients. Returns
    reconstruction and kl, nats per image."""
    images = data.render(states)                                                  # [batch, n, n, channels]
    noise = architecture.normal((flags.batch_size, model.latents), seed_at(flags, Purpose.NOISE, step))
    with tf.GradientTape() as tape:
        reconstruction, kl = model.losses(images, noise, flags.keep_prob, seed_at(flags, Purpose.DROPOUT, step))
        loss = objective(flags, model, reconstruction, kl, step)
    apply(tape.gradient(loss, model.variables))
    return reconstruction, kl


def seed_at(flags, purpose, step):
    return tf.stack([tf.constant(graph_seed(flags.seed, purpose), tf.int64), step])


def make_train_steps(flags, data, model, optimizer, xla, objective=objective):
    """The graph of many steps: (states [STEPS_PER_CALL, batch, *state_shape], first step, count) -> reconstruction and
    kl of each step, [STEPS_PER_CALL] each."""
    apply = tf.function(lambda gradients: optimizer.apply(gradients), jit_compile=xla == "adam", autograph=False)
    one_step = tf.autograph.experimental.do_not_convert(train_step)  # or AutoGraph rewrites all of it, for a second

    @tf.function(jit_compile=xla == "on", input_signature=[
        tf.TensorSpec((batches.STEPS_PER_CALL, flags.batch_size, *data.state_shape), tf.float32),
        tf.TensorSpec((), tf.int64), tf.TensorSpec((), tf.int32)])
    def train_steps(states, first, count):
        terms = tf.TensorArray(tf.float32, batches.STEPS_PER_CALL, element_shape=(2,))
        for i in tf.range(count):
            step = first + tf.cast(i, tf.int64)
            terms = terms.write(i, tf.stack(one_step(flags, data, model, states[i], step, objective, apply)))
        return tf.unstack(terms.stack(), axis=1)

    return train_steps


def new_optimizer(flags, model):
    """Adam with 2016's epsilon, where Keras's own default is 1e-7; or Adagrad, as Keras has it."""
    floatx = keras.config.floatx()
    keras.config.set_floatx("float32")  # of its learning rate, whatever the user's keras.json says
    if flags.optimizer == "adam":
        optimizer = keras.optimizers.Adam(flags.lr, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    else:
        optimizer = keras.optimizers.Adagrad(flags.lr)
    optimizer.build(model.variables)
    keras.config.set_floatx(floatx)
    return optimizer


# The loop

def train(flags, data, model, run, step, train_steps, stopped):
    """Train from a step until max_step, or until a signal is in stopped. Returns the exit code."""
    mark = time.perf_counter(), step
    blocks = batches.blocks(flags, data, step)
    with progress.Bar(flags, step) as bar:
        while step < flags.max_step and not stopped:
            # Data: the states of the coming steps.
            states, count = next(blocks)

            # Step: many a call.
            reconstructions, kls = (term.numpy()[:count] for term in train_steps(states, step, count))
            check_finite({"reconstruction": reconstructions, "KL": kls}, step)
            step += count

            # Report: the mean losses.
            reconstruction, kl = reconstructions.mean(dtype=float), kls.mean(dtype=float)
            run.records.add(step, reconstruction, kl, float(beta_at(flags, step)))
            bar.show(step, reconstruction, kl)
            if step % flags.report_every == 0 or step == flags.max_step:
                run.records.report(step, model, data, flags)
                speed = (step - mark[1]) / (time.perf_counter() - mark[0])
                mark = time.perf_counter(), step
                log.log(bar.level, f"{run.name}: step {step} of {flags.max_step}, reconstruction {reconstruction:.3f}, "
                        f"KL {kl:.3f} nats per image, {speed:.1f} steps/s, "
                        f"{(flags.max_step - step) / speed / 60:.0f} min left")

            # Save.
            if step % flags.save_every == 0 or step == flags.max_step:
                run.save(step)
    if run.saved != step or not step:  # stopped in between, or --max_step=0
        run.save(step)
    blocks.close()  # after the save: it waits for a simulation under way
    return run.end(step, stopped)


def main(words=None, objective=objective, table=FLAGS):
    """Train one experiment. words: a command line's, by default this process's. An experiment with another objective
    gives its own, and a table with its flags. Returns the exit code."""
    flags = parse(__doc__, table, words)
    data = data_set_of(flags)
    step = checked_step(flags, table)
    if step is not None and step >= flags.max_step:
        progress.say(f"{folder.locate(flags, table)} is trained: step {step} of {flags.max_step}")
        return 0
    pictures.opencv()  # or it is refused now, and not at the first report
    with process.stops() as stopped, folder.claimed(flags, table) as path, logged(path):
        try:
            log.info("loading TensorFlow ...")
            place, xla = device.set_up(flags)
            log.info(f"on {place}, XLA {xla}")
            model = checkpoints.new_model(flags, data)
            optimizer = new_optimizer(flags, model)
            step = restore(flags, path, model, optimizer)
            run = Training(flags, table, path, model, optimizer, step)
            for hint in hints(flags, table, lambda step: float(beta_at(flags, step))):
                log.warning(hint)
            train_steps = make_train_steps(flags, data, model, optimizer, xla, objective)
            return train(flags, data, model, run, step, train_steps, stopped)
        except FloatingPointError as error:
            log.error(f"{path}: diverged: {error}. Try a smaller --lr; checkpoints up to the last good one are kept")
        except (OSError, MemoryError, tf.errors.OpError) as error:  # a full or read-only disk, too little memory
            log.error(f"{path}: failed: {process.first_line(error)}. What is saved is kept; {process.resumes(flags)}")
    return 1


if __name__ == "__main__":
    sys.exit(process.run(lambda: sweep.main(FLAGS) if "--sweep" in sys.argv else main()))
