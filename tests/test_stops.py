"""How a sweep, a training and a drawing end early: signals, a screen that is gone, kill -9. With trainings that are
made up, and real."""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from conftest import HANG, ROOT, losses, one_line, start
from made_up import PYTHON, begin, fake, run, told, wait

import main
from training import checkpoints, progress, sweep

TRAINS = '''
for name in HUP INT USR1 TERM; do trap "echo $name >> {0}/got; exit $((128 + $(kill -l $name)))" $name; done
echo $$ >> {0}/pids
while :; do sleep 0.05; done'''


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_is_handed_on_and_no_more_are_started(tmp_path, number):
    running = begin(fake(tmp_path, TRAINS.format(tmp_path)), f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f")
    wait(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2, running)
    running.send_signal(number)
    out, err = running.communicate(timeout=HANG)
    assert running.returncode == 128 + number and not err
    assert (tmp_path / "got").read_text().split() == [number.name[3:]] * 2
    assert len((tmp_path / "pids").read_text().split()) == 2
    assert out.endswith("run: stopped; the same command resumes\n") and "failed" not in out
    assert "run: 0 of 18 trained" in out


def test_under_nohup_a_hangup_is_nothing(tmp_path):
    running = begin(fake(tmp_path, f"touch {tmp_path}/$$; sleep 1"), f"--train_dir={tmp_path}/s",
                    f"--figures={tmp_path}/f", "--model=conv", "--num_balls=1", "--beta=1",
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait(lambda: [file for file in os.listdir(tmp_path) if file.isdecimal()], running)
    running.send_signal(signal.SIGHUP)
    out, _ = running.communicate(timeout=HANG)
    assert running.returncode == 0 and out.endswith("run: all trained and drawn\n")


def test_what_fails_before_and_while_it_is_stopped_is_told(tmp_path):
    """One failed before; one fails to save when it is stopped; the third ends as asked. With --restart the same command
    would begin again."""
    running = begin(fake(tmp_path, f'''touch {tmp_path}/$$
        case $* in
            *--beta=0.1*) echo 'bad luck' >&2; exit 1 ;;
            *--beta=0.5*) trap "echo 'no space left' >&2; exit 1" TERM ;;
        esac
        while :; do sleep 0.05; done'''), f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=conv",
        "--num_balls=1", "--restart")
    wait(lambda: len([file for file in os.listdir(tmp_path) if file.isdecimal()]) == 3, running)
    time.sleep(0.5)  # for the trap
    running.terminate()
    out, _ = running.communicate(timeout=HANG)
    assert running.returncode == 128 + signal.SIGTERM
    assert told(out) == ["model_conv_num_balls_1_beta_0.1 failed, exit code 1: bad luck",
                         "model_conv_num_balls_1_beta_0.5 failed, exit code 1: no space left"]
    assert out.endswith("run: stopped; the same command without --restart resumes\n")


def test_stopped_while_drawing(tmp_path):
    python = fake(tmp_path, "[[ $* != *--beta=1.0* ]] || { echo 'bad luck' >&2; exit 1; }",
                  "echo drawing; exec sleep 1000")
    running = begin(python, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=conv", "--num_balls=1")
    while running.stdout.readline() != "drawing\n":
        pass
    running.terminate()
    out, _ = running.communicate(timeout=HANG)
    assert running.returncode == 128 + signal.SIGTERM
    assert told(out) == ["model_conv_num_balls_1_beta_1.0 failed, exit code 1: bad luck"] and "run: stopped" in out


def test_a_screen_that_is_gone_ends_nothing(tmp_path):
    """As of `./run | head -1`: the trainings go on, and each writes more than a pipe holds."""
    python = fake(tmp_path, f"head -c 200000 /dev/zero | tr '\\0' x | fold -w 1000; touch {tmp_path}/$$")
    running = begin(python, "--model=conv", f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f")
    running.stdout.readline()
    running.stdout.close()
    running.wait(HANG)
    assert len([file for file in os.listdir(tmp_path) if file.isdecimal()]) == 6 and not told(running.stderr.read())


# Real trainings

def alive(pid):
    """Whether a process runs: one that has ended stays until its parent asks for it, which not every system's does."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Terminal:
    """A terminal of 100 columns on which a command runs; what it shows, as lines."""

    def __init__(self, command, env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.process = subprocess.Popen(["setsid", "--ctty", *command], env=env, stdin=slave, stdout=slave,
                                        stderr=slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.text = b""

    def lines(self):
        try:
            while more := os.read(self.master, 65536):
                self.text += more
        except (BlockingIOError, OSError):
            pass
        lines, row, column = [""], 0, 0
        for token in re.findall(r"\x1b\[\d*[A-Za-z]|.", self.text.decode(errors="replace"), re.DOTALL):
            if token == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif token == "\r":
                column = 0
            elif token == "\x1b[A":
                row -= 1
            else:
                assert len(token) == 1 and column < 100, f"{token!r} after {lines[row]!r}"
                lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1:]
                column += 1
        return [line.rstrip() for line in lines]

    def hang_up(self):
        os.close(self.master)


def test_a_sweep_whose_window_is_closed_which_is_killed_and_resumed(tmp_path):
    """Two trainings, as their user has them: bars, SIGHUP, kill -9, the same command again. Both are saved each time,
    and all is drawn at the end."""
    store = tmp_path / "a b" / "{}" / "it's"
    words = ("--model=all_conv", "--num_balls=2", "--beta=0.5", "--beta=1", f"--train_dir={store}",
             f"--figures={tmp_path}/f")
    env = {**os.environ, "PYTHON": PYTHON, "JOBS": "2"}
    runs = [f"{store}_model_all_conv_num_balls_2_beta_{beta}" for beta in ("0.5", "1.0")]

    def saved():
        return [checkpoints.newest(path)[0] or 0 for path in runs]

    def pids():
        found = [open(f"{path}/lock").read().split(" ")[0] for path in runs if os.path.exists(f"{path}/lock")]
        return [pid for pid in found if pid and alive(pid)]

    terminal = Terminal([ROOT / "run", *words], env)
    bars = [f"all_conv, two balls, beta {beta}, seed 0" for beta in ("0.5", "1")]

    def shown():
        return all(any(line.startswith(bar) and "step/s" in line and "?" not in line for line in terminal.lines())
                   for bar in bars)

    wait(shown, terminal.process)
    _, first, *others = terminal.lines()
    assert first.startswith("run: 2 experiments, 2 at a time, on 1 of")
    assert re.match(r"0 of 2 trained, \d+ h \d+ min left$", others[0]), others
    for bar, line in zip(bars, others[1:], strict=True):
        assert re.match(rf"{bar} +\d+%\|.+\| [\d:]+ left, +[\d.]+step/s, [\d.]+\+[\d.]+$", line), line
    terminal.hang_up()
    terminal.process.wait(HANG)
    wait(lambda: not pids())
    stopped_at = saved()
    assert min(stopped_at) > 0
    for path in runs:
        assert "stopped by SIGHUP" in open(f"{path}/log.txt").read()

    running = subprocess.Popen([ROOT / "run", *words], env=env, stdout=subprocess.PIPE, text=True)
    wait(lambda: all(losses(path)[-1][0] > step for path, step in zip(runs, stopped_at, strict=True)), running)
    assert len(pids()) == 2
    running.kill()
    running.communicate()
    wait(lambda: not pids())
    killed_at = saved()
    assert all(after > before for after, before in zip(killed_at, stopped_at, strict=True))
    for path in runs:
        assert "stopped by SIGTERM" in open(f"{path}/log.txt").read()

    last = max(killed_at)
    assert run(*words, f"--max_step={last + 20}").stdout.endswith("run: all trained and drawn\n")
    assert saved() == [last + 20] * 2
    for path in runs:
        assert open(f"{path}/log.txt").read().count("resumed from step") == 2
        steps = [row[0] for row in losses(path)]
        assert steps == sorted(set(steps)) and steps[-1] == last + 20
    drawn = set(os.listdir(tmp_path / "f"))
    assert {f"heat_map_model_all_conv_num_balls_2_beta_{beta}.png" for beta in ("0.5", "1.0")} <= drawn


def test_a_terminal_without_a_size_gets_lines(monkeypatch):
    master, slave = pty.openpty()
    with open(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert not progress.on_terminal()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        assert progress.on_terminal()
    assert not progress.on_terminal()  # closed
    os.close(master)


@pytest.mark.long
def test_the_whole_sweep(tmp_path):
    """18 trainings and all figures, then again, which finds all done."""
    words = ("--max_step=2", f"--train_dir={tmp_path}/store", f"--figures={tmp_path}/my figures")
    output = run(*words).stdout
    assert "18 experiments" in output and output.endswith("run: all trained and drawn\n")
    for name in sweep.names(main.FLAGS):
        assert checkpoints.newest(f"{tmp_path}/store_{name}")[0] == 2 and f"{name}: trained, step 2" in output
    figures = set(os.listdir(tmp_path / "my figures"))
    assert {f"heat_map_{name}.png" for name in sweep.names(main.FLAGS)} | {
        f"{data}_ball_stddev_{model}.png" for data in ("one", "two") for model in sweep.SWEEPS["balls"]["model"]} | {
        f"{data}_ball_reconstruction_loss.png" for data in ("one", "two")} <= figures
    assert run(*words).stdout.count("is trained: step 2 of 2") == 18


def test_ctrl_c_in_the_middle_of_a_training_saves(tmp_path):
    running = start("--model=all_conv", "--batch_size=4", "--threads=1", "--save_every=10", "--report_every=10",
                    f"--train_dir={tmp_path}/s")
    for line in running.stdout:
        if "step 10 of" in line:
            running.send_signal(signal.SIGINT)
            break
    said, errors = running.communicate(timeout=HANG)
    assert running.returncode == 130 and not errors
    path, = tmp_path.iterdir()
    assert f"stopped by SIGINT at step {checkpoints.newest(path)[0]}, saved" in said.splitlines()[-1]


def test_ctrl_c_in_the_middle_of_drawing_leaves_nothing_half_written(tmp_path):
    running = subprocess.Popen([PYTHON, "-m", "analysis.draw", f"--figures={tmp_path}",
                                "--train_dir=checkpoints/pretrained/train_store"], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait(lambda: os.listdir(tmp_path), running)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=HANG)
    assert running.returncode == 130
    one_line(errors, ": stopped")
    assert not [file for file in os.listdir(tmp_path) if not file.endswith((".png", ".gif", ".json", ".jpg"))]
