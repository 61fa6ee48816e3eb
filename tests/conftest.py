"""What the tests share: running the scripts as their user does, and one model that has learnt something."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # bit-equality is promised on the CPU

import experiment  # noqa: E402

experiment.import_tensorflow()


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="also the long tests")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --all")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="long: tests/run --all"))


def script(name, *flags, code=0, **kwargs):
    """Run one of the scripts to its end and check its exit code."""
    done = subprocess.run([sys.executable, str(ROOT / name), *map(str, flags)], capture_output=True, text=True,
                          timeout=600, **kwargs)
    assert done.returncode == code, f"{name} {flags}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def start(*flags, **kwargs):
    """Start main.py and return the process."""
    return subprocess.Popen([sys.executable, str(ROOT / "main.py"), *map(str, flags)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **kwargs)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """train_dir of a fully_connected that has left the plateau: 500 steps at 20 times its learning rate."""
    train_dir = tmp_path_factory.mktemp("trained") / "store"
    script("main.py", f"--train_dir={train_dir}", "--model=fully_connected", "--lr=.001", "--max_step=500")
    return train_dir
