"""What every model makes of the same images, and of codes drawn from the prior.

    python create_reconstruction_images.py --train_dir=./checkpoints/train_store --figures=figures

writes reconstructions_<data set>.png: in the first row six test images, below, a row for every model and beta, their
reconstructions from the posterior mean and six samples from the prior. Of several seeds, the first is shown.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # under PYTHONSAFEPATH too
from training import process  # first: with it, Ctrl-C is a stop, and NumPy computes with one thread

# isort: split

import ball_generator
from analysis import plotting, runs
from training.seeds import Evaluation

IMAGES, EVERY = 6, 40  # test images, and frames of the trajectory from one to the next


def test_positions(num_balls, friction):
    """Of the balls in the test images, none of the training's: [IMAGES, balls, 2]."""
    return ball_generator.simulate([Evaluation.IMAGES.seed], num_balls, IMAGES * EVERY, friction)[0, ::EVERY]


def draw(title, images, rows):
    """images: [n, 32, 32]. rows: (label, reconstructions [n, 32, 32], samples [n, 32, 32]) each."""
    n = len(images)
    tiles = plotting.Tiles(title, len(rows) + 1, [1] * n + [-0.4] + [1] * n, 0.75, 3.2)
    for row, (label, left, right) in enumerate([("test images", images, ()), *rows]):
        for tile, image in enumerate([*left, *right]):
            tiles.show(row, tile, image)
        tiles.label(row, label)
    tiles.write(0, n, 0, 0.5, "below: samples from the prior", va="center", fontsize=11)
    return tiles.figure


def draw_all(flags):
    found = [(run,) for run in runs.runs_of(flags.train_dir) if run.vae]
    for data, rows in runs.groups(found, lambda run: run.data_set).items():
        points = runs.groups(rows, lambda run: (*plotting.series_of(run), run.flags.beta))
        shown = [mine[0][0] for mine in points.values()]
        positions = test_positions(shown[0].flags.num_balls, shown[0].flags.friction)
        lines = [(plotting.wrapped(f"{plotting.label_of(*plotting.series_of(run))}, β = {run.flags.beta:g}", 36),
                  run.vae.decode(run.vae.encode_positions(positions)[0]), run.vae.sample(IMAGES)) for run in shown]
        title = (f"Reconstructions and samples: {plotting.data_set(shown[0].flags)}, "
                 + plotting.listed("step", [run.step for run in shown]))
        images = ball_generator.render(positions).numpy()[..., 0]
        plotting.save(draw(title, images, lines), os.path.join(flags.figures, f"reconstructions_{data}.png"), shown)
    return bool(found)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
