"""experiments/starts.py: the codes that supervision pulls to, and the figure of what becomes of them."""
import numpy as np
import pytest

from ball_generator import Balls
from experiments import rows, starts


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


def test_figure():
    """A line through the medians of what each start's loss is above the aligned one's of the same seed."""
    found = [{"model": "conv", "hidden_size": 32, "data": "one_ball", "start": start, "beta": beta, "seed": seed,
              "reconstruction": 20 + extra * (1 + seed), "kl": 3}
             for start, extra in (("aligned", 0), ("folded", 2)) for beta in (0.1, 1.0) for seed in (0, 1, 5)]
    (axes,) = starts.draw(found).axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines() if line.get_linestyle() == "-"}
    assert lines["aligned"] == [0, 0] and lines["folded"] == pytest.approx([4, 4])
    assert axes.get_title() == "conv, one ball" and starts.draw(rows.read(starts.RESULTS)).axes
