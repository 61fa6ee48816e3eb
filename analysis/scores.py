"""A run's scores: its code, and what to hold it against, on positions that the generator knows.

    measure(run) -> its object in disentanglement.json
"""
import functools
from types import SimpleNamespace

import numpy as np

import ball_generator
from analysis import metrics
from training import checkpoints
from training.loader import TrainedVAE
from training.seeds import Evaluation

SAMPLES = 10_000       # positions that the scores are over
PAIRS = 10_000         # pairs of images: half to fit the classifier, half to count
COMPONENTS = 10
UNTRAINED = "the same network untrained"


@functools.cache
def positions_of(num_balls):
    """Positions, and names and values of their factors."""
    positions = metrics.random_positions(Evaluation.POSITIONS.seed, SAMPLES, num_balls)
    return positions, *metrics.factors_of(positions)


@functools.cache
def pairs_of(num_balls):
    """Pairs of positions of one ball that differ in one coordinate, and in which; of more balls, nothing."""
    return metrics.random_pairs(Evaluation.CHANGES.seed, PAIRS) if num_balls == 1 else ()


def all_of(num_balls):
    """Every set of positions that a code is scored on: that of positions_of, then the two of pairs_of."""
    return [positions_of(num_balls)[0], *pairs_of(num_balls)[:2]]


def pixels_of(positions):
    """The images at positions [n, balls, 2]: [n, pixels]."""
    return ball_generator.render(positions.astype(np.float32)).numpy().reshape(len(positions), -1)


@functools.cache
def code_of(vae):
    """Mean and stddev of the posteriors of the images at positions_of, [samples, latents] each."""
    return vae.encode_positions(positions_of(vae.flags.num_balls)[0])


def scores_of(codes, num_balls):
    """The scores of a code. codes: [samples, latents] for every set of all_of."""
    at_positions, *at_pairs = codes
    changes = (*at_pairs, pairs_of(num_balls)[2]) if at_pairs else None
    return metrics.scores(metrics.Sample(at_positions, positions_of(num_balls)[2], changes))


@functools.cache
def scores_without_network(num_balls):
    """To hold a network's scores against: those of the factors themselves and of the images; by name."""
    sets = all_of(num_balls)
    images = [pixels_of(positions) for positions in sets]
    centred = images[0] - images[0].mean(axis=0)
    components = np.linalg.eigh(centred.T @ centred)[1][:, -COMPONENTS:]
    others = {"ideal code": scores_of([metrics.factors_of(positions)[1] for positions in sets], num_balls),
              f"{COMPONENTS} principal components": scores_of([pixels @ components for pixels in images], num_balls)}
    if num_balls == 1:
        others["raw pixels"] = {"change_accuracy": metrics.change_accuracy(*images[1:], pairs_of(1)[2])}
        others["chance"] = {"change_accuracy": 0.5}
    return others


@functools.cache
def scores_untrained(model, num_balls, hidden_size, weight_init, seed):
    """Scores of a network at step 0, over all of its latents."""
    flags = SimpleNamespace(model=model, num_balls=num_balls, hidden_size=hidden_size, weight_init=weight_init,
                            seed=seed)
    vae = TrainedVAE(checkpoints.new_model(flags), flags, 0)
    return scores_of([vae.encode_positions(positions)[0] for positions in all_of(num_balls)], num_balls)


def measure(run):
    """A run's object in disentanglement.json."""
    flags, vae = run.flags, run.vae
    active = np.sort(vae.active)
    means = [code_of(vae)[0], *(vae.encode_positions(positions)[0] for positions in all_of(flags.num_balls)[1:])]
    untrained = scores_untrained(flags.model, flags.num_balls, flags.hidden_size, flags.weight_init, flags.seed)
    return rounded({
        "beta_latents_per_pixel": flags.beta * vae.latents / np.prod(ball_generator.IMAGE_SHAPE),
        "latents": vae.latents, "active_latents": len(active), "factors": positions_of(flags.num_balls)[1],
        **scores_of([mean[:, active] for mean in means], flags.num_balls),
        "others": {UNTRAINED: untrained, **scores_without_network(flags.num_balls)}})


def rounded(value):
    """Floats of an object of JSON, to four places."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(float(value), 4) if isinstance(value, float) else value
