"""Figures of many runs, drawn from made-up numbers, and read back from matplotlib; and folders of many made-up runs."""
import json
import warnings

import numpy as np
import pytest
from conftest import ROOT, call
from matplotlib.colors import to_rgba

import create_beta_images
import create_cool_images
import create_disentanglement_graphs
import create_error_graph
import create_reconstruction_images
import create_stddev_graphs
import create_training_curves
from analysis import plotting, runs
from analysis.measure import MEASURES, UNTRAINED
from analysis.metrics import METRICS, Metric
from ball_generator import Balls

KEPT = ROOT / "checkpoints" / "pretrained"
FLAGS = json.loads((KEPT / "train_store_model_conv_num_balls_1_beta_1.0" / "flags.json").read_text())
FLOOR = 21.12


@pytest.fixture
def run(tmp_path):
    """A function that makes a run's folder from its flags, with given numbers and losses; it has no weights."""
    def make(model="conv", beta=1.0, seed=0, step=1000, variant=None, loss=22.0, error=0.1, stddev=(0.2, 1.0),
             score=0.5, losses="1000,22,3,9,1", **flags):
        variant = variant or {}
        name = "_".join(map(str, (model, beta, seed, *variant.values(), *flags.values()))).replace("/", "_")
        path = tmp_path / f"s_{name}"
        path.mkdir()
        (path / "flags.json").write_text(json.dumps({
            **FLAGS, "name": name, "model": model, "beta": beta, "seed": seed, "max_step": 1000, "variant": variant,
            **flags, "data": Balls(flags.get("num_balls", 1), flags.get("friction", False)).constants()}))
        (path / "losses.csv").write_text(f"step,reconstruction,kl,seconds,beta\n{losses}\n")
        scores = {**dict.fromkeys(METRICS, score), "others": {
            UNTRAINED: dict.fromkeys(METRICS, 0.15), "ideal code": dict.fromkeys(METRICS, 0.99),
            "chance": {"change_accuracy": 0.5}}}
        found = {"reconstruction": {"loss": loss, "standard_error": error, "entropy": FLOOR}, "heat_map": {},
                 "stddev": {"sorted": stddev, "active": sum(np.array(stddev) < 0.9).item()}, "scores": scores,
                 "active_latents": {"list": []}}
        (path / "numbers.json").write_text(json.dumps({"step": step, **{
            key: {"version": MEASURES[key].version, **value} for key, value in found.items()}}))
        return runs.Run(str(path))
    return make


def lines_of(axes):
    """label -> points of the lines that have a label."""
    return {line.get_label(): line.get_xydata() for line in axes.get_lines() if not line.get_label().startswith("_")}


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def dots_of(axes, marker="o"):
    """Points of the markers, [[x, y], ...] in the order drawn."""
    return np.concatenate([line.get_xydata() for line in axes.get_lines() if line.get_marker() == marker])


def test_error_graph(run):
    """Excess over the entropy: a dot a seed with its error bar, lines through their medians, and 2016's."""
    shown = [run(beta=beta, seed=seed, loss=22 + beta + seed, step=1000 if beta < 1 or seed else 500)
             for seed in (0, 1) for beta in (0.1, 4.0)]
    shown += [run("all_conv", beta, loss=80, error=error) for beta, error in ((0.1, 3), (1.0, 0.2))]
    figure = create_error_graph.draw(shown, runs.published("reconstruction_loss", Balls()))
    axes = figure.axes[0]
    old = lines_of(axes)["conv, 2016"]
    np.testing.assert_allclose(old, np.transpose([[0.1, 0.5, 1.0], np.array([21.4688, 22.1625, 22.975]) - FLOOR]))
    np.testing.assert_allclose(dots_of(axes)[:, 1] + FLOOR, [22.1, 26, 23.1, 27, 80, 80])
    np.testing.assert_allclose(dots_of(axes)[:, 0], [0.1, 4, 0.1, 4, 0.1, 1], rtol=0.05)
    (line,) = [line for line in axes.get_lines() if line.get_linestyle() == "-" and len(line.get_xydata()) == 2]
    np.testing.assert_allclose(line.get_ydata() + FLOOR, [22.6, 26.5])
    errors = [bar[2][0].get_segments()[0][:, 1] + FLOOR for bar in axes.containers]
    np.testing.assert_allclose(errors[4:], [[77, 83], [79.8, 80.2]])
    hollow = [bar[0].get_markerfacecolor() == "white" for bar in axes.containers]
    assert hollow == [False, True, False, False, False, False] and "hollow: not trained to its end" in axes.get_title()
    assert {bar[0].get_color() for bar in axes.containers} == {"#D55E00", "#009E73"}
    assert "nats" in axes.get_ylabel() and axes.get_xlabel() == "β" and axes.get_yscale() == "log"
    assert legend_of(figure) == ["all_conv", "all_conv, 2016", "conv", "conv, 2016"]


def test_stddev_graph(run):
    shown = [run(beta=0.1, stddev=[0.2, 0.6]), run(beta=0.1, seed=1, stddev=[0.4, 1.0]),
             run(beta=2.0, stddev=[0.9, 1.0, 1.0])]
    figure = create_stddev_graphs.draw(shown, {"0.1": [0.1, 0.5, None], "1.0": [0.3, 0.4, 0.5]})
    axes = figure.axes[0]
    drawn = [line.get_xydata().tolist() for line in axes.get_lines() if line.get_linestyle() == "-"]
    for expected in [[1, 0.2], [2, 0.6]], [[1, 0.4], [2, 1.0]], [[1, 0.9], [2, 1.0], [3, 1.0]]:  # one line a seed
        assert drawn.count(expected) == 1
    colours = [line.get_color() for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert len(colours) == 4 and len(set(map(to_rgba, colours))) == 3  # one a beta, and grey
    np.testing.assert_allclose(lines_of(axes)["β = 0.1, 2016"], [[1, 0.1], [2, 0.5], [3, np.nan]])
    assert legend_of(figure) == ["β = 0.1", "β = 2", "β = 0.1, 2016"]


def test_score_graph(run, monkeypatch):
    """A dot a seed, a line through the medians, and what to hold them against. A metric that a run's numbers lack has
    no panel; every other has one."""
    monkeypatch.setitem(METRICS, "seventh", Metric("a seventh metric", lambda sample: 0.25, (0, 1)))
    shown = [run(beta=beta, seed=seed, score=beta / 2 - 0.02 * seed) for beta in (0.2, 1.0) for seed in (0, 1)]
    shown[0].scores["r2"] = [0.1, 0.3]
    monkeypatch.setitem(METRICS, "eighth", Metric("a new metric", lambda sample: 0.25, (0, 1)))
    figure = create_disentanglement_graphs.draw_scores(shown)
    titles = {key: metric.title for key, metric in METRICS.items() if metric.limits and key != "eighth"}
    assert [axes.get_title() for axes in figure.axes] == list(titles.values())
    by_key = dict(zip(titles, figure.axes, strict=True))
    np.testing.assert_allclose(dots_of(by_key["r2"])[:, 1], [0.2, 0.08, 0.5, 0.48])  # mean over factors
    for key, axes in by_key.items():
        if key != "r2":
            np.testing.assert_allclose(dots_of(axes)[:, 1], [0.1, 0.08, 0.5, 0.48])
            (line,) = [line.get_ydata().tolist() for line in axes.get_lines() if len(line.get_xydata()) == 2
                       and line.get_linestyle() == "-" and line.get_ydata()[0] != line.get_ydata()[1]]
            assert line == pytest.approx([0.09, 0.49])
        flat = {round(float(line.get_ydata()[0]), 4) for line in axes.get_lines() if list(line.get_xdata()) == [0, 1]}
        assert flat >= {0.99, 0.15} | ({0.5} if key == "change_accuracy" else set())
        bar = next(line for line in axes.get_lines() if line.get_ydata()[0] > 1.01)
        # The paper's band begins at beta * 2 latents / 1024 = 0.01, beyond this axis.
        assert list(bar.get_xdata()) == pytest.approx([axes.get_xlim()[1]] * 2)


def test_collapsed_runs_are_crossed(run):
    shown = [run(model, 0.5) for model in ("conv", "all_conv")]
    shown += [run(model, 32.0, stddev=[1.0, 1.0], score=0.0) for model in ("conv", "all_conv")]
    figure = create_disentanglement_graphs.draw_scores(shown)
    for axes in figure.axes:
        crosses = dots_of(axes, "x")[:, 0]
        assert len(set(crosses)) == 2 and (crosses > 30).all() and (crosses < 34).all()
        assert dots_of(axes)[:, 0].max() < 1 and axes.get_xscale() == "log"  # and no line falls to their 0
    assert "no latent is active" in legend_of(figure)
    create_disentanglement_graphs.draw_scores(shown[2:3])  # alone


def test_training_curves(run):
    """Means over 1,000 steps, in which a row weighs as many steps as it is the mean over; 100 + step / 100."""
    rows = [(50, 100.5)] + [(step, 100 + step / 100) for step in (1000, 1500, 2000, 2400)]
    text = "\n".join(f"{step},{loss},1,1,1" for step, loss in rows)
    shown = [run(beta=0.1, losses=text, step=2400), run(beta=0.1, seed=1, losses=text, step=2000),
             run("gone", losses=text, step=50), run(beta=0.1, losses=text, variant={"lr": 0.1}, step=2400)]
    steps, losses = create_training_curves.curve(shown[0].losses)
    np.testing.assert_allclose(losses, [(50 * 100.5 + 950 * 110) / 1000, 117.5, 124])
    np.testing.assert_allclose(steps, [(50 * 50 + 950 * 1000) / 1000, 1750, 2400])
    figure = create_training_curves.draw(shown, 21.0)
    assert [axes.get_title() for axes in figure.axes] == ["conv", "gone"]
    first, second, dotted, alone = (line for axes in figure.axes for line in axes.get_lines())
    np.testing.assert_allclose(first.get_ydata(), losses - 21)
    np.testing.assert_allclose(second.get_ydata(), losses[:2] - 21)  # up to its checkpoint
    assert [line.get_linestyle() for line in (first, second, dotted)] == ["-", "-", ":"]
    assert [line.get_marker() for line in (first, alone)] == ["", "."]


def test_settings(run):
    """A row each, a dot a seed, a bar at the median of three; runs of a beta without variants are not there."""
    shown = [run(seed=seed, score=0.1 * seed) for seed in (0, 1)]
    shown += [run(seed=seed, score=0.2 * seed, variant={"beta_start": 45.0}) for seed in (1, 2, 4)]
    figure = create_disentanglement_graphs.draw_settings(shown)
    axes = figure.axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["conv, β 1", "conv, β 45 to 1"]
    dots = dots_of(axes)
    np.testing.assert_allclose(dots[:, 0], [0, 0.1, 0.2, 0.4, 0.8])
    assert dots[:, 1].round().tolist() == [0, 0, 1, 1, 1] and len(set(dots[:, 1])) == 5  # none hides another
    assert [line.get_xdata().tolist() for line in axes.get_lines() if line.get_linewidth() == 2] == [[0.4, 0.4]]
    np.testing.assert_allclose(dots_of(figure.axes[-1])[:, 0], 22 - FLOOR)


def images_in(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


def among(image, images):
    return any(image.shape == other.shape and np.allclose(image, other) for other in images)


def test_reconstructions_and_samples():
    images, left, right = np.random.default_rng(0).random((3, 6, 32, 32))
    figure = create_reconstruction_images.draw("one ball", images, [("conv, a beta", left, right)])
    drawn = images_in(figure)
    assert len(drawn) == 18 and all(among(image, drawn) for image in [*images, *left, *right])
    assert "conv, a beta" in [text.get_text() for axes in figure.axes for text in axes.texts]


def test_what_beta_does_shows_each_latent_on_one_scale(run):
    rng = np.random.default_rng(0)
    images, response = rng.random((1, 5, 32, 32)), rng.normal(size=(60, 60))
    rows = [(run(), ([7, 2], [response, response * 3], images)), (run(beta=9.0), ([], [], []))]
    figure = create_beta_images.draw("conv", rows)
    drawn = images_in(figure)
    assert among(response - response.mean(), drawn) and all(among(image, drawn) for image in images[0])
    limits = {image.get_clim() for axes in figure.axes for image in axes.get_images()
              if image.get_array().shape == response.shape}
    limit = np.abs(3 * (response - response.mean())).max()
    assert len(limits) == 1 and limits.pop() == pytest.approx((-limit, limit))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"β 1", "β 9", "z₇", "no latent is active"} <= set(texts)


def test_the_pair_to_hold_side_by_side(run):
    """An annealed run, behind the constant one that differs in nothing else; else the betas furthest apart."""
    low, plain, small, high = (run(beta=beta, stddev=[0.1] * 2, variant=variant) for beta, variant in (
        (0.1, {}), (1.0, {}), (1.0, {"batch_size": 8}), (4.0, {})))
    annealed = run(stddev=[0.1] * 2, variant={"beta_start": 45.0, "batch_size": 8})
    assert runs.pair([low, plain, small, high, annealed]) == [small, annealed]
    assert runs.pair([low, plain, annealed, run("all_conv", stddev=[0.1] * 2)]) == [plain, annealed]
    assert runs.pair([low, plain, high, run(beta=9.0, stddev=[1.0])]) == [low, high]
    assert runs.pair([annealed]) == [annealed] and runs.pair([]) == []


def test_images_over_two_latents():
    """In their places, with a white line between."""
    images = np.random.default_rng(0).random((7, 7, 8, 8))
    figure = create_beta_images.draw_grids("conv", [("a label", (3, 4), images)])
    (mosaic,) = images_in(figure)
    assert mosaic.shape == (63, 63) and (mosaic[8::9] == 1).all() and (mosaic[:, 8::9] == 1).all()
    np.testing.assert_array_equal(mosaic[18:26, 45:53], images[2, 5])


@pytest.mark.parametrize("side, channels", [(16, (3,)), (40, ()), (64, ())])
def test_a_heat_map_of_images_of_any_size(side, channels):
    """Every pixel where it belongs: here, as bright as its place; and a row pale whose latent is not active."""
    image = np.add.outer(np.arange(side), np.arange(side)) / (2 * side)
    if channels:
        image = np.stack([image, image / 2, image / 3], axis=-1)
    dim = np.arange(1, 11).reshape(2, 5, *[1] * image.ndim) / 10  # what each is multiplied by
    figure = create_cool_images.draw("a title", [3, 7], [0.1, 0.95], dim * image, image, [0.5, 0], [(-1, 1)] * 2,
                                     [True, False])
    unchanged, *tiles = figure.axes[0].images
    np.testing.assert_array_equal(unchanged.get_array(), image)
    lefts, tops = (np.reshape([tile.get_extent()[side] for tile in tiles], (2, 5)) for side in (0, 3))
    assert (np.diff(lefts) > 0).all() and (np.diff(tops, axis=0) > 0).all() and np.ptp(tops, axis=1).max() == 0
    for tile, expected in zip(tiles, (dim * image).reshape(10, *image.shape), strict=True):
        pale = tile.get_extent()[3] == tops[1, 0]
        np.testing.assert_allclose(tile.get_array(), 1 - create_cool_images.PALE * (1 - expected) if pale else expected)


@pytest.mark.parametrize("variant, setting", [
    ({}, "β 1"), ({"beta_start": 45.0}, "β 45 to 1, so far 7.25"),
    ({"beta_start": 45.0, "beta_steps": 20000, "lr": 0.0002}, "β 45 to 1, 20,000 steps, lr 0.0002, so far 7.25"),
    ({"lr": 0.1, "init_from": "/a/s_seed_2/"}, "β 1, lr 0.1, started from s_seed_2")])
def test_titles(run, variant, setting):
    shown = run(seed=3, variant=variant, losses="900,22,3,9,7.25" if "beta_start" in variant else "900,22,3,9,1")
    assert plotting.title_of(shown) == f"conv, one ball, {setting}, step 1,000, seed 3"


@pytest.mark.parametrize("betas, scale", [([0.1, 0.5, 1], "linear"), ([0.1, 1, 8], "log"), ([0, 8], "linear"),
                                          ([2], "linear")])
def test_beta_axis(run, betas, scale):
    axes = plotting.figure().add_subplot()
    axes.plot(betas, betas, "o")
    plotting.beta_axis(axes, [run(beta=beta) for beta in betas])
    assert axes.get_xscale() == scale and [tick.get_text() for tick in axes.get_xticklabels()] == [
        f"{beta:g}" for beta in betas]
    low, high = axes.get_xlim()
    assert low < betas[0] and high > betas[-1] and high - low > betas[0] / 2


def test_published_numbers(run):
    assert runs.published("reconstruction_loss", Balls(2))["fully_connected"]["0.5"] == 45.1146
    assert run(beta=0.1).published("reconstruction_loss") == 21.4688
    assert run(beta=0.1, variant={"lr": 0.1}).published("reconstruction_loss") is None
    assert runs.published("reconstruction_loss", Balls(friction=True)) == {}
    assert runs.published("reconstruction_loss", Balls(3)) == {}


# Many runs

@pytest.mark.parametrize("varied", [False, True], ids=["40 betas", "40 variants"])
def test_figures_of_many_runs(run, varied, tmp_path, monkeypatch):
    """They grow: axes keep their size, no number lies on another, no legend on an axes, no two of its entries are
    alike."""
    for number in range(40):
        beta = 1.0 if varied else round(0.1 * 1.17 ** number, 2)
        variant = {"beta_start": 30.0 + number, "beta_steps": 20000, "lr": 2e-4, "weight_init": 0.05} if varied else {}
        for model in "conv", "fully_connected":
            run(model, beta, loss=22 + number / 9, variant=variant, stddev=np.linspace(0.1, 1, 32).tolist())
    figures = {}
    monkeypatch.setattr(plotting, "save", lambda figure, path, shown: figures.update({path.rpartition("/")[2]: figure}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for script in create_error_graph, create_stddev_graphs, create_training_curves, create_disentanglement_graphs:
            call(script.main, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/figures")
    assert len(figures) == (2 if varied else 9)
    for name, figure in figures.items():
        figure.draw_without_rendering()
        for axes in figure.axes:
            assert min(axes.get_window_extent().size / figure.dpi) > 1.5, f"{name}: an axes has collapsed"
            numbers = [tick.label1.get_window_extent() for tick in axes.xaxis.get_major_ticks()]
            assert all(left.x1 < right.x0 + 1 for left, right in zip(numbers, numbers[1:], strict=False)), name
        for legend in figure.legends:
            labels = [text.get_text() for text in legend.get_texts()]
            assert len(set(labels)) == len(labels), name
            assert not any(legend.get_window_extent().overlaps(axes.get_tightbbox()) for axes in figure.axes), name
            assert figure.bbox.containsx(legend.get_window_extent().x0), f"{name}: its legend is cut"
    if varied:
        rows = figures["one_ball_settings.png"].axes[0]
        assert len(rows.get_yticklabels()) == 80 and rows.get_window_extent().height / rows.figure.dpi > 80 * 0.3


def test_which_runs_share_a_graph(run):
    """2016's are by themselves; those of other betas stand with them once more; variants stand in none, unless there
    is nothing else on their data set, and it is one alone or was trained at several betas."""
    swept, other, variant = run(), run(beta=8.0), run(variant={"lr": 0.01}, lr=0.01)
    alone = [run(num_balls=2, beta=beta, variant={"lr": 0.01}, lr=0.01) for beta in (1.0, 2.0)]
    few = run(num_balls=2, variant={"lr": 0.1}, lr=0.1)
    assert dict(runs.by_beta([swept, other, variant, *alone, few])) == {
        "one_ball": [swept], "one_ball_betas": [swept, other], "two_ball_lr_0.01": alone}
    assert dict(runs.by_beta([few])) == {"two_ball_lr_0.1": [few]}
    assert "lr 0.01" in plotting.caption(alone) and "lr" not in plotting.caption([*alone, few])
    assert plotting.caption([swept, other]) == "one ball; step 1,000; seed 0"
