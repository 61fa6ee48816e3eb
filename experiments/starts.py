"""The objective or the optimisation: what becomes of a code that supervision has put there.

    python -m experiments.starts --model=conv --seed=0
    python -m experiments.starts --draw --figures=figures

The first trains a network to a code (the latents' means are pulled to a target, everything else as in main.py), then
trains on without supervision at several betas, for every start of its data set, and adds what it ends with to
experiments/starts.json, a row a run. The second draws what is there: the loss above that of the aligned start, against
beta.

Starts of one ball: aligned with x and y; rotated by 15 and by 45 degrees; folded: x cut at its middle, its halves told
apart by a third latent. Of two: the four symmetric factors; the same with three of them
(all but dx² − dy²) rotated; each ball's x and y, the balls in the order of their x.

all_conv's latents are an image of --hidden_size channels: there, every place of a channel is pulled to the same number;
of fewer channels than numbers, places take them in turn.
"""
import os
import sys

import numpy as np

import architecture
import main
from analysis import plotting, runs
from architecture import MODELS, tf
from ball_generator import HIGH, LOW
from experiments import rows
from training import batches, checkpoints, curves, device, folder, process
from training.data_sets import data_set_of
from training.flags import Flag, boolean, integer, parse, path, real
from training.seeds import Purpose

RESULTS = os.path.join(process.ROOT, "experiments", "starts.json")
PULL = 20.0  # weight of the squared distance between means and target, nats per image
SHARP = 0.1  # stddev of the latents that the decoder alone is trained with
LAST = 1000  # steps that a loss is the mean over


def unit(positions):
    """Positions with mean 0 and variance 1, were they uniform."""
    return (positions - (LOW + HIGH) / 2) / ((HIGH - LOW) / 2 / np.sqrt(3))


def rotated(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return lambda data, positions: unit(positions[:, 0]) @ np.array([[c, -s], [s, c]])


def folded(data, positions):
    x, y = unit(positions[:, 0]).T
    return np.stack([(np.abs(x) - 3 ** 0.5 / 2) * 2, y, np.sign(x)], axis=1)


def symmetric(data, positions):
    """The centroid, and the squared separation as a complex number; brought to variance 1 by the drawn positions'."""
    drawn = data.factors_of(data.draw((0, int(Purpose.EVALUATION), 0), 10_000))
    return (data.factors_of(positions) - drawn.mean(axis=0)) / drawn.std(axis=0)


def symmetric_rotated(data, positions):
    """Of the four, the third as it is; the others turned, none along an axis."""
    x, y, square, product = symmetric(data, positions).T
    three = (x + y + product) / 3 ** 0.5, (x - y) / 2 ** 0.5, (x + y - 2 * product) / 6 ** 0.5
    return np.stack([*three, square], axis=1)


def in_order(data, positions):
    order = positions[:, :, 0].argsort(axis=1)
    return unit(np.take_along_axis(positions, order[:, :, None], axis=1)).reshape(len(positions), -1)


STARTS = {1: {"aligned": rotated(0), "rotated 15°": rotated(15), "rotated 45°": rotated(45), "folded": folded},
          2: {"symmetric factors": symmetric, "three of them rotated": symmetric_rotated,
              "balls in the order of x": in_order}}
NAMES = [start for starts in STARTS.values() for start in starts]

FLAGS = (
    Flag("model", MODELS, "conv", "which of the models"),
    Flag("num_balls", integer(1, 2), 1, "balls in an image"),
    Flag("hidden_size", integer(1), None, "latents; by default the model's"),
    Flag("seed", integer(0), 0, "of the start and of the training"),
    Flag("beta", real("from 0 on", lambda x: x >= 0), [0.1, 1.0, 4.0, 10.0], "to train on at; may be given more than "
         "once", many=True),
    Flag("start", NAMES, None, "which; by default all of the data set; may be given more than once", many=True),
    Flag("supervised", integer(1), 4000, "steps with supervision"),
    Flag("steps", integer(1000), 8000, "steps without, for each start and beta"),
    Flag("out", path, os.path.join(process.ROOT, "checkpoints", "starts"), "folder of the runs"),
    Flag("decoder", boolean, False, "train the decoder alone, from the codes themselves, and print its loss"),
    Flag("draw", boolean, False, "draw what there is, and train nothing"),
    runs.FIGURES,
)


def target_of(code, latents, channels):
    """Codes [n, numbers] as targets of all latents, [n, latents]. channels: latents at a place of their image (of
    other models: all of them)."""
    wide = np.pad(code, [(0, 0), (0, max(channels - code.shape[1], 0))])
    return np.tile(wide, (1, -(-latents // wide.shape[1])))[:, :latents].astype(np.float32)


def supervise(flags, data, code, alone=False):
    """A model whose latents' means are near a code, states [n, ...] -> [n, numbers]; the others say nothing. alone: the
    decoder alone, from the code itself, each latent's stddev at SHARP."""
    model = checkpoints.new_model(flags, data)
    optimizer = main.new_optimizer(flags, model)
    trained = model.decoder.trainable_variables if alone else model.variables

    @tf.function
    def step_on(states, target, step):
        images = data.render(states)
        noise = architecture.normal((flags.batch_size, model.latents), main.seed_at(flags, Purpose.NOISE, step))
        with tf.GradientTape() as tape:
            if alone:
                logits = model.decode(target + SHARP * noise)
                reconstruction, pull = tf.reduce_mean(architecture.reconstruction_loss(images, logits)), 0.0
                loss = flags.batch_size * reconstruction
            else:
                reconstruction, kl = model.losses(images, noise)
                mean, _ = model.encode(images)
                pull = tf.reduce_mean(tf.reduce_sum((mean - target) ** 2, axis=1))
                loss = main.objective(flags, model, reconstruction, kl, step) + flags.batch_size * PULL * pull
        optimizer.apply(tape.gradient(loss, trained), trained)
        return pull, reconstruction

    step = 0
    for chunk in batches.simulations(flags, data, 0):
        for states in chunk:
            target = target_of(code(data, states.astype(float)), model.latents, flags.hidden_size)
            pull, reconstruction = step_on(states, target, tf.constant(step, tf.int64))
            step += 1
    print(f"supervised: squared distance {float(pull):.3f}, reconstruction {float(reconstruction):.2f}", flush=True)
    return model


def given(flags, start):
    """The folder of the start, trained by supervision if it is not yet there."""
    prefix = os.path.join(flags.out, f"{start.replace(' ', '_')}_{flags.supervised}")
    own = parse(None, main.FLAGS, [*words_of(flags), "--beta=1", f"--max_step={flags.supervised}",
                                   f"--train_dir={prefix}"])
    place = folder.locate(own, main.FLAGS)
    if not folder.is_run(place):
        model = supervise(own, data_set_of(own), STARTS[flags.num_balls][start])
        os.makedirs(place)
        checkpoints.save(checkpoints.variables_of(model), place, flags.supervised)
        folder.write_flags(place, own, main.FLAGS)
    return place


def words_of(flags):
    words = [f"--model={flags.model}", f"--num_balls={flags.num_balls}", f"--seed={flags.seed}"]
    return words + [f"--hidden_size={flags.hidden_size}"] * (flags.hidden_size is not None)


def row_of(place, start):
    """What a run ends with."""
    run = runs.Run(place)
    reconstruction, kl = curves.mean_losses(run.losses, run.step - LAST, run.step)
    scores = {key: value for key, value in run.scores.items() if key not in ("others", "version")}
    return {"model": run.flags.model, "hidden_size": run.flags.hidden_size, "data": run.data.key, "start": start,
            "beta": run.flags.beta, "seed": run.flags.seed, "step": run.step,
            "reconstruction": round(reconstruction, 3), "kl": round(kl, 3),
            "active": run.numbers["stddev"]["active"], **scores}


def draw(found):
    """The loss above that of the first start of the same seed, against beta: a panel for each model and data set with
    several starts, a line a start through the medians, a dot a seed."""
    found = sorted(found, key=lambda row: (list(MODELS).index(row["model"]), row["data"], NAMES.index(row["start"])))
    words = {"one_ball": "one ball", "two_ball": "two balls"}
    panels = runs.groups(found, lambda row: f"{row['model']}, {words[row['data']]}")
    panels = {title: mine for title, mine in panels.items() if len({row["start"] for row in mine}) > 1}
    figure = plotting.figure(figsize=(2.8 * len(panels), 3.8))
    figure.suptitle("Loss after training went on from a given code", fontsize=11)
    handles = {}
    for axis, (title, mine) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        loss = {(row["start"], row["beta"], row["seed"]): row["reconstruction"] + row["beta"] * row["kl"]
                for row in mine}
        first = mine[0]["start"]
        all_betas = sorted({row["beta"] for row in mine})
        for start, its in runs.groups(mine, lambda row: row["start"]).items():
            colour = f"C{NAMES.index(start)}"
            above = {}
            for row in its:
                if (first, row["beta"], row["seed"]) in loss:
                    above.setdefault(row["beta"], []).append(
                        loss[start, row["beta"], row["seed"]] - loss[first, row["beta"], row["seed"]])
            betas = sorted(above)
            (handles[start],) = axis.plot(betas, [np.median(above[beta]) for beta in betas], color=colour,
                                          label=start)
            for beta in betas:
                axis.plot([beta] * len(above[beta]), above[beta], "o", color=colour, markersize=4)
        axis.set(title=title, xlabel="β", xscale="log", ylim=(-0.3, max(1.2, axis.get_ylim()[1])))
        axis.set_xticks(all_betas, [f"{beta:g}" for beta in all_betas])
        axis.minorticks_off()
        axis.grid(alpha=0.25)
    figure.axes[0].set_ylabel("loss above the aligned start's, or\nthat of symmetric factors (nats)", fontsize=9)
    plotting.legend(figure, list(handles.values()), 3)
    return figure


def run(words=None):
    flags = parse(__doc__, FLAGS, words)
    if flags.draw:
        rows.draw(RESULTS, draw, flags.figures)
        return 0
    device.set_up(parse(None, main.FLAGS, ["--threads=1"]))
    folder.check_writable(flags.out, "--out")
    for start in flags.start or STARTS[flags.num_balls]:
        if flags.decoder:
            own = parse(None, main.FLAGS, [*words_of(flags), f"--max_step={flags.supervised}"])
            supervise(own, data_set_of(own), STARTS[flags.num_balls][start], alone=True)
            continue
        place = given(flags, start)
        for beta in flags.beta:
            prefix = os.path.join(flags.out, "from")
            words = [*words_of(flags), f"--beta={beta}", f"--train_dir={prefix}", f"--init_from={place}",
                     f"--max_step={flags.steps}", "--save_every=1000", "--report_every=1000000", "--threads=1"]
            code = main.main(words)
            if code:
                return code
            row = row_of(folder.locate(parse(None, main.FLAGS, words), main.FLAGS), start)
            rows.add(RESULTS, row, ("model", "hidden_size", "data", "start", "beta", "seed"))
    return 0


if __name__ == "__main__":
    sys.exit(process.run(run))
