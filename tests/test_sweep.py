"""training/sweep.py and training/jobs.py, in this process, with a Python that only tells what it would do."""
import os
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT, call, one_line
from made_up import executable, fake, told

import main
from training import device, flags, jobs, sweep

NAMES = [f"model_{model}_num_balls_{balls}_beta_{beta}" for model in ("fully_connected", "conv", "all_conv")
         for balls in (1, 2) for beta in ("0.1", "0.5", "1.0")]


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a sweep changes of its process, changed back; and none of the caller's Slurm."""
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.setattr(jobs, "PAUSE", 0.01)
    for name in "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_CPUS_PER_TASK":
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def python(tmp_path, monkeypatch):
    """A function that makes the Python that the sweep starts a made-up one."""
    def make(*text):
        monkeypatch.setattr(sys, "executable", str(fake(tmp_path, *text)))
    return make


def run(words):
    return sweep.main(main.FLAGS, words)


def swept(tmp_path, *words, code=0):
    """A sweep with the folders s and f."""
    call(run, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}/f", *words, code=code)


def listed(capsys, *words):
    """The commands that --list prints, each without Python and script."""
    call(run, "--list", *words)
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert all(command[:2] == [sys.executable, str(ROOT / "main.py")] for command in commands)
    return [command[2:] for command in commands]


# Which experiments

@pytest.mark.parametrize("words, expected", [
    ([], NAMES),
    (["--data_set=shapes"], [f"model_{model}_data_set_shapes_beta_{beta}" for model in ("paper", "fully_connected")
                             for beta in ("4.0", "1.0", "0.0")]),
    (["--model", "conv", "--num_balls=3", "--beta=1", "--beta=2", "--beta=1e0", "--seed=1"],
     ["model_conv_num_balls_3_beta_1.0_seed_1", "model_conv_num_balls_3_beta_2.0_seed_1"]),
    (["--beta_start=60", "--lr=0.0001"], [f"{name}_beta_start_60.0_lr_0.0001" for name in NAMES]),
    (["--model=conv", "--num_balls=1", "--beta=1", "--friction", "--friction=false"],
     ["model_conv_num_balls_1_beta_1.0_friction", "model_conv_num_balls_1_beta_1.0"]),
    (["--data_set=shapes", "--data_set=balls", "--model=conv", "--beta=4"],
     ["model_conv_data_set_shapes_beta_4.0", "model_conv_num_balls_1_beta_4.0", "model_conv_num_balls_2_beta_4.0"])])
def test_which_experiments(capsys, tmp_path, words, expected):
    """2016's 18, of shapes the paper's six; any flag of the experiment may be a list. --list gives the commands in the
    shell's words, and makes nothing."""
    commands = listed(capsys, f"--train_dir={tmp_path}/a b/{{}}'s", "--save_every=7", *words)
    parsed = [flags.parse(None, main.FLAGS, words) for words in commands]
    names = [flags.name(found, main.FLAGS) for found in parsed]
    assert names == expected if words == [] else sorted(names) == sorted(expected)
    assert {(found.save_every, found.train_dir) for found in parsed} == {(7, f"{tmp_path}/a b/{{}}'s")}
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("words, says", [
    (["--modle=conv"], "did you mean --model"), (["--num_balls=7"], "1 to 6"), (["extra"], "extra"),
    (["--data_set=shapes", "--num_balls=1"], "--num_balls belongs to --data_set=balls"),
    (["--init_from=/a/x", "--init_from=/b/x"], "have one name"), (["--figures=/dev/null"], "/dev/null cannot be"),
    *((["JOBS=" + word], f"run: JOBS: '{word}' is not") for word in ("two", "0", "1.5"))])
def test_what_cannot_be_done_as_asked_ends_before_anything_starts(tmp_path, python, monkeypatch, capsys, words, says):
    python(f"touch {tmp_path}/started")
    if words[0].startswith("JOBS"):
        monkeypatch.setenv(*words.pop().split("="))
    call(run, f"--train_dir={tmp_path}/s", "--model=conv", *words, code=2)
    error = capsys.readouterr().err
    one_line(error, says)
    assert error.startswith("run: ") and os.listdir(tmp_path) == ["python"]


def test_trainings_are_cut_off_from_the_users_settings_where_the_sweep_is():
    done = subprocess.run([sys.executable, "-E", "-s", ROOT / "main.py", "--sweep", "--list", "--model=conv"],
                          capture_output=True, text=True, check=True)
    assert {tuple(line.split()[1:-3]) for line in done.stdout.splitlines()} == {("-E", "-s", f"{ROOT}/main.py")}


@pytest.fixture
def task(monkeypatch):
    """A function: words -> the command that this process would become, or the exit code."""
    def become(*words):
        monkeypatch.setattr(os, "execv", lambda python, command: sys.exit(shlex.join(command)))
        with pytest.raises(SystemExit) as ended:
            run(list(words))
        return ended.value.code
    return become


@pytest.mark.parametrize("number, expected", [
    ("0", 0), ("010", 10), ("17", 17), ("18", "run: task 18: the list goes from 0 to 17")])
def test_task(task, monkeypatch, capsys, number, expected):
    """By --task and by Slurm: zeros before it or not. It is said."""
    for how in "--task", "SLURM_ARRAY_TASK_ID":
        if how != "--task":
            monkeypatch.setenv(how, number)
        found = task(*([f"--task={number}"] if how == "--task" else []))
        out, err = capsys.readouterr()
        if isinstance(expected, int):
            assert flags.name(flags.parse(None, main.FLAGS, shlex.split(found)[2:]), main.FLAGS) == NAMES[expected]
            one_line(out, f"run: task {expected}: trains {NAMES[expected]} alone, and draws nothing")
        else:
            assert found == 2
            one_line(err, expected)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "x" + number)
    assert task() == 2
    one_line(capsys.readouterr().err, f"SLURM_ARRAY_TASK_ID=x{number} is not the number of a task")


def test_a_task_has_all_cores(task, monkeypatch):
    """(That one which Slurm has requeued does not restart: test_stops.py.)"""
    monkeypatch.setattr(device, "cores", lambda: 3)
    assert "--threads=3" in task("--task=3")
    assert "--threads=2" in task("--task=3", "--threads=2")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "5")
    found = task("--task=3", "--restart", "--lr=1")
    assert "--restart" in found and "--lr=1.0" in found and "--threads=5" in found


# How many at a time, and on what

@pytest.mark.parametrize("count, gpus, wanted, expected", [
    (18, 0, "", (8, 1)), (3, 0, "", (3, 2)), (18, 0, "2", (2, 4)), (18, 0, "40", (18, 1)), (18, 2, "", (6, 1)),
    (2, 4, "", (2, 4)), (18, 4, "", (8, 1)), (18, 9, "", (9, 1)), (18, 1, "5", (5, 1))])
def test_jobs_and_threads(monkeypatch, count, gpus, wanted, expected):
    """With as many cores as the container's limit leaves."""
    monkeypatch.setattr(device, "quota", lambda: 7.5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    monkeypatch.setenv("JOBS", wanted)
    assert sweep.jobs_and_threads(count, ["0"] * gpus) == expected


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """A machine with four cards, of which nvidia-smi alone tells."""
    executable(tmp_path / "bin" / "nvidia-smi", 'for i in 0 1 2 3; do echo "GPU $i: made up (UUID: GPU-$i)"; done')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path / "bin"


@pytest.mark.parametrize("visible, gpus, where", [
    (None, "0123", "12 at a time, on 4 GPUs"), ("", "", "12 at a time, on 1 of 12 cores each"),
    ("NoDevFiles", "", "12 at a time, on 1 of 12 cores each"), (" 3 , 1,7,0", "31", "6 at a time, on 2 GPUs"),
    ("0,0,-1,2", "0", "3 at a time, on 1 GPU"), ("GPU-1,MIG-3", ["GPU-1", "MIG-3"], "6 at a time, on 2 GPUs")])
def test_gpus_are_shared_out(tmp_path, cards, python, monkeypatch, capsys, visible, gpus, where):
    """On every card that CUDA sees, or, without any, one a core with threads and the variable as it was; and that is
    said."""
    python('echo "on=$CUDA_VISIBLE_DEVICES $*"')
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        where += f" (CUDA_VISIBLE_DEVICES={visible})"
    monkeypatch.setattr(device, "cores", lambda: 12)
    swept(tmp_path)
    first, *output = capsys.readouterr().out.splitlines()
    started = [line for line in output if line.startswith("on=")]
    assert len(started) == 18
    assert {line.split(" --")[0] for line in started} == {f"on={gpu} {ROOT}/main.py" for gpu in gpus or [visible]}
    assert all(("--threads=1" in line) == (not gpus) for line in started)
    assert first == f"run: 18 experiments, {where}"


def test_gpus_that_tensorflow_does_not_find(tmp_path, cards, python, monkeypatch, capfd):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    device.set_up()
    one_line(capfd.readouterr().err, "TensorFlow finds no GPU", "CUDA_VISIBLE_DEVICES=")
    for said, code in (2, 2), ("$(kill -6 $$)", 1):
        python(f"touch {tmp_path}/started", f"exit {said}")
        swept(tmp_path, code=code)
    assert not {"started", "f"} & set(os.listdir(tmp_path))
    executable(cards / "nvidia-smi", "echo no card")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert device.visible_gpus() == []


# What is said at the end

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
        esac''', "exit 1")
    swept(tmp_path, "--model=conv", "--num_balls=1", *(f"--beta=0.{i}" for i in range(1, 7)), code=1)
    out, err = capsys.readouterr()
    name = "model_conv_num_balls_1_beta_0."
    assert told(out) == [
        f"{name}1 failed, exit code 3: what a pity",
        f"{name}2 failed, exit code -9: killed, perhaps for want of memory",
        f"{name}3 failed, exit code -11: Segmentation fault", f"{name}5 failed, exit code -15: Terminated",
        f"{name}6 failed, exit code 5", "drawing failed, exit code 1"]
    assert "what a pity\n" in err and "a warning\n" in err and "all trained" not in out
    assert " 2 at a time, " in out.splitlines()[0] and "JOBS=2" in out.splitlines()[0]
    assert "run: 1 of 6 trained\n" in out
    assert len((tmp_path / "started").read_text().splitlines()) == 6


def training(model, step, seconds, code=None):
    found = jobs.Job(SimpleNamespace(model=model, max_step=1000), model, None, None)
    found.step, found.seconds, found.code = step, seconds, code
    return found


def test_time_left():
    """conv takes 3 s a step, 500 and 1,000 steps are left, two at a time; of all_conv nothing is known yet."""
    trainings = [training("conv", 1000, 3000, code=0), training("conv", 500, 1500), training("conv", 0, 0)]
    assert jobs.progress_of(trainings, 2) == "1 of 3 trained, 0 h 50 min left"
    assert jobs.progress_of(trainings, 1) == "1 of 3 trained, 1 h 15 min left"
    assert jobs.progress_of([*trainings, training("all_conv", 0, 0)], 2) == (
        "1 of 4 trained, less than 1 h 3 min left")
    assert jobs.progress_of([*trainings, training("all_conv", 500, 500)], 1) == "1 of 4 trained, 1 h 24 min left"
    assert jobs.progress_of([training("conv", 0, 0), training("conv", 0, 0, code=1)], 2) == "0 of 2 trained"


def test_a_run_that_is_to_be_moved_aside_counts_for_nothing(tmp_path):
    (tmp_path / "losses.csv").write_text("step,reconstruction,kl,seconds\n1000,1,1,1\n")
    for restart, child, step in (True, None, 0), (False, None, 1000), (True, "a process", 1000):
        found = jobs.Job(SimpleNamespace(restart=restart), "run", str(tmp_path), None)
        found.child = child
        found.read()
        assert found.step == step
