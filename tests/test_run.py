"""./run, as its user types it: it finds its folder, makes the environment, and needs nothing else of the machine."""
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
import zipfile

import pytest
from conftest import HANG, ROOT, one_line
from made_up import PYTHON, executable, run

from training import checkpoints, sweep

MODULES = "tensorflow", "tensorboard", "numpy", "cv2", "matplotlib", "PIL", "tqdm"


# Its folder, and the caller's

@pytest.mark.parametrize("how", ["a symlink", "a spooled copy", "sh", "CDPATH"])
def test_run_finds_its_folder(tmp_path, how):
    kwargs = {"cwd": tmp_path}
    if how == "a symlink":
        (tmp_path / "bin").mkdir()
        os.symlink(ROOT / "run", tmp_path / "bin" / "train")
        kwargs.update(script=tmp_path / "bin" / "train", env={"HOME": None})
    elif how == "a spooled copy":  # Slurm runs a copy of the script from a folder of its own
        shutil.copy(ROOT / "run", tmp_path / "slurm_script")
        kwargs.update(script=tmp_path / "slurm_script", env={"SLURM_SUBMIT_DIR": ROOT})
        done = run("--list", **{**kwargs, "env": {"SLURM_SUBMIT_DIR": tmp_path}}, code=2)
        one_line(done.stderr, "call sbatch in the project's folder")
    elif how == "sh":
        kwargs.update(shell=["sh"], script="run", cwd=ROOT)
    else:
        (tmp_path / "elsewhere" / ROOT.name).mkdir(parents=True)
        kwargs.update(env={"CDPATH": f"{tmp_path}/elsewhere"}, cwd=ROOT.parent, script=f"{ROOT.name}/run")
    done = run("--list", "--beta=4", **kwargs)
    assert done.stdout.count("main.py") == 6
    one_line(done.stderr, f"run: with PYTHON={PYTHON}")


def test_a_command_of_the_list_works_from_anywhere_and_a_relative_path_is_the_callers(tmp_path):
    (tmp_path / "mine").mkdir()
    done = run("--list", "--model=all_conv", "--num_balls=1", "--beta=1", "--batch_size=1", "--max_step=0",
               "--train_dir=s", cwd=tmp_path / "mine")
    subprocess.run(done.stdout, shell=True, check=True, cwd="/", capture_output=True, timeout=HANG)
    assert os.listdir(tmp_path) == ["mine"]
    assert os.listdir(tmp_path / "mine") == ["s_model_all_conv_num_balls_1_beta_1.0_batch_size_1"]


def test_help_needs_no_environment():
    done = run("--help", env={"PYTHON": None, "PATH": "/usr/local/bin:/usr/bin:/bin"}, cwd="/")
    assert done.stdout.rstrip("\n") == sweep.__doc__.rstrip("\n")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")
def test_a_clone_keeps_its_line_ends_and_stays_clean(tmp_path):
    """git is told to give every text file \\r\\n; .gitattributes does not let it. What ./run makes is no change."""
    (tmp_path / "config").write_text("[core]\nautocrlf = true\neol = crlf\n[safe]\ndirectory = *\n")
    git, clone = ["env", f"GIT_CONFIG_GLOBAL={tmp_path}/config", "git"], tmp_path / "clone"
    subprocess.run([*git, "clone", "--quiet", "--depth=1", f"file://{ROOT}", clone], check=True)
    for file in "run", "main.py", "tests/run":
        assert b"\r" not in (clone / file).read_bytes()
    kept = next((clone / "checkpoints" / "pretrained").glob("*_conv_*_beta_0.1"))
    assert checkpoints.newest(str(kept))[0] == 100_000

    def changes(*made):
        for file in made:
            (clone / file).parent.mkdir(parents=True, exist_ok=True)
            (clone / file).write_text("new")
        return subprocess.run([*git, "status", "--porcelain", "-uall"], cwd=clone, capture_output=True, text=True,
                              check=True).stdout

    assert not changes(".venv/installed", "training/__pycache__/x.pyc", "checkpoints/train_store_x/flags.json",
                       "figures/new.png", "figures/mine/new.png")
    assert len(changes("figures/pretrained/new.png", "checkpoints/pretrained/x/flags.json").splitlines()) == 2


# A Python of the user's

def test_a_python_without_the_packages(tmp_path):
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    bare = f"{tmp_path}/venv/bin/python"
    done = run("--max_step=2", f"--train_dir={tmp_path}/s", code=2, env={"PYTHON": bare})
    one_line(done.stderr, f"run: PYTHON={bare} lacks tensorflow, ", "requirements.txt")
    one_line(run(code=2, env={"PYTHON": f"{tmp_path}/none"}).stderr, f"there is no '{tmp_path}/none'")
    (tmp_path / "tqdm.py").write_text("raise ModuleNotFoundError('No module named tqdm')")
    for python, path in (bare, ""), (PYTHON, tmp_path):  # nothing there, and one thing not
        done = run("--help", script=ROOT / "main.py", shell=[python], env={"PYTHONPATH": path}, code=2)
        one_line(done.stderr, "main.py: No module named ", "./run --setup")


# The environment that it makes

@pytest.fixture
def project(tmp_path):
    """A project's folder with a main.py that tells its words, and, in PATH, what ./run uses but no Python."""
    for tool in "bash", "cat", "cp", "dirname", "flock", "grep", "mkdir", "mv", "readlink", "rm", "sleep", "touch":
        (tmp_path / "bin").mkdir(exist_ok=True)
        os.symlink(shutil.which(tool), tmp_path / "bin" / tool)
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "run", folder)
    (folder / "main.py").write_text("import sys, numpy\nprint(numpy.__file__, *sys.argv[1:])\n")
    (folder / "requirements.txt").write_text("tensorflow\nnumpy\n")
    return folder


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
    asked in project/pip, takes a moment, and dies with ./run where there is a file named die."""
    inside = executable(project.parent / "inside", f'''
        venv=${{0%/bin/python}}
        case "$*" in
            *"-m pip"*) echo "$*" $(cat $venv/wanted) >> {project}/pip
                sleep 0.2
                [[ ! -e {project}/half ]] || {{ rm {project}/half; kill -9 $PPID; exit 1; }}
                touch $venv/has
                [[ ! -e {project}/die ]] || {{ rm {project}/die; kill -9 $PPID; }} ;;
            *-c*) [[ -e $venv/has ]] || echo tensorflow ;;
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
    python_of("3.11", project)
    at_once = [subprocess.Popen([project / "run", "--setup"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={
        "PATH": str(project.parent / "bin")}) for _ in range(2)]
    assert [process.wait(HANG) for process in at_once] == [0, 0] and sorted(
        len(process.communicate()[1].splitlines()) for process in at_once) == [0, 1]

    def installed():
        return (project / "pip").read_text().splitlines()

    assert set_up() == "" and len(installed()) == 1 and installed()[-1].endswith("tensorflow numpy")
    (project / "requirements.txt").write_text("tensorflow\nnumpy>=2\n")
    one_line(set_up(), "run: installing requirements.txt in .venv")
    assert set_up() == "" and len(installed()) == 2 and installed()[-1].endswith("tensorflow numpy>=2")
    executable(project.parent / "bin" / "nvidia-smi", "echo 'GPU 0: made up'; echo 'GPU 1: made up'")
    assert set_up(CUDA_VISIBLE_DEVICES="") == "" and len(installed()) == 2
    one_line(set_up(), "run: installing requirements.txt, with CUDA, in .venv")
    assert installed()[-1].endswith("tensorflow numpy>=2 tensorflow[and-cuda]")
    assert set_up() == set_up(CUDA_VISIBLE_DEVICES="") == "" and len(installed()) == 3


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


def test_a_folder_that_cannot_be_written_is_refused_in_a_line():
    """By one who is not root; also, where .venv is there, by the sweep itself."""
    with tempfile.TemporaryDirectory() as place:
        project = pathlib.Path(place) / "project"
        project.mkdir()
        for file in "run", "main.py", "requirements.txt":
            shutil.copy(ROOT / file, project)
        for folder in project, project.parent:
            folder.chmod(0o555)
        as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        done = run(code=2, env={"PYTHON": None}, script=project / "run", shell=as_nobody, cwd="/")
        one_line(done.stderr, f"run: {project} cannot be written", "PYTHON=python3")
        project.parent.chmod(0o755)
        project.chmod(0o755)


def test_a_users_pip_and_python_do_not_reach_into_it(project, set_up, tmp_path):
    """With a real pip, and two versions of one package that has all that is asked for. Where its user says to take
    packages from, and which, counts; where to put them does not; nor do other packages in PYTHONPATH, or in the folder
    where ./run is called."""
    executable(tmp_path / "bin" / "python3", f'exec {shlex.quote(os.path.realpath(PYTHON))} "$@"')
    (project / "requirements.txt").write_text("all\n")
    for folder in "wheels", "mine":
        (tmp_path / folder).mkdir()
    for version in "1.0", "2.0":
        files = {f"{module}/__init__.py": f"version = {version}" for module in MODULES}
        info = {"METADATA": f"Metadata-Version: 2.1\nName: all\nVersion: {version}\n",
                "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                "RECORD": "".join(f"{file},,\n" for file in files)}
        with zipfile.ZipFile(tmp_path / "wheels" / f"all-{version}-py3-none-any.whl", "w") as wheel:
            for file, text in [*files.items(), *((f"all-{version}.dist-info/{file}", info[file]) for file in info)]:
                wheel.writestr(file, text)
    (tmp_path / "constraint").write_text("all==1.0\n")
    (tmp_path / "home" / ".config" / "pip").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "pip" / "pip.conf").write_text("[install]\nuser = true\n")
    for folder in tmp_path, tmp_path / "mine":
        for module in "numpy", "tqdm", "pip", "venv", "types":
            (folder / f"{module}.py").write_text("raise SystemExit('not this one')")
    env = {"HOME": tmp_path / "home", "PIP_USER": "1", "PIP_TARGET": tmp_path / "target", "PIP_NO_INDEX": "1",
           "PIP_FIND_LINKS": tmp_path / "wheels", "PIP_CONSTRAINT": tmp_path / "constraint",
           "PYTHONPATH": tmp_path / "mine"}
    one_line(set_up(**env), "run: making .venv")
    assert not (tmp_path / "target").exists() and os.listdir(tmp_path / "home") == [".config"]
    done = run("--beta=1", script=project / "run", cwd=tmp_path, env={**env, "PATH": tmp_path / "bin", "PYTHON": None})
    numpy, *words = done.stdout.split()
    assert words == ["--sweep", "--beta=1"] and not done.stderr
    assert numpy.startswith(f"{project}/.venv/lib/") and pathlib.Path(numpy).read_text() == "version = 1.0"


@pytest.mark.parametrize("what", ["a package lost", "another version", "another machine", "an interpreter lost"])
def test_it_is_judged_by_what_it_can_do(project, set_up, what):
    """A real one, which has what is asked for at first, and is then made anew by a made-up Python."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    shutil.copy(project / "requirements.txt", project / ".venv" / "installed")
    packages, = project.glob(".venv/lib/python*/site-packages")
    for module in MODULES:
        (packages / f"{module}.py").touch()
    assert set_up() == ""
    if what == "a package lost":
        (packages / "tqdm.py").unlink()
    elif what == "another version":  # of Python, which sees other packages
        packages.parent.rename(packages.parents[1] / "python3.0")
    elif what == "another machine":
        (packages / "numpy.py").write_text("raise ImportError('libc')")
    else:
        (project / ".venv" / "bin" / "python").unlink()
        (project / ".venv" / "bin" / "python").symlink_to("/gone")
    python_of("3.11", project)
    one_line(set_up(), "run: making .venv, with Python 3.11")
    assert set_up() == ""
