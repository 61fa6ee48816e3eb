"""Figures of many runs, drawn from made-up numbers, and read back from matplotlib."""
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgba

import create_beta_images
import create_cool_images
import create_disentanglement_graphs
import create_error_graph
import create_reconstruction_images
import create_stddev_graphs
import create_training_curves
from analysis import plotting, runs, scores
from analysis.metrics import METRICS, Metric


def run_of(model, beta, seed=0, num_balls=1, variant="", **more):
    """A run without a folder."""
    start = 60.0 if variant.startswith("_beta_start_") else None
    given = SimpleNamespace(model=model, beta=beta, beta_start=start, seed=seed, num_balls=num_balls, friction=False,
                            **more)
    name = f"model_{model}_num_balls_{num_balls}_beta_{beta}{variant}" + f"_seed_{seed}" * bool(seed)
    return runs.Run(name, "nowhere", given, 1000, None, {})


def lines_of(axes):
    """label -> points of the lines that have a label."""
    return {line.get_label(): line.get_xydata() for line in axes.get_lines() if not line.get_label().startswith("_")}


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def dots_of(axes):
    """Points of the markers without a line, [[x, y], ...] in the order drawn."""
    return np.concatenate([line.get_xydata() for line in axes.get_lines()
                           if line.get_linestyle() == "None" and line.get_marker() in ("o", "D")])


def test_error_graph():
    """Excess over the floor: ours by seed and their mean with its error bar, and 2016's."""
    floor = 21.12
    measured = [(run_of("conv", beta, seed), {"reconstruction_loss": 22 + beta + seed, "standard_error": 0.1,
                                              "entropy_floor": floor}) for seed in (0, 1) for beta in (0.1, 4.0)]
    measured += [(run_of("all_conv", beta), {"reconstruction_loss": 80, "standard_error": error,
                                             "entropy_floor": floor}) for beta, error in ((0.1, 3), (1.0, 0.2))]
    measured.append((run_of("conv", 4.0, variant="_beta_start_60.0"), {
        "reconstruction_loss": 21.5, "standard_error": 0.1, "entropy_floor": floor}))
    published = runs.published("reconstruction_loss")["1"]
    figure = create_error_graph.draw("one ball", measured, published)
    axes = figure.axes[0]
    np.testing.assert_allclose(lines_of(axes)["conv, 2016"][:, 1], np.array([21.4688, 22.1625, 22.975]) - floor)
    np.testing.assert_allclose(lines_of(axes)["conv, 2016"][:, 0], [0.1, 0.5, 1.0])
    bars = {bar.get_label(): bar for bar in axes.containers}
    assert set(bars) == {"conv", "conv, annealed from β 60", "all_conv"}
    np.testing.assert_allclose(bars["conv"][0].get_xydata(), [[0.1, 22.6 - floor], [4, 26.5 - floor]], rtol=0.05)
    np.testing.assert_allclose(bars["conv"][0].get_xydata()[:, 1], [22.6 - floor, 26.5 - floor])
    errors = [segment[:, 1] + floor for segment in bars["all_conv"][2][0].get_segments()]
    np.testing.assert_allclose(errors, [[77, 83], [79.8, 80.2]])
    np.testing.assert_allclose(dots_of(axes)[:4, 1] + floor, [22.1, 26, 23.1, 27])  # every seed
    assert {bars[name][0].get_color() for name in bars} == {"#D55E00", "#009E73"}
    assert [plotting.symbol_of(run_of("conv", 1.0, variant=variant))[0] for variant in (
        "", "_beta_start_60.0_lr_0.1", "_lr_0.1")] == ["o", "D", "^"]
    assert "nats" in axes.get_ylabel() and axes.get_xlabel() == "β" and axes.get_yscale() == "log"
    assert set(legend_of(figure)) == {*bars, "conv, 2016", "all_conv, 2016"}


def test_stddev_graph():
    measured = [(run_of("conv", 0.1), {"stddev": [0.2, 0.6]}), (run_of("conv", 0.1, 1), {"stddev": [0.4, 1.0]}),
                (run_of("conv", 2.0), {"stddev": [0.9, 1.0, 1.0]})]
    figure = create_stddev_graphs.draw("conv, one ball", measured, {"0.1": [0.1, 0.5, None], "1.0": [0.3, 0.4, 0.5]})
    axes = figure.axes[0]
    drawn = [line.get_xydata().tolist() for line in axes.get_lines() if line.get_linestyle() == "-"]
    for expected in [[1, 0.2], [2, 0.6]], [[1, 0.4], [2, 1.0]], [[1, 0.9], [2, 1.0], [3, 1.0]]:  # one line a seed
        assert drawn.count(expected) == 1
    colours = [line.get_color() for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert len(colours) == 4 and len(set(map(to_rgba, colours))) == 3  # one a beta, and grey
    np.testing.assert_allclose(lines_of(axes)["β = 0.1, 2016"], [[1, 0.1], [2, 0.5], [3, np.nan]])
    assert len(legend_of(figure)) == 3 and axes.get_xlabel() and axes.get_ylabel()


def score(value, **more):
    """An object of disentanglement.json in which every metric has this value."""
    return {"beta_latents_per_pixel": 0.031, "latents": 32, "active_latents": 2, "step": 1000,
            **dict.fromkeys(METRICS, value), **more,
            "others": {scores.UNTRAINED: dict.fromkeys(METRICS, 0.15), "ideal code": dict.fromkeys(METRICS, 0.99),
                       "chance": {"change_accuracy": 0.5}}}


def test_score_graph_draws_seeds_their_mean_and_what_to_hold_them_against():
    measured = [(run_of("conv", beta, seed), score(beta / 2 - 0.02 * seed, r2=[beta / 4, beta / 2], seed=seed))
                for beta in (0.2, 1.0) for seed in (0, 1)]
    figure = create_disentanglement_graphs.draw_scores("one ball", measured)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    titles = {key: metric.title for key, metric in METRICS.items() if metric.limits}
    assert [axes.get_title() for axes in panels] == list(titles.values())
    by_key = dict(zip(titles, panels, strict=True))
    np.testing.assert_allclose(by_key["r2"].containers[0][0].get_xydata()[:, 1], [0.075, 0.375])  # mean over factors
    np.testing.assert_allclose(by_key["mig"].containers[0][0].get_xydata()[:, 1], [0.09, 0.49])   # and over seeds
    np.testing.assert_allclose(dots_of(by_key["mig"])[:, 1], [0.1, 0.08, 0.5, 0.48])
    for key, axes in by_key.items():
        flat = {round(float(line.get_ydata()[0]), 4) for line in axes.get_lines() if list(line.get_xdata()) == [0, 1]}
        assert flat >= {0.99, 0.15} | ({0.5} if key == "change_accuracy" else set())
        assert axes.get_xlabel() == "β"
        bar = next(line for line in axes.get_lines() if line.get_ydata()[0] > 1.01)
        # The paper's band begins at beta * 32 / 1024 = 0.01, and ends, at 0.1, beyond this axis.
        assert list(bar.get_xdata()) == pytest.approx([0.32, axes.get_xlim()[1]])


def test_collapsed_runs_are_crossed():
    collapsed = score(0.0, active_latents=0, change_accuracy=0.5)
    measured = [(run_of(model, 0.5), score(0.25)) for model in ("conv", "all_conv")]
    measured += [(run_of(model, 32.0), collapsed) for model in ("conv", "all_conv")]
    figure = create_disentanglement_graphs.draw_scores("one ball", measured)
    for axes in figure.axes:
        crosses = [line.get_xdata().tolist() for line in axes.get_lines() if line.get_marker() == "x"]
        assert len(crosses) == 2 and crosses[0] != crosses[1] and all(30 < x < 34 for cross in crosses for x in cross)
        assert dots_of(axes)[:, 0].max() < 1 and axes.get_xscale() == "log"  # and no line falls to their 0
    assert "no latent is active" in legend_of(figure)


def test_nothing_but_collapsed_runs():
    figure = create_disentanglement_graphs.draw_scores("one ball", [(run_of("conv", 0.5), score(0, active_latents=0))])
    assert {"conv", "no latent is active"} <= set(legend_of(figure))


def test_a_seventh_metric_is_a_panel(monkeypatch):
    """And a key of the JSON; test_results.py sees to its column."""
    monkeypatch.setitem(METRICS, "seventh", Metric("a seventh metric", lambda sample: 0.25, (0, 1)))
    assert "seventh" in scores.scores_of([positions[:, 0] for positions in scores.all_of(1)], 1)
    before = score(0.75)  # of a run whose numbers were kept before
    del before["seventh"]
    figure = create_disentanglement_graphs.draw_scores("one ball", [(run_of("conv", 0.5), before),
                                                                    (run_of("conv", 1.0), score(0.25))])
    found = [axes for axes in figure.axes if axes.get_title() == "a seventh metric"]
    assert len(found) == 1 and found[0].get_visible() and 0.25 in dots_of(found[0])[:, 1]


def test_training_curves(tmp_path):
    """Means over 1,000 steps, in which a row weighs as many steps as it is the mean over; 100 + step / 100."""
    rows = [(50, 100.5)] + [(step, 100 + step / 100) for step in (1000, 1500, 2000, 2400)]
    (tmp_path / "losses.csv").write_text("step,reconstruction,kl,seconds\n" + "".join(
        f"{step},{loss},1,1\n" for step, loss in rows))
    steps, losses = create_training_curves.curve(tmp_path)
    np.testing.assert_allclose(losses, [(50 * 100.5 + 950 * 110) / 1000, 117.5, 124])
    np.testing.assert_allclose(steps, [(50 * 50 + 950 * 1000) / 1000, 1750, 2400])
    curves = [(run_of("conv", 0.1), steps, losses), (run_of("conv", 0.1, 1), steps, losses + 1),
              (run_of("gone", 1.0), steps, losses + 2)]
    figure = create_training_curves.draw("one ball", curves, 21.0)
    assert [axes.get_title() for axes in figure.axes] == ["conv", "gone"]
    drawn = [line.get_ydata() for axes in figure.axes for line in axes.get_lines()]
    np.testing.assert_allclose(drawn, [losses - 21, losses - 20, losses - 19])
    short, long = (create_training_curves.draw("one ball", [(run_of("conv", 0.1), steps[:n], losses[:n])], 21.0)
                   for n in (1, 2))
    assert [figure.axes[0].get_lines()[0].get_marker() for figure in (short, long)] == [".", ""]


def images_in(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


def among(image, images):
    return any(image.shape == other.shape and np.allclose(image, other) for other in images)


def test_reconstructions_and_samples():
    rng = np.random.default_rng(0)
    images, left, right = rng.random((3, 6, 32, 32))
    figure = create_reconstruction_images.draw("one ball", images, [("conv, a beta", left, right)])
    drawn = images_in(figure)
    assert len(drawn) == 18 and all(among(image, drawn) for image in [*images, *left, *right])
    assert "conv, a beta" in [text.get_text() for axes in figure.axes for text in axes.texts]


def test_what_beta_does_shows_each_latent_on_one_scale():
    rng = np.random.default_rng(0)
    images, response = rng.random((5, 32, 32)), rng.normal(size=(60, 60))
    lines = [("low", [(7, 0.25, response, images), (2, 0.5, response * 3, images)]), ("high", [])]
    figure = create_beta_images.draw("conv", lines)
    drawn = images_in(figure)
    assert among(response - response.mean(), drawn) and all(among(image, drawn) for image in images)
    limits = {image.get_clim() for axes in figure.axes for image in axes.get_images()
              if image.get_array().shape == response.shape}
    limit = np.abs(3 * (response - response.mean())).max()
    assert len(limits) == 1 and limits.pop() == pytest.approx((-limit, limit))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "low" in texts and any("collapsed" in text for text in texts)


@pytest.mark.parametrize("side", [16, 32, 40, 64])
def test_a_heat_map_of_images_of_any_size(side):
    """Every pixel where it belongs: here, as bright as its place."""
    image = np.add.outer(np.arange(side), np.arange(side)) / (2 * side)
    images = np.tile(image, (1, 5, 1, 1))
    figure = create_cool_images.draw("a title", [3], [0.1], images, image, [0.5], [(-1, 1)], [True])
    mosaic, unchanged = (np.asarray(drawn.get_array()) for drawn in figure.images)
    tile = create_cool_images.TILE
    assert mosaic.shape[0] == tile and np.array_equal(mosaic[:, :tile], unchanged)
    np.testing.assert_allclose(unchanged, np.add.outer(np.arange(tile), np.arange(tile)) / (2 * tile), atol=1 / side)


def test_titles():
    rows = [(run_of("conv", 0.1, seed, num_balls=2), {"step": 1000 * (1 + seed), "seed": seed}) for seed in (0, 1)]
    assert plotting.title(rows) == "two balls; steps 1,000, 2,000; seeds 0, 1"
    rows.append((run_of("conv", 0.5, num_balls=2), {"step": 1000, "seed": 0}))
    assert plotting.title(rows).endswith("seeds 0, 1 (1 to 2 a point)")
    rows += [(run_of("conv", 1.0, seed, num_balls=2), {"step": 9000, "seed": seed}) for seed in (5, 7)]
    assert plotting.title(rows) == "two balls; steps 1,000 to 9,000; seeds 0 to 7 (1 to 2 a point)"
    assert plotting.title_of(run_of("conv", 4.0, 3, variant="_lr_0.0001")) == (
        "conv, one ball, β = 4, lr 0.0001, step 1,000, seed 3")
    for suffix, words in (
            ("_beta_start_45.0", "annealed from β 45"), ("_batch_size_8_lr_1e-05", "batch size 8, lr 1e-05"),
            ("_beta_start_45.0_beta_steps_20000_lr_0.0002", "annealed from β 45 in 20,000 steps, lr 0.0002"),
            ("_friction_lr_0.1_init_from_s_friction", "lr 0.1, started from s_friction"),
            ("_lr_0.1_init_from_s_friction", "lr 0.1, started from s_friction"),
            ("_lr_0.1_init_from_s_beta_start_45.0_seed_2", "lr 0.1, started from s_beta_start_45.0_seed_2")):
        for seed in 0, 3:
            assert run_of("conv", 4.0, seed, variant=suffix).variant == words


@pytest.mark.parametrize("betas, scale", [([0.1, 0.5, 1], "linear"), ([0.1, 1, 8], "log"), ([0, 8], "linear"),
                                          ([2], "linear")])
def test_beta_axis(betas, scale):
    axes = plotting.figure().add_subplot()
    axes.plot(betas, betas, "o")
    plotting.beta_axis(axes, [(run_of("conv", beta), {}) for beta in betas])
    assert axes.get_xscale() == scale and [tick.get_text() for tick in axes.get_xticklabels()] == [
        f"{beta:g}" for beta in betas]
    low, high = axes.get_xlim()
    assert low < betas[0] or betas[0] == 0
    assert high > betas[-1] and high - low > betas[0] / 2


def test_published_numbers():
    assert runs.published("reconstruction_loss")["2"]["fully_connected"]["0.5"] == 45.1146
    assert runs.published_for("reconstruction_loss", run_of("conv", 0.1))["conv"]["0.1"] == 21.4688
    with_friction = run_of("conv", 0.1)
    with_friction.flags.friction = True
    assert runs.published_for("reconstruction_loss", with_friction) == {}
    assert runs.published_for("reconstruction_loss", run_of("conv", 0.1, num_balls=3)) == {}
