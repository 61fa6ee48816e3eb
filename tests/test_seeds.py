"""experiments/seeds.py: of every three seeds, that of the lowest loss at the step of the choice."""
import json

import pytest

from experiments import rows, seeds


def row(seed, loss, active=2):
    return {"model": "conv", "data": "one_ball", "setting": "β 34 to 1", "seed": seed, "loss": loss,
            "points": [[4000, 32.35, active, 0.5], [seeds.AT, 28.23, active, 0.9], [80_000, 1.0, 2, 0.98]]}


def test_the_one_of_the_lowest_loss_goes_on():
    """Of whole threes, from seed 20 on; its line goes on in the figure, the others' end where it was chosen."""
    found = [row(3, 1.0), row(20, 147.0), row(21, 146.0), row(22, 150.0, active=3), row(23, 145.0), row(24, 144.0)]
    assert seeds.chosen(found) == {21}
    left, right = seeds.draw(found).axes
    ends = [line.get_xdata()[-1] for line in left.get_lines()]
    assert ends[:-1] == [seeds.AT, seeds.AT, 80_000, seeds.AT, seeds.AT, seeds.AT]
    assert [line.get_marker() for line in right.get_lines()] == ["o", "o", "o", "^", "o", "o"]


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
    assert len(seeds.chosen(found)) == 10 and seeds.draw(found).axes
    place = tmp_path / "rows.json"
    place.write_text("[]")
    for loss in 3.0, 2.0:
        rows.add(place, row(7, loss), ("model", "seed"))
    rows.add(place, row(6, 1.0), ("model", "seed"))
    assert [one["loss"] for one in json.loads(place.read_text())] == [1.0, 2.0]
