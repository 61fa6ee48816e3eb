"""What a training shows on the screen: bars on a terminal, lines elsewhere, nothing on one that is gone."""
import contextlib
import re

import pytest
from conftest import OF_TINY, train
from made_up import shown, window

import main
from training import progress

pytestmark = pytest.mark.usefixtures("tiny")


def on_a_terminal(columns, tmp_path, **flags):
    """What a run prints on a terminal of so many columns."""
    ours, its = window(columns)
    with open(its, "w") as terminal, contextlib.redirect_stdout(terminal):
        train(tmp_path / "store", **{**OF_TINY, "max_step": 21, "report_every": 7, **flags})
        terminal.flush()
        return shown(ours)


def test_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path, capsys):
    said = on_a_terminal(80, tmp_path, beta=4, seed=2)
    bars = [part for part in re.split(r"[\r\n]", said) if "%|" in part]
    assert bars and all(len(re.sub(r"\x1b\[\w", "", bar)) <= 80 for bar in bars)
    assert re.match(r"tiny, one ball, beta 4, seed 2 +100%\|█{3,}\| .*left, .*step/s, [\d.]+\+[\d.]+", bars[-1]), bars
    assert "step 7 of 21" not in said and "trained, step 21" in said
    said = on_a_terminal(0, tmp_path, seed=3)  # as under `script -c`
    assert "step 7 of 21" in said and "%|" not in said


@pytest.mark.parametrize("words", [
    ["--model=fully_connected", "--num_balls=2", "--beta=0.5"], ["--model=all_conv", "--beta=123456", "--seed=1234567"],
    ["--model=fully_connected", "--num_balls=6", "--friction", "--seed=10"], ["--model=paper", "--data_set=shapes"]])
def test_bars_fit_80_columns_whatever_the_flags(words, monkeypatch, capsys):
    """With all numbers, also when hours are left."""
    monkeypatch.setattr(progress, "on_terminal", lambda: True)
    with progress.Bar(main.parse(None, main.FLAGS, words), 0) as bar:
        drawn = bar.bar.format_meter(**{**bar.bar.format_dict, "n": 1000, "elapsed": 40, "ncols": 80, "rate": None,
                                          "postfix": "34.5+9.8"})
    assert len(drawn) <= 80 and re.search(r" 1%\|.+\| 1:06:00 left, 25.00step/s, 34.5\+9.8$", drawn), drawn
