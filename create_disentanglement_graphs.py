"""What each latent stands for: pictures and numbers, from positions that the generator knows.

    python create_disentanglement_graphs.py --train_dir=./checkpoints/train_store --figures=figures

writes for every run response_map_<run>.png (the latents' means as functions of where the balls are) and
traversal_<run>.gif (every latent in use going through the range it takes); disentanglement.json (the measures of
disentanglement.py over 10,000 random positions) and one_ball_disentanglement.png, two_ball_disentanglement.png.
"""
import functools
import os
import sys

import matplotlib.pyplot as plt
import numpy as np

import ball_generator
import disentanglement
import experiment
import plotting
import response_maps

SAMPLES = 10_000       # positions that the numbers are over
PAIRS = 10_000         # pairs of pictures: half to fit the classifier, half to count
MAPS = 10              # latents in a response map
POSITIONS, CHANGES = (0, experiment.EVALUATION, 101), (0, experiment.EVALUATION, 102)  # seeds
PANELS = {             # of the score graphs: title, where it is the mean over factors
    "r2": "linear $R^2$", "mig": "mutual information gap", "axis_score": "axis score",
    "mig_rotated": "mutual information gap, rotated", "axis_score_rotated": "axis score, rotated",
    "change_accuracy": "accuracy: which factor changed?"}
UNTRAINED = "the same network untrained"


@functools.cache
def data_set(num_balls):
    """Positions, and names and values of their factors."""
    positions = disentanglement.random_positions(POSITIONS, SAMPLES, num_balls)
    return positions, *disentanglement.factors_of(positions)


def scores(code_of, num_balls):
    """Every measure of a code: a function of positions [samples, balls, 2] to [samples, latents]."""
    positions, _, factors = data_set(num_balls)
    numbers = disentanglement.scores(code_of(positions), factors)
    if num_balls == 1:
        numbers["change_accuracy"] = accuracy(code_of)
    return numbers


def accuracy(code_of):
    """Accuracy of the classifier of changes on a code of one ball's positions."""
    first, second, changed = disentanglement.random_pairs(CHANGES, PAIRS)
    return disentanglement.change_accuracy(code_of(first), code_of(second), changed)


@functools.cache
def scores_without_network(num_balls):
    """To hold a network's scores against: those of the factors themselves and of the pictures; by name."""
    def pixels(positions):
        return ball_generator.render(positions.astype(np.float32)).numpy().reshape(len(positions), -1)

    sample = pixels(data_set(num_balls)[0])
    components = np.linalg.eigh(np.cov(sample.T))[1][:, -10:]
    others = {"ideal code": scores(lambda positions: disentanglement.factors_of(positions)[1], num_balls),
              "10 principal components":
                  scores(lambda positions: (pixels(positions) - sample.mean(axis=0)) @ components, num_balls)}
    if num_balls == 1:
        others |= {"raw pixels": {"change_accuracy": accuracy(pixels)}, "chance": {"change_accuracy": 0.5}}
    return others


def measure(run, model, stddev):
    """A run's object in disentanglement.json, from its model and the latents' average stddevs [latents]."""
    active = stddev < plotting.DEAD
    untrained = experiment.new_model(run)
    return rounded({
        "beta_latents_per_pixel": run.beta * model.latents / ball_generator.RESOLUTION ** 2,
        "latents": model.latents, "active_latents": int(active.sum()), "factors": data_set(run.num_balls)[1],
        **scores(lambda positions: plotting.encode(model, positions)[0][:, active], run.num_balls),
        "others": {UNTRAINED: scores(lambda positions: plotting.encode(untrained, positions)[0], run.num_balls),
                   **scores_without_network(run.num_balls)}})


def rounded(value):
    """Floats of an object of JSON, to four places."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value


def draw_scores(title, runs):
    """Every score against beta: one colour a model, a line through the means over its seeds, a dot for each, and dotted
    what it reaches untrained; in grey, what needs no network. runs: name -> a run's object of disentanglement.json,
    with model and beta."""
    first = next(iter(runs.values()))
    panels = [key for key in PANELS if key in first]
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.8), layout="constrained", sharex=True)
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    for key, axis in zip(panels, axes.flat):
        for what, other in first["others"].items():
            if what != UNTRAINED and key in other:
                value = np.mean(other[key])
                axis.axhline(value, color="0.6", linewidth=1, zorder=1)
                axis.annotate(what.replace("principal ", "principal\n"), (1, value), (3, -3 * (what == "chance")),
                              xycoords=("axes fraction", "data"), textcoords="offset points", va="center", fontsize=7,
                              color="0.4")
        for model, colour in plotting.MODEL_COLOURS.items():
            mine = [run for run in runs.values() if run["model"] == model]
            if mine:
                weight = mine[0]["latents"] / ball_generator.RESOLUTION ** 2
                plotting.draw_line(axis, runs, model, key,
                                   f"{model}: $\\beta\\cdot$latents/pixels = {weight:.3f} $\\beta$")
                axis.axhline(np.mean([run["others"][UNTRAINED][key] for run in mine]), color=colour, linestyle=":",
                             linewidth=1.2)
        axis.set_ylim((0.45, 1.05) if key == "change_accuracy" else (-0.03, 1.1))
        axis.set_title(PANELS[key], fontsize=9)
        axis.set_xlabel("$\\beta$")
        axis.tick_params(labelbottom=True)
        axis.grid(alpha=0.25)
    legend = axes.flat[0].get_legend_handles_labels()[0] + [
        plt.Line2D([], [], color="0.3", linestyle=":", label=UNTRAINED)]
    figure.suptitle(title, fontsize=10)
    figure.legend(handles=legend, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def look_at(flags, name, run, model, step):
    """Draw a run's maps and animation, and return its numbers."""
    positions, names, factors = data_set(run.num_balls)
    mean, stddev = plotting.encode(model, positions)
    kl = ((mean ** 2 + stddev ** 2 - 1) / 2 - np.log(stddev)).mean(axis=0)
    average = stddev.mean(axis=0)
    latents = np.argsort(average)[:MAPS]
    shares = disentanglement.explained(mean, factors)
    texts = []
    for latent in latents:
        parts = [f"{factor} {share:.0%}" for factor, share in zip(names, shares[:, latent])]
        if average[latent] >= plotting.DEAD:
            parts = ["not in use"]
        texts.append("\n".join([f"$z_{{{latent}}}$: stddev {average[latent]:.2f}, KL {kl[latent]:.2f} nats"]
                               + [", ".join(parts[i:i + 2]) for i in range(0, len(parts), 2)]))
    title = (f"{run.model}, {plotting.data_set(run)}, $\\beta$ = {run.beta:g}, step {step:,}, seed {run.seed}: latents "
             "of lowest stddev,\nand the share of each one's variance that follows each factor")
    maps = response_maps.response_maps(run, model, latents)
    plotting.save_figure(response_maps.draw_maps(title, maps, texts),
                         os.path.join(flags.figures, f"response_map_{name}.png"),
                         {name: {"step": step, "seed": run.seed}}, dpi=110)
    active = [latent for latent in np.argsort(average) if average[latent] < plotting.DEAD]
    if active:
        frames = response_maps.animate(model, mean, stddev, active)
        response_maps.save_animation(frames, os.path.join(flags.figures, f"traversal_{name}.gif"))
    else:
        print(f"{name}: no latent has a stddev below {plotting.DEAD}: nothing to animate; its scores are 0, "
              "its accuracy chance")
    return measure(run, model, average)


def main():
    flags = plotting.parse_flags(__doc__)
    groups = plotting.measure_all(flags, "disentanglement.json", functools.partial(look_at, flags), plotting.group)
    for data, (run, runs) in groups.items():
        plotting.save_figure(draw_scores(plotting.title(run, runs), runs),
                             os.path.join(flags.figures, f"{data}_disentanglement.png"), runs)
    return plotting.finish(groups, flags.train_dir)


if __name__ == "__main__":
    sys.exit(main())
