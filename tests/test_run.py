"""./run as its user types it, with tiny runs."""
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import cv2
import pytest
from conftest import ROOT

import experiment
import plotting

TINY = ("--batch_size=4", "--max_step=2")


def sweep(*flags, code=0, script=ROOT / "run", **kwargs):
    env = {**os.environ, "PYTHON": sys.executable, **kwargs.pop("env", {})}
    done = subprocess.run([str(script), *map(str, flags)], capture_output=True, text=True, timeout=900, env=env,
                          **kwargs)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_shellcheck():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", "run", "tests/run", ".ci/run"], cwd=ROOT, check=True)


def test_list_names_the_18_and_does_nothing(tmp_path):
    commands = sweep("--list", f"--train_dir={tmp_path}/a b/s", "--lr=1").stdout.splitlines()
    assert not os.listdir(tmp_path)
    import main
    names = []
    for command in commands:
        python, script, *words = shlex.split(command)
        assert (python, script) == (sys.executable, "main.py")
        flags = main.parse(words)
        assert flags.lr == 1 and flags.train_dir == f"{tmp_path}/a b/s"
        names.append(experiment.name(flags))
    assert sorted(names) == sorted(plotting.expected())


@pytest.mark.parametrize("words, count", [
    (["--beta=4"], 6), (["--beta", "4"], 6), (["--model=conv"], 6), (["--num_balls=3", "--beta=1", "--beta=2"], 6),
    (["--model=conv", "--num_balls=1", "--beta=4"], 1)])
def test_lists_are_replaced(words, count):
    commands = sweep("--list", *words).stdout.splitlines()
    assert len(commands) == len(set(commands)) == count


@pytest.mark.parametrize("words, says", [
    (["--modle=conv"], "did you mean --model"), (["--model=cnn"], "fully_connected"), (["--num_balls=7"], "1 to 6"),
    (["--beta=x"], "--beta"), (["--max_step=-1"], "--max_step"), (["--beta"], "needs a value"),
    (["--task=18"], "from 0 to 17"), (["--task=x"], "from 0 to 17")])
def test_bad_flags_end_before_anything_starts(tmp_path, words, says):
    done = sweep(f"--train_dir={tmp_path}/s", *words, code=2)
    assert says in done.stderr and done.stderr.startswith("run: ") and done.stderr.count("\n") == 1
    assert not os.listdir(tmp_path)
    assert "JOBS" in sweep("--model=conv", *TINY, code=2, env={"JOBS": "two"}).stderr


def test_the_whole_sweep(tmp_path):
    """18 trainings and all pictures, from another folder; then again, which finds all done."""
    where = [f"--train_dir={tmp_path}/a b/store", f"--figures={tmp_path}/my figures"]
    done = sweep(*TINY, *where, cwd=tmp_path)
    assert "18 experiments" in done.stdout and "run: all trained and drawn" in done.stdout
    for name in plotting.expected():
        assert experiment.newest(f"{tmp_path}/a b/store_{name}")[0] == 2
        assert f"{name}: trained, step 2" in done.stdout
        assert os.path.getsize(f"{tmp_path}/a b/store_{name}/log.txt") > 100
    figures = set(os.listdir(tmp_path / "my figures"))
    assert figures == {f"heat_map_{name}.png" for name in plotting.expected()} | {
        f"{data}_ball_stddev_{model}.png" for data in ("one", "two") for model in plotting.MODEL_COLOURS} | {
        f"{data}_ball_reconstruction_loss.png" for data in ("one", "two")} | {
        f"real_balls_{data}_balls.jpg" for data in ("one", "two")} | {"stddev.json", "reconstruction_loss.json"} | {
        f"response_map_{name}.png" for name in plotting.expected()} | {  # and no animation: nothing is learnt
        f"{data}_ball_disentanglement.png" for data in ("one", "two")} | {"disentanglement.json"}
    for name in figures:
        if not name.endswith("json"):
            assert cv2.imread(str(tmp_path / "my figures" / name)).std() > 5, name

    began = time.monotonic()
    again = sweep(*TINY, *where, "--model=all_conv", "--num_balls=1", cwd=tmp_path)
    assert again.stdout.count("is trained: step 2 of 2") == 3 and time.monotonic() - began < 150


def test_one_failing_run_does_not_stop_the_others(tmp_path):
    foreign = tmp_path / "s_model_all_conv_num_balls_1_beta_0.1"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("mine")
    done = sweep(*TINY, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=all_conv", "--num_balls=1",
                 "--beta=0.1", "--beta=0.5", code=1, env={"JOBS": "1"})
    summary = done.stdout.split("run: failed:\n")[1]
    assert "--beta=0.1 failed, exit code 2: " in summary and str(foreign) in summary and "0.5" not in summary
    assert "heat_map_model_all_conv_num_balls_1_beta_0.5.png" in os.listdir(tmp_path / "f")
    assert os.listdir(foreign) == ["mine.txt"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_stopped_it_saves_all_and_starts_no_more(tmp_path, number):
    command = [str(ROOT / "run"), "--batch_size=4", f"--train_dir={tmp_path}/s", "--model=conv", "--num_balls=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**os.environ, "PYTHON": sys.executable, "JOBS": "2"}, start_new_session=True)
    end = time.monotonic() + 120
    rows = []
    while len(rows) < 2 or min(rows) < 3:
        rows = [len(path.read_text().splitlines()) for path in tmp_path.glob("*/losses.csv")]
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert output.count(f"stopped by {number.name} at step") == 2 and "run: stopped" in output
    assert len(list(tmp_path.glob("s_*"))) == 2 and len(list(tmp_path.glob("s_*/ckpt-*.index"))) == 2


def test_task_trains_one_experiment_and_draws_nothing(tmp_path):
    sweep(*TINY, "--task=4", f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f")
    assert os.listdir(tmp_path) == ["s_model_fully_connected_num_balls_2_beta_0.5"]


def test_spooled_copy_finds_the_project(tmp_path):
    """Slurm runs a copy of the script from a folder of its own."""
    shutil.copy(ROOT / "run", tmp_path / "slurm_script")
    done = sweep("--list", script=tmp_path / "slurm_script", env={"SLURM_SUBMIT_DIR": str(ROOT)})
    assert done.stdout.count("main.py") == 18
    done = sweep("--list", script=tmp_path / "slurm_script", env={"SLURM_SUBMIT_DIR": str(tmp_path)}, code=2)
    assert "sbatch in the project's folder" in done.stderr
