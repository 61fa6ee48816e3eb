"""The objective or the optimisation: what becomes of a code that supervision has put there.

    python benchmarks/starts.py --out=/tmp/starts --model=conv --seed=0

trains a model of one ball to a given code (the latents' means are pulled to a target, everything else as in main.py),
then trains on without supervision at several betas, and scores the code every 1,000 steps. Codes: aligned with x and y;
rotated by 15 and by 45 degrees; folded: x cut at its middle, its halves told apart by a third latent. Writes
starts_<model>_seed_<n>.json; with --figures=figures it draws what is there instead.
"""
import glob
import json
import os
import pathlib
import re
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import architecture  # noqa: E402
import ball_generator  # noqa: E402
import main  # noqa: E402
from analysis import maps, plotting, scores  # noqa: E402
from analysis.metrics import METRICS  # noqa: E402
from analysis.runs import read  # noqa: E402
from architecture import MODELS, tf  # noqa: E402
from training import checkpoints, data, device, folder, process, tables  # noqa: E402
from training.flags import Flag, parse, path, whole  # noqa: E402
from training.loader import TrainedVAE  # noqa: E402
from training.seeds import Purpose  # noqa: E402

FLAGS = (
    Flag("out", path, "./checkpoints/starts", "folder for runs and results"),
    Flag("model", tuple(MODELS), "conv", "which of the models"),
    Flag("seed", whole(0), 0, "of the start and of the training"),
    Flag("supervised", whole(1), 4000, "steps with supervision"),
    Flag("steps", whole(1000), 8000, "steps without, for each start and beta"),
    Flag("figures", path, None, "draw what is in the folder into this one, and train nothing"),
)
BETAS = 0.1, 1.0, 4.0, 10.0
MAPS = 3    # latents that the figure shows of a run
PULL = 20.0  # weight of the squared distance between means and target, nats per image


def unit(positions):
    """x and y of one ball, [n] each, with mean 0 and variance 1 for a uniform position."""
    half = ball_generator.BOX / 2
    return (positions[:, 0] - half).T / ((half - ball_generator.RADIUS) / np.sqrt(3))


def rotated(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))

    def code(positions):
        x, y = unit(positions)
        return np.stack([c * x + s * y, c * y - s * x], axis=1)
    return code


def folded(positions):
    x, y = unit(positions)
    return np.stack([(np.abs(x) - 3 ** 0.5 / 2) * 2, y, np.sign(x)], axis=1)


STARTS = {"aligned": rotated(0), "rotated_15": rotated(15), "rotated_45": rotated(45), "folded": folded}


def supervise(flags, code):
    """A model whose first latents' means are near a code, positions [n, 1, 2] -> [n, latents of it], and whose others
    say nothing."""
    model = checkpoints.new_model(flags)
    optimizer = main.new_optimizer(flags, model)

    @tf.function
    def step_on(positions, target, step):
        images = ball_generator.render(positions)
        noise = architecture.normal((flags.batch_size, model.latents), main.seed_at(flags, Purpose.NOISE, step))
        with tf.GradientTape() as tape:
            reconstruction, kl = model.losses(images, noise)
            mean, _ = model.encode(images)
            target = tf.pad(target, ((0, 0), (0, model.latents - target.shape[1])))
            pull = tf.reduce_mean(tf.reduce_sum((mean - target) ** 2, axis=1))
            loss = main.objective(flags, model, reconstruction, kl, step) + flags.batch_size * PULL * pull
        optimizer.apply(tape.gradient(loss, model.variables))
        return pull

    step = 0
    for chunk in data.simulations(flags, 0):
        for positions in chunk:
            target = code(positions.astype(float)).astype(np.float32)
            pull = step_on(tf.constant(positions), tf.constant(target), tf.constant(step, tf.int64))
            step += 1
    print(f"supervised: squared distance {float(pull):.3f}", flush=True)
    return model


def train_from(start, flags):
    """Train on from a start at every beta. Returns beta -> scores and losses every 1,000 steps."""
    prefix = os.path.join(flags.out, start)
    own = main.parse(None, main.FLAGS, [f"--model={flags.model}", "--beta=1", f"--seed={flags.seed}",
                                        f"--max_step={flags.supervised}", f"--train_dir={prefix}_start"])
    own.train_dir += f"_{flags.supervised}"  # which is no part of its name
    given = folder.locate(own, main.FLAGS)
    if not os.path.isdir(given):
        model = supervise(own, STARTS[start])
        os.makedirs(given)
        folder.write_flags(given, own)
        checkpoints.save(checkpoints.parts(model), given, flags.supervised)
    found = {}
    for beta in BETAS:
        words = [f"--model={flags.model}", f"--beta={beta}", f"--seed={flags.seed}", f"--train_dir={prefix}",
                 f"--init_from={given}", f"--max_step={flags.steps}", "--save_every=1000", "--keep=1000",
                 "--report_every=1000000", "--threads=1"]
        code = main.main(words)
        if code:
            sys.exit(code)
        found[beta] = follow(folder.locate(main.parse(None, main.FLAGS, words), main.FLAGS))
    return found


def follow(place):
    """Scores and mean losses of a run at each of its checkpoints."""
    run = read(place)
    rows, points = tables.read_losses(place)[0], []
    for step in sorted(checkpoints.steps(place)):
        model = checkpoints.restored(run.flags, checkpoints.prefix_of(place, step))
        run.vae = TrainedVAE(model, run.flags, step, place)
        reconstruction, kl = tables.mean_losses(rows, step - 1000, step)
        numbers = scores.measure(run)
        points.append({"step": step, "reconstruction": round(reconstruction, 3), "kl": round(kl, 3),
                       **{key: numbers[key] for key in ("active_latents", *METRICS)}})
    return {"run": run.name, "path": place, "points": points}


def draw(flags):
    """What is in the folder: the numbers at the end of every seed as starts_<model>.json, and of one seed the figure
    starts_<model>.png: a row a start, a column a beta, response maps of the most active latents, the loss below."""
    found = {}
    for file in sorted(glob.glob(os.path.join(glob.escape(flags.out), f"starts_{flags.model}_seed_*.json"))):
        with open(file) as content:
            found[int(re.search(r"(\d+)\.json$", file)[1])] = json.load(content)
    if flags.seed not in found:
        process.refuse(f"--out: {flags.out} has no starts_{flags.model}_seed_{flags.seed}.json; without --figures this "
                       "script writes it")
    folder.check_writable(flags.figures)
    names = {start: start.replace("_", " ") + "°" * start.startswith("rotated") for start in STARTS}
    ends = {seed: {names[start]: {beta: result["points"][-1] for beta, result in betas.items()}
                   for start, betas in starts.items()} for seed, starts in found.items()}
    folder.write_whole(os.path.join(flags.figures, f"starts_{flags.model}.json"), json.dumps(ends, indent=1) + "\n")

    mine = found[flags.seed]
    steps = max(end["step"] for betas in ends[flags.seed].values() for end in betas.values())
    title = (f"Codes put there by supervision, {steps:,} steps later: {flags.model}, one ball, seed {flags.seed}; "
             f"at most {MAPS} latents shown")
    tiles = plotting.Tiles(title, len(mine), ([1] * MAPS + [-0.3]) * len(BETAS), 0.72, 1.2, 0.42, 0.75)
    for row, (start, betas) in enumerate(mine.items()):
        tiles.label(row, names[start])
        for column, (beta, result) in enumerate(betas.items()):
            run, last, first = read(result["path"]), result["points"][-1], MAPS * column
            if row == 0:
                tiles.write(row, first, 0, -0.12, f"β = {float(beta):g}", fontsize=11)
            active = run.vae.active[:MAPS]
            if len(active):
                values, limit = maps.centred(maps.response_maps(run.vae, active)["ball"])
                for tile, value in enumerate(values, first):
                    tiles.show(row, tile, value, (-limit, limit), maps.colours())
            loss = last["reconstruction"] + float(beta) * last["kl"]
            tiles.write(row, first, 0, 1.06, f"{loss:.2f} nats, SAP {last['axis_score']:.2f}", fontsize=10, va="top")
    plotting.save(tiles.figure, os.path.join(flags.figures, f"starts_{flags.model}.png"), [])


def run(words=None):
    flags = parse(__doc__, FLAGS, words)
    if flags.figures:
        with process.default_style():
            draw(flags)
        return 0
    device.set_up(main.parse(None, main.FLAGS, ["--threads=1"]), device.load_tensorflow())
    folder.check_writable(flags.out, "--out")
    found = {start: train_from(start, flags) for start in STARTS}
    target = os.path.join(flags.out, f"starts_{flags.model}_seed_{flags.seed}.json")
    folder.write_whole(target, json.dumps(found, indent=1) + "\n")
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(process.run(run))
