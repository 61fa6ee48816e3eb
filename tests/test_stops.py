"""How a sweep, a training and a drawing end early: signals, a screen that is gone, kill -9. With trainings that are
made up, and real."""
import os
import re
import signal
import subprocess

import pytest
from conftest import HANG, ROOT, losses
from made_up import PYTHON, begin, fake, run, shown, told, wait, window

from training import checkpoints


def numbered(folder):
    """Files that trainings leave there, each by the number of its process."""
    return [file for file in os.listdir(folder) if file.isdecimal()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_handed_on_and_no_more_are_started(tmp_path, number):
    """One failed before; one fails to save when it is stopped; the third ends as asked. With --restart the same command
    would begin again."""
    name = number.name[3:]
    running = begin(fake(tmp_path, f'''touch {tmp_path}/$$
        case $* in
            *--beta=0.1*) echo 'bad luck' >&2; exit 1 ;;
            *--beta=0.5*) trap "echo 'no space left' >&2; exit 1" {name} ;;
            *) trap "exit {128 + number}" {name} ;;
        esac
        touch {tmp_path}/$$0
        while :; do sleep 0.05; done'''), f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=conv",
        "--restart")
    wait(lambda: len(numbered(tmp_path)) == 5, running)
    running.send_signal(number)
    out, _ = running.communicate(timeout=HANG)
    assert running.returncode == 128 + number and len(numbered(tmp_path)) == 5
    assert told(out) == ["model_conv_num_balls_1_beta_0.1 failed, exit code 1: bad luck",
                         "model_conv_num_balls_1_beta_0.5 failed, exit code 1: no space left"]
    assert "run: 0 of 6 trained" in out and out.endswith("run: stopped; the same command without --restart resumes\n")


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
    assert len(numbered(tmp_path)) == 6 and not told(running.stderr.read())


# Real trainings

@pytest.mark.parametrize("number, says", [(signal.SIGINT, "create_all.py: stopped\n"), (signal.SIGTERM, "")])
def test_stopped_in_the_middle_of_drawing_nothing_is_left_half_written(tmp_path, number, says):
    running = subprocess.Popen([PYTHON, "create_all.py", f"--figures={tmp_path}",
                                "--train_dir=checkpoints/pretrained/train_store"], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait(lambda: os.listdir(tmp_path), running)
    running.send_signal(number)
    _, errors = running.communicate(timeout=HANG)
    assert running.returncode == 128 + number and errors == says
    assert not [file for file in os.listdir(tmp_path) if not file.endswith((".png", ".gif", ".json", ".jpg"))]


def test_a_task_of_an_array_that_is_requeued_saves_and_resumes(tmp_path):
    """As Slurm does it: SIGTERM, then the same command again, --restart too; and scancel."""
    path, stopped_at = tmp_path / "s_model_conv_num_balls_1_beta_0.1_batch_size_4", 0
    for restarts in "0", "1":
        task = subprocess.Popen(
            [ROOT / "run", f"--train_dir={tmp_path}/s", "--restart", "--batch_size=4", "--save_every=10"], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={
                **os.environ, "PYTHON": PYTHON, "SLURM_ARRAY_TASK_ID": "6", "SLURM_RESTART_COUNT": restarts})
        wait(lambda before=stopped_at: path.exists() and (checkpoints.newest(path)[0] or 0) > before, task)
        task.terminate()
        said, _ = task.communicate(timeout=HANG)
        stopped_at = checkpoints.newest(path)[0]
        assert task.returncode == 128 + signal.SIGTERM and f"stopped by SIGTERM at step {stopped_at}, saved" in said
    steps = [row[0] for row in losses(path)]
    assert steps == sorted(set(steps)) and steps[-1] == stopped_at
    assert (path / "log.txt").read_text().count("resumed from step") == 1


def test_a_sweep_whose_window_is_closed_which_is_killed_and_resumed(tmp_path):
    """Two trainings, as their user has them: bars, SIGHUP, kill -9, the same command again. Both are saved each time,
    and all is drawn at the end."""
    store = tmp_path / "a [b]*?" / "{}" / "日本 it's"
    words = ("--model=all_conv", "--num_balls=1", "--beta=0.5", "--beta=1", "--batch_size=16", f"--train_dir={store}",
             f"--figures={tmp_path}/f")
    env = {**os.environ, "PYTHON": PYTHON, "JOBS": "2"}
    runs = [f"{store}_model_all_conv_num_balls_1_beta_{beta}_batch_size_16" for beta in ("0.5", "1.0")]

    def saved():
        return [checkpoints.newest(path)[0] or 0 for path in runs]

    def all_stopped_by(name):
        return all(f"stopped by {name}" in open(f"{path}/log.txt").read() for path in runs)

    ours, its = window(80)
    sweep = subprocess.Popen(["setsid", "--ctty", ROOT / "run", *words], env=env, stdin=its, stdout=its, stderr=its)
    os.close(its)
    screen = []

    def all_there():
        screen.append(shown(ours))
        return all(re.search(part, "".join(screen)) for part in (
            "run: 2 experiments, 2 at a time, on 1 of", r"0 of 2 trained, \d+ h \d+ min left", *(
                rf"all_conv, one ball, beta {beta} +\d+%\|.+\| [\d:]+ left, +[\d.]+step/s, [\d.]+\+[\d.]+"
                for beta in ("0.5", "1"))))

    wait(all_there, sweep)
    assert "parameters, in" not in "".join(screen)  # beside bars, warnings and errors alone
    os.close(ours)
    sweep.wait(HANG)
    wait(lambda: all_stopped_by("SIGHUP"))
    stopped_at = saved()
    assert min(stopped_at) > 0

    sweep = subprocess.Popen([ROOT / "run", *words], env=env, stdout=subprocess.PIPE, text=True)
    wait(lambda: all(losses(path)[-1][0] > step for path, step in zip(runs, stopped_at, strict=True)), sweep)
    sweep.kill()
    sweep.communicate()
    wait(lambda: all_stopped_by("SIGTERM"))
    killed_at = saved()
    assert all(after > before for after, before in zip(killed_at, stopped_at, strict=True))

    last = max(killed_at) + 20
    assert run(*words, f"--max_step={last}").stdout.endswith("run: all trained and drawn\n")
    for path in runs:
        assert open(f"{path}/log.txt").read().count("resumed from step") == 2
        steps = [row[0] for row in losses(path)]
        assert checkpoints.newest(path)[0] == last == steps[-1] and steps == sorted(set(steps))
    assert len([file for file in os.listdir(tmp_path / "f") if file.startswith("heat_map_")]) == 2
