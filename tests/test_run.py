"""./run, as its user types it: it finds its folder, makes the environment, and needs nothing else of the machine."""
import os
import shutil
import subprocess

import pytest
from conftest import HANG, ROOT, one_line
from made_up import PYTHON, executable

from training import checkpoints, sweep


def run(*words, code=0, script=ROOT / "run", env=None, shell=(), **kwargs):
    env = {**os.environ, "PYTHON": PYTHON, **(env or {})}
    done = subprocess.run([*shell, script, *words], capture_output=True, text=True, timeout=HANG,
                          env={key: value for key, value in env.items() if value is not None}, **kwargs)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


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
    (tmp_path / "config").write_text("[core]\nautocrlf = true\neol = crlf\n[safe]\ndirectory = *\n")
    git = ["env", f"GIT_CONFIG_GLOBAL={tmp_path}/config", "git"]
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
    (project / ".venv" / "bin" / "python").unlink()  # as after an upgrade of the system's Python
    (project / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    executable(tmp_path / "bin" / "python3", f"rm .venv/bin/python; cp {tmp_path}/new_python .venv/bin/python")
    assert "requirements.txt" in set_up(CUDA_VISIBLE_DEVICES="")[2]
    assert "tensorflow[and-cuda]" in set_up()[2]
    assert set_up() == set_up(CUDA_VISIBLE_DEVICES="0") == nothing


def test_python_without_the_packages(tmp_path):
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    done = run("--max_step=2", f"--train_dir={tmp_path}/s", code=2, env={"PYTHON": f"{tmp_path}/venv/bin/python"})
    one_line(done.stderr, "run: PYTHON lacks tensorflow", "requirements.txt")
    one_line(run(code=2, env={"PYTHON": f"{tmp_path}/none"}).stderr, f"there is no '{tmp_path}/none'")
