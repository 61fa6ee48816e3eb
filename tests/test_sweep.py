"""./run and training/sweep.py: in this process, with a Python that only tells what it would do, wherever a training is
not the point; as their user types them where a shell or a signal is."""
import fcntl
import importlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from types import SimpleNamespace

import pytest
from conftest import HANG, ROOT, SMALL, call, losses, one_line

import main
from training import checkpoints, device, flags, jobs, progress, sweep

PYTHON = sys.executable  # which tests set to a made-up one
MODELS = "fully_connected", "conv", "all_conv"
NAMES = [f"model_{model}_num_balls_{balls}_beta_{beta}" for model in MODELS for balls in (1, 2)
         for beta in ("0.1", "0.5", "1.0")]


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a sweep changes of its process, changed back; and none of the caller's Slurm."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.setattr(jobs, "PAUSE", 0.01)
    for name in "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_CPUS_PER_TASK":
        monkeypatch.delenv(name, raising=False)


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text)
    path.chmod(0o755)
    return path


@pytest.fixture
def python(tmp_path, monkeypatch):
    """A function that makes the Python that the sweep starts a bash script: main.py's is the text, all else comes to
    nothing."""
    def make(text, otherwise=""):
        path = executable(tmp_path / "python", f"if [[ $1 == main.py ]]; then {text}\nelse :; {otherwise}\nfi")
        monkeypatch.setattr(sys, "executable", str(path))
        return path
    return make


def listed(capsys, *words):
    """The commands that --list prints, each without Python and script."""
    call(sweep.run, "--list", *words)
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert all(command[:2] == [sys.executable, "main.py"] for command in commands)
    return [command[2:] for command in commands]


def names_of(commands):
    return [flags.name(flags.parse(None, main.FLAGS, words), main.FLAGS) for words in commands]


# Which experiments

def test_the_sweep_is_2016s_18(capsys, tmp_path):
    assert sorted(sweep.names()) == sorted(NAMES)
    commands = listed(capsys, f"--train_dir={tmp_path}/a b/{{}}'s", "--save_every=7")
    assert sorted(names_of(commands)) == sorted(NAMES)
    for words in commands:
        parsed = flags.parse(None, main.FLAGS, words)
        assert parsed.save_every == 7 and parsed.train_dir == f"{tmp_path}/a b/{{}}'s"
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("words, expected", [
    (["--beta=4"], [f"model_{model}_num_balls_{n}_beta_4.0" for model in MODELS for n in (1, 2)]),
    (["--beta", "4", "--model", "conv"], ["model_conv_num_balls_1_beta_4.0", "model_conv_num_balls_2_beta_4.0"]),
    (["--model=conv", "--num_balls=3", "--beta=1", "--beta=2", "--beta=1.0", "--beta=1e0"],
     ["model_conv_num_balls_3_beta_1.0", "model_conv_num_balls_3_beta_2.0"]),
    (["--model=conv", "--num_balls=1", "--beta=1", "--seed=1", "--seed=2", "--seed=01"],
     ["model_conv_num_balls_1_beta_1.0_seed_1", "model_conv_num_balls_1_beta_1.0_seed_2"]),
    (["--beta_start=60", "--lr=0.0001"], [f"{name}_beta_start_60.0_lr_0.0001" for name in NAMES]),
    (["--model=conv", "--num_balls=1", "--beta=1", "--friction", "--friction=false"],
     ["model_conv_num_balls_1_beta_1.0_friction", "model_conv_num_balls_1_beta_1.0"]),
    (["--lr=0.001", "--num_balls=1", "--beta=1"],  # the default of two of the models
     ["model_fully_connected_num_balls_1_beta_1.0_lr_0.001", "model_conv_num_balls_1_beta_1.0",
      "model_all_conv_num_balls_1_beta_1.0"])])
def test_any_flag_of_the_experiment_may_be_a_list(capsys, words, expected):
    assert sorted(names_of(listed(capsys, *words))) == sorted(expected)


def test_a_model_more_is_swept(monkeypatch):
    try:
        with monkeypatch.context() as patch:
            patch.setitem(main.MODELS, "tiny", SMALL)
            importlib.reload(main)
            importlib.reload(sweep)
            assert sorted(set(sweep.names()) - set(NAMES)) == [
                f"model_tiny_num_balls_{n}_beta_{beta}" for n in (1, 2) for beta in ("0.1", "0.5", "1.0")]
    finally:
        importlib.reload(main)
        importlib.reload(sweep)


@pytest.mark.parametrize("words, says", [
    (["--modle=conv"], "did you mean --model"), (["--model=cnn"], "fully_connected"), (["--num_balls=7"], "1 to 6"),
    (["--beta=x"], "--beta: 'x'"), (["--max_step=-1"], "--max_step: '-1'"), (["--beta"], "--beta: expected"),
    (["--beta=0", "--beta_start=60"], "never reaches 0"), (["--figures="], "--figures: '' is not a path"),
    (["--train_dir= "], "--train_dir"), (["extra"], "extra"),
    (["--init_from=/a/x", "--init_from=/b/x"], "have one name"), (["--figures=/dev/null"], "/dev/null cannot be")])
def test_bad_flags_end_before_anything_starts(tmp_path, python, capsys, words, says):
    python(f"touch {tmp_path}/started")
    call(sweep.run, f"--train_dir={tmp_path}/s", "--model=conv", *words, code=2)
    error = capsys.readouterr().err
    one_line(error, says)
    assert error.startswith("run: ") and os.listdir(tmp_path) == ["python"]


@pytest.fixture
def task(monkeypatch):
    """A function: words -> the command that this process would become, and what it would be told."""
    def run(*words):
        monkeypatch.setattr(os, "execv", lambda python, command: sys.exit(shlex.join(command)))
        with pytest.raises(SystemExit) as ended:
            sweep.run(list(words))
        return ended.value.code
    return run


@pytest.mark.parametrize("number, expected", [
    ("0", 0), ("010", 10), ("08", 8), ("17", 17), (" 3 ", 3), ("18", "18 is not a number from 0 to 17"),
    ("", "'' is not a whole number from 0 on"), ("-1", "'-1' is not"), ("x", "'x' is not"), ("1e1", "'1e1' is not")])
def test_task(task, monkeypatch, capsys, number, expected):
    """By --task and by Slurm: a decimal number, zeros before it or not; an unset variable is no task."""
    for how in "flag", "Slurm":
        if how == "Slurm":
            monkeypatch.setenv("SLURM_ARRAY_TASK_ID", number)
        found = task(*([f"--task={number}"] if how == "flag" else []))
        if isinstance(expected, int):
            name, = names_of([shlex.split(found)[2:]])
            assert name == sweep.names()[expected]
        else:
            assert found == 2
            one_line(capsys.readouterr().err, "run: --task: " if how == "flag" else "SLURM_ARRAY_TASK_ID: ", expected)


def test_a_task_has_all_cores_and_a_requeued_one_does_not_restart(task, monkeypatch):
    cores = len(os.sched_getaffinity(0))
    assert f"--threads={cores}" in task("--task=3")
    assert "--threads=2" in task("--task=3", "--threads=2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "5")
    found = task("--restart", "--lr=1")
    assert "--restart" in found and "--lr=1.0" in found and "--threads=5" in found
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert task("--restart", "--lr=1") == found.replace(" --restart", "")


# How many at a time, and on what

@pytest.mark.parametrize("count, gpus, jobs_wanted, expected", [
    (18, 0, "", (8, 1)), (3, 0, "", (3, 2)), (1, 0, "", (1, 8)), (18, 0, "2", (2, 4)), (18, 0, "40", (18, 1)),
    (18, 0, " 02 ", (2, 4)), (18, 2, "", (6, 1)), (2, 4, "", (2, 4)), (18, 1, "5", (5, 1))])
def test_jobs_and_threads(monkeypatch, count, gpus, jobs_wanted, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("JOBS", jobs_wanted)
    assert sweep.jobs_and_threads(count, ["0"] * gpus) == expected


@pytest.mark.parametrize("word", ["two", "0", "-1", "1.5", "1e1"])
def test_jobs_that_are_no_number(monkeypatch, capsys, tmp_path, word):
    monkeypatch.setenv("JOBS", word)
    call(sweep.run, f"--train_dir={tmp_path}/s", code=2)
    one_line(capsys.readouterr().err, "run: JOBS: ", word)


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """A machine with four cards, of which nvidia-smi alone tells."""
    executable(tmp_path / "bin" / "nvidia-smi", 'for i in 0 1 2 3; do echo "GPU $i: made up (UUID: GPU-$i)"; done')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")


@pytest.mark.parametrize("visible, gpus", [
    (None, "0123"), ("2", "2"), ("1,3", "13"), (" 3 , 1", "13"), ("0,0", "0"), ("0,-1", "0"), ("0,7", "0"),
    ("GPU-1,GPU-3", ["GPU-1", "GPU-3"]), ("", ""), ("-1", ""), (" -1", ""), ("NoDevFiles", ""), ("7", ""), (",", "")])
def test_gpus_are_shared_out(tmp_path, cards, python, monkeypatch, capsys, visible, gpus):
    """Three trainings a card, or, without any, one a core with threads and the variable as it was."""
    python('echo "on=$CUDA_VISIBLE_DEVICES $*"')
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    call(sweep.run, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f")
    output = capsys.readouterr().out.splitlines()
    told = [line for line in output if line.startswith("on=")]
    assert len(told) == 18
    assert {line.split(" --")[0] for line in told} == {f"on={gpu} main.py" for gpu in gpus or [visible]}
    assert all(("--threads" in line) == (not gpus) for line in told)
    at_a_time, where = (3 * len(gpus), f"{len(gpus)} GPU") if gpus else (len(os.sched_getaffinity(0)), "")
    assert output[0].startswith(f"run: 18 experiments, {at_a_time} at a time, on {where}")


def test_gpus_that_tensorflow_does_not_find(tmp_path, cards, python, monkeypatch, capfd):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    device.load_tensorflow.__wrapped__()
    one_line(capfd.readouterr().err, "TensorFlow finds no GPU", "CUDA_VISIBLE_DEVICES=")
    for said, code in (2, 2), (134, 134), ('$(kill -6 $$)', 1):
        python(f"touch {tmp_path}/started", f"exit {said}")
        call(sweep.run, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", code=code)
    assert not {"started", "f"} & set(os.listdir(tmp_path))


# What is said at the end

def told(output):
    """The lines after "run: failed:"."""
    return [line for line in output.partition("run: failed:\n")[2].splitlines() if not line.startswith("run: ")]


def test_failures_do_not_stop_the_others_and_are_told_at_the_end(tmp_path, python, monkeypatch, capsys):
    monkeypatch.setenv("JOBS", "2")
    python(f'''echo "$*" >> {tmp_path}/started
        case $* in
            *--beta=0.1*) echo 'what a pity' >&2; echo >&2; exit 3 ;;
            *--beta=0.2*) kill -9 $$ ;;
            *--beta=0.3*) kill -SEGV $$ ;;
            *--beta=0.4*) echo 'a warning' >&2 ;;
            *--beta=0.5*) kill -TERM $$ ;;
            *--beta=0.6*) exit 5 ;;
        esac''', f'echo "$*" >> {tmp_path}/drawn; exit 1')
    words = [f"--beta=0.{i}" for i in range(1, 7)]
    call(sweep.run, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=conv", "--num_balls=1", *words,
         code=1)
    out, err = capsys.readouterr()
    name = "model_conv_num_balls_1_beta_0."
    assert told(out) == [
        f"{name}1 failed, exit code 3: what a pity",
        f"{name}2 failed, exit code -9: killed, perhaps for want of memory",
        f"{name}3 failed, exit code -11: Segmentation fault", f"{name}5 failed, exit code -15: Terminated",
        f"{name}6 failed, exit code 5", "drawing failed, exit code 1"]
    assert "what a pity\n" in err and "a warning\n" in err and "all trained" not in out
    assert "run: 1 of 6 trained\n" in out
    assert len((tmp_path / "started").read_text().splitlines()) == 6
    assert (tmp_path / "drawn").read_text() == f"-m analysis.draw --train_dir={tmp_path}/s --figures={tmp_path}/f\n"


def test_a_training_that_cannot_be_started(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    monkeypatch.setattr(sweep, "draw", lambda flags, stopped: [])
    call(sweep.run, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=conv", "--num_balls=1", code=1)
    assert len(told(capsys.readouterr().out)) == 3


def training(model, step, seconds, code=None, max_step=1000):
    found = jobs.Training(SimpleNamespace(model=model, max_step=max_step), model, None, None)
    found.step, found.seconds, found.code = step, seconds, code
    return found


def test_time_left():
    """conv takes 3 s a step, 500 and 1,000 steps are left, two at a time; of all_conv nothing is known yet."""
    trainings = [training("conv", 1000, 3000, code=0), training("conv", 500, 1500), training("conv", 0, 0)]
    assert jobs.progress_of(trainings, 2) == "1 of 3 trained, 0 h 50 min left"
    assert jobs.progress_of(trainings, 1) == "1 of 3 trained, 1 h 15 min left"
    assert jobs.progress_of([*trainings, training("all_conv", 0, 0)], 2) == (
        "1 of 4 trained, less than 1 h 3 min left")
    assert jobs.progress_of([training("conv", 0, 0), training("conv", 0, 0, code=1)], 2) == "0 of 2 trained"
    assert jobs.progress_of([training("conv", 9, 9, code=0, max_step=9)], 2) == "1 of 1 trained"


def test_a_line_whenever_a_training_has_ended_where_there_is_no_terminal(tmp_path, python, monkeypatch, capsys):
    monkeypatch.setenv("JOBS", "1")
    python("sleep 0.2")
    call(sweep.run, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=conv", "--num_balls=1")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "run: 1 of 3 trained", "run: 2 of 3 trained", "run: 3 of 3 trained", "run: all trained and drawn"]


# Signals: the sweep is a process of its own, its trainings are made up

def begin(python, *words, **kwargs):
    """A sweep whose trainings are those of a made-up Python, started."""
    code = f"""import sys
from training import process, sweep
sys.executable, sys.argv[0] = {str(python)!r}, "run"
sys.exit(process.run(sweep.run))"""
    return subprocess.Popen([PYTHON, "-c", code, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "JOBS": "2"}, start_new_session=True, **kwargs)


def wait(condition, running=None):
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end and (running is None or running.poll() is None)
        time.sleep(0.05)


TRAINS = '''
for name in HUP INT USR1 TERM; do trap "echo $name >> {0}/got; exit $((128 + $(kill -l $name)))" $name; done
echo $$ >> {0}/pids
while :; do sleep 0.05; done'''


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_is_handed_on_and_no_more_are_started(tmp_path, python, number):
    running = begin(python(TRAINS.format(tmp_path)), f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f")
    wait(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2, running)
    running.send_signal(number)
    out, err = running.communicate(timeout=HANG)
    assert running.returncode == 128 + number and not err
    assert (tmp_path / "got").read_text().split() == [number.name[3:]] * 2
    assert len((tmp_path / "pids").read_text().split()) == 2
    assert out.endswith("run: stopped; the same command resumes\n") and "failed" not in out
    assert "run: 0 of 18 trained" in out


def test_under_nohup_a_hangup_is_nothing(tmp_path, python):
    running = begin(python(f"touch {tmp_path}/$$; sleep 1"), f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f",
                    "--model=conv", "--num_balls=1", "--beta=1",
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait(lambda: [file for file in os.listdir(tmp_path) if file.isdecimal()], running)
    running.send_signal(signal.SIGHUP)
    out, _ = running.communicate(timeout=HANG)
    assert running.returncode == 0 and out.endswith("run: all trained and drawn\n")


def test_what_fails_before_and_while_it_is_stopped_is_told(tmp_path, python):
    """One failed before; one fails to save when it is stopped; the third ends as asked. With --restart the same command
    would begin again."""
    running = begin(python(f'''touch {tmp_path}/$$
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


def test_stopped_while_drawing(tmp_path, python):
    fake = python("[[ $* != *--beta=1.0* ]] || { echo 'bad luck' >&2; exit 1; }", "echo drawing; exec sleep 1000")
    running = begin(fake, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", "--model=conv", "--num_balls=1")
    while running.stdout.readline() != "drawing\n":
        pass
    running.terminate()
    out, _ = running.communicate(timeout=HANG)
    assert running.returncode == 128 + signal.SIGTERM
    assert told(out) == ["model_conv_num_balls_1_beta_1.0 failed, exit code 1: bad luck"] and "run: stopped" in out


def test_a_screen_that_is_gone_ends_nothing(tmp_path, python):
    """As of `./run | head -1`: the trainings go on, and each writes more than a pipe holds."""
    fake = python(f"head -c 200000 /dev/zero | tr '\\0' x | fold -w 1000; touch {tmp_path}/$$")
    running = begin(fake, "--model=conv", f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f")
    running.stdout.readline()
    running.stdout.close()
    running.wait(HANG)
    assert len([file for file in os.listdir(tmp_path) if file.isdecimal()]) == 6 and not told(running.stderr.read())


# ./run, as its user types it

def run(*words, code=0, script=ROOT / "run", env=None, shell=(), **kwargs):
    env = {**os.environ, "PYTHON": PYTHON, **(env or {})}
    done = subprocess.run([*shell, script, *words], capture_output=True, text=True, timeout=HANG,
                          env={key: value for key, value in env.items() if value is not None}, **kwargs)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_shellcheck():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed: apt install shellcheck")
    subprocess.run(["shellcheck", "run", "tests/run", ".ci/run"], cwd=ROOT, check=True)


@pytest.mark.parametrize("how", ["a symlink", "a spooled copy", "sh", "CDPATH", "no HOME", "a safe path"])
def test_run_finds_its_folder_and_needs_nothing_of_the_environment(tmp_path, how):
    kwargs = {"cwd": tmp_path}
    if how == "a symlink":
        (tmp_path / "bin").mkdir()
        os.symlink(ROOT / "run", tmp_path / "bin" / "train")
        kwargs["script"] = tmp_path / "bin" / "train"
    elif how == "a spooled copy":  # Slurm runs a copy of the script from a folder of its own
        shutil.copy(ROOT / "run", tmp_path / "slurm_script")
        kwargs.update(script=tmp_path / "slurm_script", env={"SLURM_SUBMIT_DIR": str(ROOT)})
        done = run("--list", **{**kwargs, "env": {"SLURM_SUBMIT_DIR": str(tmp_path)}}, code=2)
        one_line(done.stderr, "call sbatch in the project's folder")
    elif how == "sh":
        kwargs.update(shell=["sh"], script="run", cwd=ROOT)
    elif how == "CDPATH":
        (tmp_path / "elsewhere" / ROOT.name).mkdir(parents=True)
        kwargs.update(env={"CDPATH": f"{tmp_path}/elsewhere"}, cwd=ROOT.parent, script=f"{ROOT.name}/run")
    elif how == "no HOME":
        kwargs["env"] = {"HOME": None}
    else:
        kwargs["env"] = {"PYTHONSAFEPATH": "1"}
    done = run("--list", "--beta=4", **kwargs)
    assert done.stdout.count("main.py") == 6 and not done.stderr


@pytest.mark.parametrize("closed, words, code", [(">&-", "--list", 0), ("2>&-", "--list", 0), ("2>&-", "--beta=x", 2),
                                                 ("<&- >&- 2>&-", "--task=99", 2)])
def test_closed_streams(closed, words, code):
    run(code=code, shell=["bash", "-c", f'"$0" {words} {closed}'])


def test_help_needs_no_environment():
    done = run("--help", env={"PYTHON": None, "PATH": "/usr/local/bin:/usr/bin:/bin"}, cwd="/")
    assert done.stdout.rstrip("\n") == sweep.__doc__.rstrip("\n")


def test_a_clone_with_windows_line_ends(tmp_path):
    """git is told to give every text file \\r\\n; .gitattributes does not let it."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    git = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", "-c", "safe.directory=*"]
    subprocess.run([*git, "clone", "--quiet", "--depth=1", f"file://{ROOT}", tmp_path / "clone"], check=True)
    for file in "run", "main.py", "tests/run":
        assert b"\r" not in (tmp_path / "clone" / file).read_bytes()
    found = subprocess.run([*git, "status", "--porcelain"], cwd=tmp_path / "clone", capture_output=True, check=True)
    assert not found.stdout
    kept = next((tmp_path / "clone" / "checkpoints" / "pretrained").glob("*_conv_*_beta_0.1"))
    assert checkpoints.newest(str(kept))[0] == 100_000  # whole, by its SHA-256
    executable(tmp_path / "bin" / "python3", 'echo "made up: $*"; exit 1')
    done = subprocess.run([tmp_path / "clone" / "run", "--setup"], capture_output=True, text=True,
                          env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    assert done.returncode == 1 and "apt install python3-venv" in done.stderr


def test_set_up_once_and_cuda_when_a_gpu_is_first_there(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    for file in "run", "main.py", "requirements.txt":
        shutil.copy(ROOT / file, project)
    executable(tmp_path / "bin" / "python3", "exit 1")
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHON", "CUDA_VISIBLE_DEVICES")}
    env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"

    def set_up(**more):
        done = subprocess.run([project / "run", "--setup"], capture_output=True, text=True, env={**env, **more})
        return done.returncode, done.stdout, done.stderr

    code, _, said = set_up()
    assert code == 1 and "apt install python3-venv" in said
    executable(tmp_path / "new_python", 'echo "installs: $*" >&2')
    executable(tmp_path / "bin" / "python3", f"mkdir -p .venv/bin; cp {tmp_path}/new_python .venv/bin/python")
    code, out, said = set_up()
    assert (code, out) == (0, ".venv/bin/python\n") and "requirements.txt" in said and "cuda" not in said
    nothing = 0, ".venv/bin/python\n", ""
    assert set_up() == nothing
    executable(tmp_path / "bin" / "nvidia-smi", "echo 'GPU 0: made up'")
    for none in "", "-1", " -1", "NoDevFiles":
        assert set_up(CUDA_VISIBLE_DEVICES=none) == nothing
    assert "tensorflow[and-cuda]" in set_up()[2]
    assert set_up() == set_up(CUDA_VISIBLE_DEVICES="0") == nothing


def test_python_without_the_packages(tmp_path):
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    done = run("--max_step=2", f"--train_dir={tmp_path}/s", code=2, env={"PYTHON": f"{tmp_path}/venv/bin/python"})
    one_line(done.stderr, "run: PYTHON lacks tensorflow", "requirements.txt")
    one_line(run(code=2, env={"PYTHON": f"{tmp_path}/none"}).stderr, f"there is no '{tmp_path}/none'")


# Real trainings

def alive(pid):
    """Whether a process runs: one that has ended stays until its parent asks for it, which not every system's does."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Terminal:
    """A terminal of 80 columns on which a command runs; what it shows, as lines."""

    def __init__(self, command, env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
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
                assert len(token) == 1 and column < 80, f"{token!r} after {lines[row]!r}"
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
    bars = [f"all_conv 2 β{beta}" for beta in ("0.5", "1")]

    def shown():
        return all(any(line.startswith(bar) and "step/s" in line and "?" not in line for line in terminal.lines())
                   for bar in bars)

    wait(shown, terminal.process)
    first, *others = terminal.lines()
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
    done = run(*words, f"--max_step={last + 20}", env=env)
    assert done.stdout.endswith("run: all trained and drawn\n") and saved() == [last + 20] * 2
    for path in runs:
        assert open(f"{path}/log.txt").read().count("resumed from step") == 2
        steps = [row[0] for row in losses(path)]
        assert steps == sorted(set(steps)) and steps[-1] == last + 20
    with open(tmp_path / "f" / "stddev.json") as file:
        assert len(json.load(file)) == 2


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
    """18 trainings and all figures, from another folder; then again, which finds all done."""
    words = ("--max_step=2", f"--train_dir={tmp_path}/store", f"--figures={tmp_path}/my figures")
    done = run(*words, cwd=tmp_path)
    assert "18 experiments" in done.stdout and done.stdout.endswith("run: all trained and drawn\n")
    for name in NAMES:
        assert checkpoints.newest(f"{tmp_path}/store_{name}")[0] == 2 and f"{name}: trained, step 2" in done.stdout
    figures = set(os.listdir(tmp_path / "my figures"))
    assert {f"heat_map_{name}.png" for name in NAMES} | {
        f"{data}_ball_stddev_{model}.png" for data in ("one", "two") for model in MODELS} | {
        f"{data}_ball_reconstruction_loss.png" for data in ("one", "two")} | {
        "stddev.json", "reconstruction_loss.json", "disentanglement.json"} <= figures
    again = run(*words, cwd=tmp_path)
    assert again.stdout.count("is trained: step 2 of 2") == 18
