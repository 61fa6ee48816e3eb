"""experiments/starts.py: the codes that supervision pulls to, and the figure of what becomes of them."""
import numpy as np
import pytest

import main
from ball_generator import Balls
from experiments import rows, starts
from training import checkpoints
from training.data_sets import data_set_of
from training.flags import parse


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
    flags = parse(None, main.FLAGS, ["--model=tiny", "--batch_size=16", "--max_step=200"])
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
