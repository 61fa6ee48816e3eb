"""What is measured of a run, in one place. It stays in the run's folder, numbers.json, with the step.

    found = numbers(path, step, vae)         vae: () -> the trained model, called only where something is missing
    found["reconstruction"]["loss"]

MEASURES has a row for each object of the file. After a change of what one means, raise its version: it is then measured
anew; of a run that is kept without weights it is left out.
"""
import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable

import numpy as np

import analysis.metrics as metrics
import architecture
from analysis.components import independent_components, principal_components
from analysis.maps import ranges, traverse
from analysis.samples import TEST_FRAMES, TRAJECTORIES, factor_values, pairs_of, states_of, test_images, test_noise
from training import checkpoints
from training.folder import NUMBERS, write_whole
from training.seeds import Evaluation, Purpose

COMPONENTS = 10
UNTRAINED = "the same network untrained"
VALUES = (-3, -1.5, 0, 1.5, 3)  # that a heat map sets a latent to
ROWS = 10                       # of a heat map
KEPT, FEWER = 20, 2000          # checkpoints from which on a run is followed over time; drawn states for that


@dataclasses.dataclass(frozen=True)
class Measure:
    """function: a trained model -> an object of JSON. version: of what it means."""
    function: Callable
    version: int


# The reconstruction loss

def reconstruction(vae):
    """Mean reconstruction loss over 100 trajectories of 32 frames, from a sampled z, its standard error over the
    trajectories, and the entropy of these images, which no loss goes below; nats per image."""
    images, floor = test_images(vae.data)
    losses = vae.reconstruction_loss(images, test_noise(vae.latents))
    losses = losses.astype(float).reshape(TRAJECTORIES, TEST_FRAMES).mean(axis=1)
    return {"loss": losses.mean(), "standard_error": losses.std(ddof=1) / np.sqrt(TRAJECTORIES), "entropy": floor}


# Latents

def stddevs(vae):
    """The average stddev of every latent, sorted."""
    return {"sorted": np.sort(vae.stddev).tolist(), "active": len(vae.active)}


def active_latents(vae):
    """Of each active latent: its number, average stddev, KL, range, and the share of its variance that follows each
    factor."""
    active = vae.active
    mean, stddev = (values[:, active] for values in vae.codes)
    stddev = np.maximum(stddev, np.finfo(np.float32).tiny)  # at beta 0 it goes to 0
    kl = ((mean ** 2 + stddev ** 2 - 1) / 2 - np.log(stddev)).mean(axis=0)
    shares = metrics.explained(metrics.Sample(mean, factor_values(vae.data), vae.data.factors))
    columns = zip(active.tolist(), vae.stddev[active].tolist(), kl.tolist(), ranges(vae, active).tolist(),
                  shares.T.tolist(), strict=True)
    return {"list": [{"latent": latent, "stddev": spread, "kl": nats, "range": ends,
                      "explained": dict(zip([factor.name for factor in vae.data.factors], row, strict=True))}
                     for latent, spread, nats, ends, row in columns]}


def edit(vae):
    """A heat map: the latents of lowest average stddev, the code of an image, and images of it with each of these set
    to each of VALUES: [rows], [latents], [rows, values, rows, columns]."""
    latents = np.argsort(vae.stddev)[:ROWS]
    mean, stddev = vae.encode_states(vae.data.simulate([Evaluation.STDDEV.seed], 1)[0])
    z = mean[0] + architecture.normal((vae.latents,), (int(Purpose.EVALUATION), 0)).numpy() * stddev[0]
    return latents, z, traverse(vae, [z] * len(latents), latents, [VALUES] * len(latents))


def heat_map(vae):
    """In how many rows of the heat map some pixel changes by more than a quarter of the grey scale."""
    changes = np.ptp(edit(vae)[2], axis=1)                                        # [rows, rows, columns], or more
    return {"rows_that_change": int((changes.reshape(len(changes), -1).max(axis=1) > 0.25).sum())}


# Scores

def scores_of(codes, data):
    """The scores of a code. codes: [samples, latents] for every set of states_of."""
    drawn, *pairs = codes
    return metrics.scores(metrics.Sample(drawn, factor_values(data), data.factors,
                                         (*pairs, pairs_of(data)[2]) if pairs else None))


def scores(vae):
    """The scores of the active latents."""
    active = np.sort(vae.active)
    codes = [vae.codes[0], *(vae.encode_states(states)[0] for states in states_of(vae.data)[1:])]
    return scores_of([mean[:, active] for mean in codes], vae.data)


def all_scores(vae):
    """A network's scores, and what to hold them against."""
    return {**scores(vae), "others": {UNTRAINED: scores_untrained(vae.untrained()), **scores_without_network(vae.data)}}


@functools.cache
def scores_untrained(vae):
    """Of a network at step 0, over all of its latents."""
    return scores_of([vae.encode_states(states)[0] for states in states_of(vae.data)], vae.data)


@functools.cache
def scores_without_network(data):
    """To hold a network's scores against: those of the factors themselves and of the images; by name."""
    images = [data.render(states.astype(np.float32)).numpy().reshape(len(states), -1) for states in states_of(data)]
    axes = principal_components(images[0], COMPONENTS)
    principal = [pixels @ axes for pixels in images]
    turn = independent_components(principal[0], Evaluation.COMPONENTS.seed)
    others = {"ideal code": scores_of([data.factors_of(states) for states in states_of(data)], data),
              f"{COMPONENTS} principal components": scores_of(principal, data),
              f"{COMPONENTS} independent components": scores_of([code @ turn for code in principal], data)}
    if len(images) > 1:
        pairs = pairs_of(data)[2]
        others["raw pixels"] = {"change_accuracy": metrics.change_accuracy(*images[1:], pairs)}
        others["chance"] = {"change_accuracy": 1 / len(data.factors)}
    return others


def over_time(vae, fewest=KEPT):
    """What became of the active latents' scores, at each checkpoint of a run that kept `fewest` or more."""
    steps = checkpoints.steps(vae.folder)[::-1] if vae.folder else []
    drawn, points = states_of(vae.data)[0][:FEWER], []
    for step in steps if len(steps) >= fewest else ():
        with contextlib.suppress(ValueError):  # a damaged one, which makes no point
            then = vae.at(step)
            code = then.encode_states(drawn)[0][:, np.sort(then.active)]
            found = metrics.scores(metrics.Sample(code, vae.data.factors_of(drawn), vae.data.factors))
            points.append({"step": step, "active": len(then.active),
                           **{key: float(np.mean(found[key])) for key in ("r2", "sap", "mig") if key in found}})
    return {"points": points}


MEASURES = {
    "reconstruction": Measure(reconstruction, 1),
    "stddev": Measure(stddevs, 1),
    "active_latents": Measure(active_latents, 1),
    "heat_map": Measure(heat_map, 1),
    "scores": Measure(all_scores, 1),
    "over_time": Measure(over_time, 1),
}


def numbers(path, step, vae):
    """The numbers of the run in a folder at a step: measure -> object. What the folder has at that step and version is
    taken; the rest is measured, where vae is not None, and kept in the folder, if that can be written."""
    kept = read(path)
    if kept.get("step") != step:
        kept = {}
    good = {key: kept[key] for key, measure in MEASURES.items() if kept.get(key, {}).get("version") == measure.version}
    missing = MEASURES.keys() - good.keys()
    if missing and vae:
        trained = vae()
        good = {key: good.get(key) or rounded({"version": measure.version, **measure.function(trained)})
                for key, measure in MEASURES.items()}
        with contextlib.suppress(OSError):  # a folder that is only read
            write_whole(os.path.join(path, NUMBERS), json.dumps({"step": trained.step, **good}, indent=1) + "\n")
    return good


def read(path):
    """The object of a run's numbers.json; empty where there is none that can be read."""
    try:
        with open(os.path.join(path, NUMBERS), encoding="utf-8") as file:
            found = json.load(file)
        return found if all(isinstance(value, dict) or key == "step" for key, value in found.items()) else {}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def rounded(found):
    """An object of JSON, floats to five places; what is no number is null."""
    return json.loads(json.dumps(found, default=float), parse_float=lambda word: round(float(word), 5),
                      parse_constant=lambda word: None)
