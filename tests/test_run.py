"""./run, as its user types it: it finds its folder, makes the environment, and needs nothing else of the machine."""
import os
import shutil
import subprocess

import pytest
from conftest import HANG, ROOT, one_line
from made_up import PYTHON, executable, run

from training import sweep

SHELL = "run", "tests/run", ".ci/run"
MODULES = "tensorflow", "tensorboard", "numpy", "cv2", "matplotlib", "PIL", "tqdm"


@pytest.fixture
def project(tmp_path):
    """A project's folder with a main.py that tells its words, and, in PATH, what ./run uses but no Python."""
    (tmp_path / "bin").mkdir()
    for tool in "bash cat cp dirname flock grep mkdir mv readlink rm sed sleep touch".split():
        os.symlink(shutil.which(tool), tmp_path / "bin" / tool)
    folder = tmp_path / "project"
    (folder / "training").mkdir(parents=True)
    for file in "run", "training/sweep.py":
        shutil.copy(ROOT / file, folder / file)
    (folder / "main.py").write_text("import sys\nprint(__file__, *sys.argv[1:])\n")
    (folder / "requirements.txt").write_text("tensorflow\nnumpy\n")
    return folder


# Its folder, and the caller's

def test_it_finds_its_folder_and_hands_over_what_it_was_given(project, tmp_path):
    (tmp_path / "elsewhere" / "project").mkdir(parents=True)
    os.symlink(project / "run", tmp_path / "train")
    shutil.copy(project / "run", tmp_path / "slurm_script")  # Slurm runs a copy of it from a folder of its own
    for how in ({"script": tmp_path / "train", "env": {"HOME": None}},
                {"script": tmp_path / "slurm_script", "env": {"SLURM_SUBMIT_DIR": project}},
                {"script": "run", "shell": ["sh"], "cwd": project},
                {"script": "project/run", "cwd": tmp_path, "env": {"CDPATH": tmp_path / "elsewhere"}}):
        done = run("--beta=4", "a b", **how)
        assert done.stdout == f"{project}/main.py --sweep --beta=4 a b\n"
        one_line(done.stderr, f"run: with PYTHON={PYTHON}")
    done = run(script=tmp_path / "slurm_script", env={"SLURM_SUBMIT_DIR": tmp_path}, code=2)
    one_line(done.stderr, "call sbatch in the project's folder")


def test_help_needs_no_environment(project):
    done = run("--help", script=project / "run", env={"PYTHON": None, "PATH": project.parent / "bin"}, cwd="/")
    assert done.stdout == sweep.__doc__


# A Python of the user's

def test_a_python_without_the_packages(tmp_path):
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    bare = f"{tmp_path}/venv/bin/python"
    one_line(run(code=2, env={"PYTHON": bare}).stderr, f"run: PYTHON={bare} lacks tensorflow, ", "requirements.txt")
    one_line(run(code=2, env={"PYTHON": f"{tmp_path}/none"}).stderr, f"there is no '{tmp_path}/none'")
    done = run("--help", script=ROOT / "main.py", shell=[bare], code=2)
    one_line(done.stderr, "main.py: No module named ", "./run --setup")


# The environment that it makes

@pytest.fixture
def set_up(project):
    """A function that calls ./run --setup; returns what it said."""
    def call(*words, code=0, **env):
        done = run("--setup", *words, code=code, script=project / "run", cwd=project.parent,
                   env={"PATH": project.parent / "bin", "PYTHON": None, "CUDA_VISIBLE_DEVICES": None, **env})
        assert code or done.stdout == f"{project}/.venv/bin/python\n"
        return done.stderr
    return call


def python_of(version, project):
    """In PATH a made-up Python of a version. Its venv has, after pip, all that is asked for; pip tells what it was
    asked, and where else it would install, in project/pip; it takes a moment, and dies with ./run where there is a file
    named die, or, half-way, half."""
    inside = executable(project.parent / "inside", f'''
        venv=${{0%/bin/python}}
        case "$*" in
            *"-m pip"*) echo $PIP_USER$PIP_TARGET "$*" $(cat $venv/wanted) >> {project}/pip
                sleep 0.2
                [[ ! -e {project}/half ]] || {{ rm {project}/half; kill -9 $PPID; exit 1; }}
                touch $venv/has
                [[ ! -e {project}/die ]] || {{ rm {project}/die; kill -9 $PPID; }} ;;
            *-c*) [[ -e $venv/has ]] || echo tensorflow ;;
            *) echo "$*" ;;
        esac''')
    return executable(project.parent / "bin" / f"python{version if version > '3.9' else 3}", f'''
        case "$*" in
            *"-m venv --clear"*) rm -rf "${{@: -1}}"; mkdir -p "${{@: -1}}/bin"; cp {inside} "${{@: -1}}/bin/python" ;;
            *-c*) echo {version} ;;
        esac''')


def test_a_python_new_enough_is_found_in_path_or_its_version_refused(project, set_up):
    before = sorted(os.listdir(project))
    one_line(set_up(code=2), "Python 3.10 to 3.13 is needed, and PATH has none")
    executable(project.parent / "bin" / "python3", "echo 3.9")
    executable(project.parent / "bin" / "python3.13", "echo 'no such version' >&2; exit 127")  # as pyenv's are
    one_line(set_up(code=2), "Python 3.10 to 3.13 is needed, and PATH has 3.9")
    assert sorted(os.listdir(project)) == before
    python_of("3.12", project)
    one_line(set_up(), "run: making .venv, with Python 3.12")
    executable(project.parent / "bin" / "python3", "[[ $2 == -c ]] && echo 3.11")
    shutil.rmtree(project / ".venv")
    assert "'python3 -m venv' does not work" in set_up(code=2)


def test_it_is_made_once_and_installed_anew_when_requirements_change(project, set_up):
    """And its user's settings do not reach into it: neither where pip would install, nor PYTHONPATH (-E), nor their own
    packages (-s), nor those in the folder where ./run is called (-I)."""
    python_of("3.11", project)
    at_once = [subprocess.Popen([project / "run", "--setup"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={
        "PATH": str(project.parent / "bin"), "PIP_USER": "1", "PIP_TARGET": "/x"}) for _ in range(2)]
    assert [process.wait(HANG) for process in at_once] == [0, 0] and sorted(
        len(process.communicate()[1].splitlines()) for process in at_once) == [0, 1]

    def installed():
        return (project / "pip").read_text().splitlines()

    assert set_up() == "" and len(installed()) == 1
    assert installed()[-1].startswith("-I -m pip install ") and installed()[-1].endswith("tensorflow numpy")
    (project / "requirements.txt").write_text("tensorflow\nnumpy>=2\n")
    one_line(set_up(), "run: installing requirements.txt in .venv")
    assert set_up() == "" and len(installed()) == 2 and installed()[-1].endswith("tensorflow numpy>=2")
    executable(project.parent / "bin" / "nvidia-smi", "echo 'GPU 0: made up'; echo 'GPU 1: made up'")
    assert set_up(CUDA_VISIBLE_DEVICES="") == "" and len(installed()) == 2
    one_line(set_up(), "run: installing requirements.txt, with CUDA, in .venv")
    assert installed()[-1].endswith("tensorflow numpy>=2 tensorflow[and-cuda]")
    assert set_up() == set_up(CUDA_VISIBLE_DEVICES="") == "" and len(installed()) == 3
    done = run("--beta=1", script=project / "run", env={"PATH": project.parent / "bin", "PYTHON": None})
    assert done.stdout == f"-E -s {project}/main.py --sweep --beta=1\n" and not done.stderr


@pytest.mark.parametrize("moment", ["half", "die"])
def test_an_interrupted_install_is_made_good(project, set_up, moment):
    """At first, and, of other requirements, later, though the old ones are asked for again: before and after all that
    is looked for is there."""
    python_of("3.11", project)
    for first in True, False:
        (project / "requirements.txt").write_text("tensorflow\n" if first else "tensorflow\nnumpy\n")
        (project / moment).touch()
        set_up(code=-9)
        (project / "requirements.txt").write_text("tensorflow\n")
        assert "installing requirements.txt" in set_up() and set_up() == ""


@pytest.mark.parametrize("what", ["a package lost", "another machine", "an interpreter lost"])
def test_it_is_judged_by_what_it_can_do(project, set_up, what):
    """A real one, which has what is asked for at first, and is then made anew by a made-up Python."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    shutil.copy(project / "requirements.txt", project / ".venv" / "installed")
    packages, = project.glob(".venv/lib/python*/site-packages")
    for folder in packages, project.parent:  # not those in the folder where it is called
        for module in MODULES:
            (folder / f"{module}.py").write_text("" if folder == packages else "raise SystemExit('not this one')")
    assert set_up() == ""
    if what == "another machine":
        (packages / "numpy.py").write_text("raise ImportError('libc')")
    else:
        (packages / "tqdm.py" if what == "a package lost" else project / ".venv" / "bin" / "python").unlink()
    python_of("3.11", project)
    one_line(set_up(), "run: making .venv, with Python 3.11")


# The scripts themselves

@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not there: apt install shellcheck")
def test_shell_scripts():
    done = subprocess.run(["shellcheck", *SHELL], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stdout
    for name in SHELL:
        assert (ROOT / name).stat().st_mode & 0o111 and b"\r" not in (ROOT / name).read_bytes()
