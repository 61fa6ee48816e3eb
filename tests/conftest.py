"""What the tests share: training in their own process, running the scripts as their user does, models to look at."""
import csv
import json
import logging
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # bit-equality is promised on the CPU
for name in "RUN_SWEEP", "JOBS", "KERAS_HOME", "KERAS_BACKEND", "MATPLOTLIBRC":
    os.environ.pop(name, None)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script started the suite in the background
HANG = 900  # seconds until a process is taken to hang: ten times what the slowest machine needs

import architecture  # noqa: E402
import main  # noqa: E402
from analysis import measure, samples  # noqa: E402
from architecture import MODELS, tf  # noqa: E402
from training import checkpoints, device, folder  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="also the long tests")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --all")


def pytest_sessionstart(session):
    """One thread, which can be set only once a process. The process that hands out tests to others runs none."""
    if hasattr(session.config, "workerinput") or not session.config.getoption("numprocesses", None):
        device.set_up()
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of a graph traced again, run by run
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="long: tests/run --all"))


def call(script, *words, code=0):
    """Call a script's main in this process, and check the exit code that it returns or ends with."""
    try:
        found = script(list(map(str, words)))
    except SystemExit as error:
        found = error.code
    assert found == code, f"exit code {found}"


def parse(*words):
    """The flags of a command line of main.py."""
    return main.parse(None, main.FLAGS, list(map(str, words)))


def train(train_dir, *words, code=0, **flags):
    """Call main.py in this process. Returns the run's folder."""
    words = [f"--train_dir={train_dir}", "--threads=1", *words, *(f"--{key}={value}" for key, value in flags.items())]
    call(main.main, *words, code=code)
    return pathlib.Path(folder.locate(parse(*words), main.FLAGS))


def script(name, *flags, code=0, **kwargs):
    """Run one of the scripts to its end and check its exit code."""
    done = subprocess.run([sys.executable, str(ROOT / name), *map(str, flags)], capture_output=True, text=True,
                          timeout=HANG, **kwargs)
    assert done.returncode == code, f"{name} {flags}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def start(*flags, **kwargs):
    """Start main.py and return the process."""
    return subprocess.Popen([sys.executable, str(ROOT / "main.py"), *map(str, flags)],
                            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **kwargs})


def one_line(text, *parts):
    """Check that a text is one line, in which all of the parts stand."""
    assert text.count("\n") == 1 and text.endswith("\n"), text
    for part in parts:
        assert str(part) in text, text


def arrays(path, step=None):
    """name -> value of a checkpoint, by default the newest."""
    with np.load(f"{path}/ckpt-{checkpoints.steps(path)[0] if step is None else step}.npz") as file:
        return dict(file)


def same(path, other, step=None):
    """Whether two runs have the same weights and the same state of the optimizer, bit for bit, at a step or at their
    newest."""
    a, b = arrays(path, step), arrays(other, step)
    assert a.keys() == b.keys() and any(key.startswith("optimizer") for key in a)
    return all(a[key].dtype == b[key].dtype and a[key].tobytes() == b[key].tobytes() for key in a)


def flags_of(path):
    """What its flags.json says."""
    return json.loads((path / "flags.json").read_text())


def change_flags(path, **changed):
    (path / "flags.json").write_text(json.dumps({**flags_of(path), **changed}))


def losses(path):
    """The rows of losses.csv: step, reconstruction, kl, seconds, beta."""
    with open(f"{path}/losses.csv") as file:
        return [(int(row["step"]), *(float(row[key]) for key in ("reconstruction", "kl", "seconds", "beta")))
                for row in csv.DictReader(file)]


def scalars(path):
    """tag -> list of (step, value) in the order of the folder's event files, read without TensorBoard."""
    from tensorflow.core.util import event_pb2
    found = {}
    for file in sorted(file for file in os.listdir(path) if "tfevents" in file):
        for record in tf.data.TFRecordDataset(os.path.join(path, file)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                content = value.tensor.tensor_content or struct.pack("f", *value.tensor.float_val)
                found.setdefault(value.tag, []).append((event.step, struct.unpack("f", content)[0]))
    return found


def check_equal(path, reference):
    """Check that two runs are the same: weights, the optimizer's state, tables and events. (An event may be told twice,
    of a run that was killed in the middle of a save; then with the same value.)"""
    step = checkpoints.newest(reference)[0]
    assert checkpoints.newest(path)[0] == step
    assert same(path, reference, step)
    assert [row[:3] for row in losses(path)] == [row[:3] for row in losses(reference)]
    assert {tag: sorted(set(told)) for tag, told in scalars(path).items()} == scalars(reference)
    seconds = [row[3] for row in losses(path)]
    assert seconds == sorted(seconds)


def listing(path):
    """name -> content of all files in a folder."""
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def ideal_code_alone(patch):
    """Of what scores are held against, the ideal code alone: the others take seconds; test_results.py looks at them."""
    patch.setattr(measure, "scores_without_network", lambda data: {
        "ideal code": measure.scores_of([data.factors_of(states) for states in samples.states_of(data)], data)})


SMALL = architecture.Model(
    layers=lambda h, n, c: ([("flatten",), ("dense", 2 * h, "linear")],
                            [("dense", n * n * c, "linear"), ("reshape", n, n, c)]),
    defaults={"hidden_size": 2, "lr": 1e-3, "weight_init": 0.1, "optimizer": "adam"},
    colour="#CC79A7",
    xla_cpu=("off", "off"))


@pytest.fixture(scope="module")
def tiny():
    """A model more, "tiny", for tests in which any model will do: a run of it takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "tiny", SMALL)
        for row in main.FLAGS:
            if isinstance(row.default, dict):  # a flag whose default depends on the model
                patch.setitem(row.default, "tiny", SMALL.defaults[row.name])
        yield


OF_TINY = {"model": "tiny", "batch_size": 4, "save_every": 7, "report_every": 1000}
TINY = "model_tiny_num_balls_1_beta_0.1_batch_size_4"


@pytest.fixture(scope="module")
def unbroken(tiny, tmp_path_factory):
    """Folder of a run of 40 steps that was never stopped."""
    return train(tmp_path_factory.mktemp("unbroken") / "store", **OF_TINY, max_step=40)


@pytest.fixture(scope="module")
def short_once(tiny, tmp_path_factory):
    return train(tmp_path_factory.mktemp("short") / "store", **OF_TINY, max_step=21)


@pytest.fixture
def short(tmp_path, short_once):
    """Folder of a run of 21 steps, with checkpoints 7, 14 and 21, under the prefix tmp_path/store."""
    return pathlib.Path(shutil.copytree(short_once, tmp_path / short_once.name))


def resume(path, *words, max_step=40, **changed):
    """Call main.py for the run in such a folder."""
    return train(path.parent / "store", *words, **{**OF_TINY, "max_step": max_step, **changed})


@pytest.fixture
def cheap(monkeypatch):
    """Two measures, which say when they are taken."""
    taken = []

    def told(key, row):
        return measure.Measure(lambda vae: taken.append(key) or row.function(vae), row.version)
    monkeypatch.setattr(measure, "MEASURES", {
        key: told(key, measure.MEASURES[key]) for key in ("reconstruction", "stddev")})
    return taken


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder of an all_conv that has left the plateau: 300 steps at ten times its learning rate; 30 checkpoints."""
    return train(tmp_path_factory.mktemp("trained") / "store", model="all_conv", lr=0.01, batch_size=16, max_step=300,
                 save_every=10, keep=100)
