"""What every model makes of the same images, and of codes drawn from the prior.

    python create_reconstruction_images.py --train_dir=./checkpoints/train_store --figures=figures

writes reconstructions_<data set>.png: in the first row six test images, below, a row for every model, beta and variant,
their reconstructions from the posterior mean and six samples from the prior. Of several seeds, the first is shown.
"""
import os
import sys

from analysis import plotting, runs
from training import process
from training.pictures import visible
from training.seeds import Evaluation

IMAGES, EVERY = 6, 40  # test images, and frames of the trajectory from one to the next


def draw(title, images, rows):
    """images: [n, rows, columns], or in colour. rows: (label, reconstructions, samples) each, as images."""
    n = len(images)
    tiles = plotting.Tiles(title, len(rows) + 1, [1] * n + [-0.4] + [1] * n, 0.62, 2.7)
    for row, (label, left, right) in enumerate([("test images", images, ()), *rows]):
        for tile, image in enumerate([*left, *right]):
            tiles.show(row, tile, image)
        tiles.label(row, label, 9)
    tiles.write(0, n, 0, 0.5, "below: samples from the prior", va="center", fontsize=10)
    return tiles.figure


def draw_all(found, figures):
    found = [run for run in found if run.has_weights]
    for key, mine in runs.groups(found, lambda run: run.data.key).items():
        data = mine[0].data
        firsts = [group[0] for group in runs.groups(mine, lambda run: run.label).values()]
        states = data.simulate([Evaluation.IMAGES.seed], IMAGES * EVERY)[0, ::EVERY]
        made = runs.each(firsts, "reconstructing", lambda run, states=states: [
            visible(images, run.data.image_shape)
            for images in (run.vae.decode(run.vae.encode_states(states)[0]), run.vae.sample(IMAGES))])
        if made:
            lines = [(plotting.wrapped(run.label, 36), *images)
                     for run, images in made]
            title = f"Reconstructions and samples: {plotting.caption([run for run, _ in made])}"
            plotting.save(draw(title, visible(data.render(states).numpy(), data.image_shape), lines),
                          os.path.join(figures, f"reconstructions_{key}.png"), [run for run, _ in made])
    return bool(found)


main = plotting.script(__doc__, draw_all)
if __name__ == "__main__":
    sys.exit(process.run(main))
