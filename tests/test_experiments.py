"""experiments/: the codes that supervision pulls to, and what becomes of them; of every three seeds, that of the lowest
loss at the step of the choice."""
import json

import numpy as np
import pytest
from conftest import parse

from ball_generator import Balls
from experiments import rows, seeds, starts
from training import checkpoints
from training.data_sets import data_set_of


def test_codes():
    corner = np.array([[[8.8, 1.2]]])  # x and y at 3 ** 0.5 and -3 ** 0.5 of their spreads
    aligned, turned = (starts.STARTS[1][start](Balls(), corner)[0] for start in ("aligned", "rotated 45°"))
    assert aligned == pytest.approx([3 ** 0.5, -3 ** 0.5]) and sorted(abs(turned)) == pytest.approx([0, 6 ** 0.5])
    two = Balls(2).draw((3,), 50)
    for code in starts.STARTS[2].values():  # which ball is first is nothing
        np.testing.assert_allclose(code(Balls(2), two), code(Balls(2), two[:, ::-1]))
    code = np.array([[1, 2]])
    assert starts.target_of(code, 5, 5).tolist() == [[1, 2, 0, 0, 0]]
    assert starts.target_of(code, 6, 3).tolist() == [[1, 2, 0, 1, 2, 0]]  # all_conv: the same at every place
    assert starts.target_of(code, 4, 1).tolist() == [[1, 2, 1, 2]]


def test_supervision(tiny):
    """It pulls the means to the code; of the decoder alone, it leaves the encoder as it was."""
    flags = parse("--model=tiny", "--batch_size=16", "--max_step=200")
    data, code = data_set_of(flags), starts.STARTS[1]["aligned"]
    first = checkpoints.new_model(flags, data)
    drawn = data.draw((3,), 200)
    images = data.render(drawn.astype(np.float32))

    def apart(model):
        target = starts.target_of(code(data, drawn), model.latents, flags.hidden_size)
        return np.mean((model.encode(images)[0] - target) ** 2)

    def weights(model, part):
        return np.concatenate([weight.ravel() for weight in getattr(model, part).get_weights()])

    alone = starts.supervise(flags, data, code, alone=True)
    assert (weights(alone, "encoder") == weights(first, "encoder")).all()
    assert (weights(alone, "decoder") != weights(first, "decoder")).any()
    assert apart(starts.supervise(flags, data, code)) < 0.5 * apart(first)


def test_figure():
    """A line through the medians of what each start's loss is above the aligned one's of the same seed."""
    found = [{"model": "conv", "hidden_size": 32, "data": "one_ball", "start": start, "beta": beta, "seed": seed,
              "reconstruction": 20 + extra * (1 + seed), "kl": 3}
             for start, extra in (("aligned", 0), ("folded", 2)) for beta in (0.1, 1.0) for seed in (0, 1, 5)]
    (axes,) = starts.draw(found).axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines() if line.get_linestyle() == "-"}
    assert lines["aligned"] == [0, 0] and lines["folded"] == pytest.approx([4, 4])
    assert axes.get_title() == "conv, one ball" and starts.draw(rows.read(starts.RESULTS)).axes


def row(seed, loss, active=2, model="conv"):
    return {"model": model, "data": "one_ball", "setting": "β 34 to 1", "seed": seed, "loss": loss,
            "points": [[4000, 32.35, active, 0.5], [seeds.AT, 28.23, active, 0.9], [80_000, 1.0, 2, 0.98]]}


def test_the_one_of_the_lowest_loss_goes_on():
    """Of whole threes, of conv from seed 20 on; it is the blue one in the figure, which has a row for each model."""
    found = [row(3, 1.0), row(20, 147.0), row(21, 146.0), row(22, 150.0, active=3), row(23, 145.0), row(24, 144.0)]
    assert seeds.chosen(found) == {21}
    others = [row(seed, 136.0 - seed, model="fully_connected") for seed in (5, 10, 11, 12)]
    assert seeds.chosen(others) == {12}
    assert seeds.chosen([row(seed, 1.0 + seed, model="all_conv") for seed in (19, 20, 21, 22)]) == {20}
    _, right, _, below = seeds.draw(found + others).axes
    marks, below = ([(line.get_color(), line.get_marker(), line.get_markerfacecolor() == "none")
                     for line in axes.get_lines()] for axes in (right, below))
    grey, blue, earlier = ("0.6", "o", False), ("C0", "o", False), ("0.6", "o", True)
    assert marks == [earlier, grey, blue, ("0.6", "^", False), grey, grey] and below == [earlier, grey, grey, blue]


def test_a_row_has_the_loss_before_the_choice(tmp_path, monkeypatch):
    """The mean of reconstruction + beta * KL over the last 2,000 steps: neither later ones nor earlier ones count."""
    class Run:
        step, losses, numbers = 20_000, [[step, step / 1000, 2.0, 0, 10.0] for step in range(1000, 20_001, 1000)], {
            "over_time": {"points": [{"step": step, "active": 2, "sap": 0.5} for step in (7000, 14_000, 20_000)]}}
        flags, data, setting = type("", (), {"model": "conv", "seed": 5}), type("", (), {"key": "one_ball"}), "β 10"

    found = seeds.row_of(Run)
    assert found["loss"] == pytest.approx(13.5 + 10 * 2) and found["points"][1] == [14_000, 10.0, 2, 0.5]
    Run.step = 13_999
    with pytest.raises(ValueError, match="short of 14,000"):
        seeds.row_of(Run)


def test_what_was_found_is_drawn_and_kept_once(tmp_path):
    found = rows.read(seeds.RESULTS)
    assert len(seeds.chosen([row for row in found if row["model"] == "conv"])) == 10 and seeds.draw(found).axes
    place = tmp_path / "rows.json"
    place.write_text("[]")
    for loss in 3.0, 2.0:
        rows.add(place, row(7, loss), ("model", "seed"))
    rows.add(place, row(6, 1.0), ("model", "seed"))
    assert [one["loss"] for one in json.loads(place.read_text())] == [1.0, 2.0]
