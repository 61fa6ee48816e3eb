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
    command = ["env", "--default-signal=INT",  # which a shell ignores in what it starts in the background
               str(ROOT / "run"), "--batch_size=4", f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f",
               "--model=conv", "--num_balls=1"]
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


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text)
    path.chmod(0o755)


@pytest.mark.parametrize("visible, gpus, jobs", [
    (None, {"0", "1", "2", "3"}, 12), ("2", {"2"}, 3), ("1,3", {"1", "3"}, 6), ("", {""}, None), ("-1", {"-1"}, None)])
def test_gpus_are_shared_out(tmp_path, visible, gpus, jobs):
    """With an nvidia-smi and a Python that only tell what they would do."""
    executable(tmp_path / "bin" / "nvidia-smi", "for i in 0 1 2 3; do echo \"GPU $i: made up\"; done")
    executable(tmp_path / "python", '[[ $1 != main.py ]] || echo "on=$CUDA_VISIBLE_DEVICES $*"; sleep 0.2')
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PYTHON": str(tmp_path / "python")}
    if visible is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        env["CUDA_VISIBLE_DEVICES"] = visible
    try:
        done = sweep(f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", env=env)
    finally:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    told = [line for line in done.stdout.splitlines() if line.startswith("on=")]
    assert len(told) == 18 and {line.split()[0] for line in told} == {f"on={gpu}" for gpu in gpus}
    assert all(("--threads" in line) == (jobs is None) for line in told)
    assert f"{jobs or len(os.sched_getaffinity(0))} at a time" in done.stdout


def test_gpus_that_tensorflow_does_not_find(tmp_path):
    executable(tmp_path / "bin" / "nvidia-smi", "echo 'GPU 0: made up'")
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "0"}
    done = sweep(*TINY, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", env=env, code=2)
    assert "TensorFlow finds no GPU" in done.stderr and done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["bin"]
    done = sweep(*TINY, f"--train_dir={tmp_path}/s", env={**env, "TF_CPP_MIN_LOG_LEVEL": "0"}, code=2)
    assert done.stderr.count("\n") > 1


def test_set_up_once_and_cuda_when_a_gpu_is_first_there(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    for file in "run", "main.py", "requirements.txt":
        shutil.copy(ROOT / file, project)
    executable(tmp_path / "bin" / "python3", "exit 1")
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHON", "CUDA_VISIBLE_DEVICES")}
    env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"

    def set_up():
        done = subprocess.run([project / "run", "--setup"], capture_output=True, text=True, env=env)
        return done.returncode, done.stdout, done.stderr

    code, _, said = set_up()
    assert code == 1 and "apt install python3-venv" in said
    executable(tmp_path / "new_python", 'echo "installs: $*" >&2')
    executable(tmp_path / "bin" / "python3", f"mkdir -p .venv/bin; cp {tmp_path}/new_python .venv/bin/python")
    code, out, said = set_up()
    assert (code, out) == (0, ".venv/bin/python\n") and "requirements.txt" in said and "cuda" not in said
    assert set_up() == (0, ".venv/bin/python\n", "")
    executable(tmp_path / "bin" / "nvidia-smi", "echo 'GPU 0: made up'")
    assert "tensorflow[and-cuda]" in set_up()[2]
    assert set_up() == (0, ".venv/bin/python\n", "")


def test_python_without_the_packages(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    done = sweep("--max_step=2", f"--train_dir={tmp_path}/s", code=2, env={"PYTHON": f"{tmp_path}/venv/bin/python"})
    assert "lacks tensorflow" in done.stderr and "requirements.txt" in done.stderr and done.stderr.count("\n") == 1


def test_figures_that_cannot_be_written_are_found_before_training(tmp_path):
    done = sweep(*TINY, f"--train_dir={tmp_path}/s", "--figures=/dev/null", code=2)
    assert done.stderr == "run: --figures: /dev/null cannot be written\n" and not os.listdir(tmp_path)


def test_stopped_while_drawing(tmp_path):
    executable(tmp_path / "python", '[[ $1 != create_cool* ]] || { echo "drawing" >&2; exec sleep 60; }')
    process = subprocess.Popen([ROOT / "run", f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--restart"],
                               env={**os.environ, "PYTHON": str(tmp_path / "python")}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "drawing\n"
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM and "without --restart goes on" in output


def test_requeued_task_does_not_restart(tmp_path):
    executable(tmp_path / "python", '[[ $1 != main.py ]] || echo "$*"')
    env = {"PYTHON": str(tmp_path / "python"), "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "5"}
    flags = f"--train_dir={tmp_path}/s", "--restart", "--lr=1"
    assert "--restart" in sweep(*flags, env=env).stdout
    again = sweep(*flags, env={**env, "SLURM_RESTART_COUNT": "1"}).stdout
    assert "--restart" not in again and "--lr=1" in again and "--threads=5" in again
