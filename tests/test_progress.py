"""What a training shows on the screen: bars on a terminal, lines elsewhere, nothing on one that is gone."""
import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import termios

import pytest
from conftest import OF_TINY, check_equal, train

import main
from training import progress

pytestmark = pytest.mark.usefixtures("tiny")


def on_a_terminal(columns, tmp_path, **flags):
    """What a run prints on a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(its, "w") as terminal, contextlib.redirect_stdout(terminal):
        train(tmp_path / "store", **{**OF_TINY, "max_step": 21, "report_every": 7, **flags})
        terminal.flush()
        os.set_blocking(ours, False)
        said = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(ours, 65536):
                said += part
    os.close(ours)
    return said.decode()


def test_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path, capsys):
    said = on_a_terminal(80, tmp_path, beta=4, seed=2)
    bars = [part for part in re.split(r"[\r\n]", said) if "%|" in part]
    assert bars and all(len(re.sub(r"\x1b\[\w", "", bar)) <= 80 for bar in bars)
    assert re.match(r"tiny 1 β4 batch size 4 se… +100%\|█{3,}\| .*left, .*step/s, [\d.]+\+[\d.]+", bars[-1]), bars[-1]
    assert "step 7 of 21" not in said and "trained, step 21" in said
    said = on_a_terminal(0, tmp_path, seed=3)  # as under `script -c`
    assert "step 7 of 21" in said and "%|" not in said


def test_bars_fit_80_columns_whatever_the_flags(capsys):
    """With a bar in them, also when the losses are large and hours are left."""
    for words in (["--model=fully_connected", "--num_balls=2", "--beta=0.5", "--seed=1", "--friction"],
                  ["--model=all_conv", "--beta_start=20", "--beta=123456"]):
        flags = main.parse(None, main.FLAGS, words)
        bar = progress.Bar(flags, "model_x_beta_" + str(flags.beta) + "_seed_1_friction_lr_0.0001", 0).bar
        drawn = bar.format_meter(**{**bar.format_dict, "n": 99_000, "total": 100_000, "elapsed": 36_000, "ncols": 80,
                                    "postfix": "1234.5+1234.5", "initial": 0, "bar_format": progress.FORMAT})
        assert len(drawn) <= 80 and re.search(r"\|[█▏▎▍▌▋▊▉ ]{5,}\|", drawn), drawn


def test_a_screen_that_is_gone_ends_nothing(tmp_path, unbroken, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")
        flush = write
    with contextlib.redirect_stdout(Gone()):
        path = train(tmp_path / "store", **OF_TINY, max_step=40)
    check_equal(path, unbroken)
    assert "trained, step 40" in (path / "log.txt").read_text()
