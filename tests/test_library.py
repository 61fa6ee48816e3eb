"""Used from a user's own script, notebook or thread, it leaves their process as it was; on machines that lack what
this one has, it does without."""
import ctypes
import json
import os
import signal
import subprocess
import sys
import types

import pytest
from conftest import HANG, OF_TINY, ROOT, one_line, same, train

import main
from training import device, folder, process

SCRIPT = '''
import gc, json, logging, os, random, signal, sys, threading
import matplotlib
import numpy as np

place, root = sys.argv[1:]
sys.path.insert(0, root)
matplotlib.rcParams.update({"font.size": 17, "savefig.bbox": "tight"})
np.random.seed(3), random.seed(3)
signal.signal(signal.SIGTERM, lambda *args: None)
gc.set_threshold(701, 11, 12)
sys.excepthook = lambda *error: sys.__excepthook__(*error)
logging.getLogger("run").setLevel(logging.ERROR)

def state():
    run = logging.getLogger("run")
    found = {
        "streams": (id(sys.stdin), id(sys.stdout), id(sys.stderr), os.fstat(1)[:3], os.fstat(2)[:3]),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook, sys.unraisablehook),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "gc": (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()),
        "environment": sorted(item for item in os.environ.items() if item[0] not in OF_LIBRARIES),
        "matplotlib": dict(dict.items(matplotlib.rcParams)), "numpy": np.random.get_state()[1].tolist(),
        "errors": np.geterr(), "place": (os.getcwd(), sys.path[:], sys.argv[:]),
        "logging": (run.handlers[:], run.propagate, run.level, run.isEnabledFor(logging.INFO)),
        "threads": {thread.name for thread in threading.enumerate()} - {"tqdm_monitor"}}
    if "tensorflow" in sys.modules:
        import keras, tensorflow as tf
        found["random"] = random.getstate()  # TensorFlow's import draws from it
        found["keras"] = keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon()
        found["tensorflow"] = (tf.config.threading.get_intra_op_parallelism_threads(),
                               tf.config.threading.get_inter_op_parallelism_threads(), tf.executing_eagerly())
    return found

# What the imports of TensorFlow and OpenCV set:
OF_LIBRARIES = {"LD_LIBRARY_PATH", "TF2_BEHAVIOR", "QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"}
changed = {}

def difference(one, other):
    if isinstance(one, list):
        return [repr(item) for item in [*one, *other] if item not in one or item not in other]
    return repr(one)[:500], repr(other)[:500]

def check(name, before):
    after = state()
    changed[name] = {key: difference(before[key], after[key]) for key in before
                     if repr(before[key]) != repr(after[key])}

before = state()
import training, main
from analysis import load
check("import", before)
assert "tensorflow" not in sys.modules and "matplotlib.pyplot" not in sys.modules

before = state()
vae = load(f"{root}/checkpoints/pretrained/train_store_model_conv_num_balls_1_beta_0.5")
images = vae.sample(3)
assert images.shape == (3, 32, 32) and len(vae.active) > 0
check("load", before)

import keras
keras.config.set_image_data_format("channels_first"), keras.config.set_floatx("float64")
before = state()
words = ["--model=all_conv", "--batch_size=4", "--max_step=20", "--report_every=10"]
assert main.main([f"--train_dir={place}/main", *words]) == 0
check("main", before)

codes = []
thread = threading.Thread(target=lambda: codes.append(main.main([f"--train_dir={place}/thread", *words])))
thread.start(), thread.join()
assert codes == [0]
check("thread", before)

try:
    main.main(["--bet=1"])
except SystemExit as error:
    assert error.code == 2
check("refusal", before)
json.dump(changed, open(f"{place}/changed.json", "w"))
'''


def test_a_users_process_stays_as_it_was(tmp_path):
    """Nothing happens by an import; `load` and main.main, from the main thread and another, put everything back; and
    one after the other they work together with the default --threads."""
    (tmp_path / "theirs.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "theirs.py", tmp_path, ROOT], capture_output=True, text=True,
                          cwd=tmp_path, env={**os.environ, "KERAS_BACKEND": "jax"}, timeout=HANG)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("theirs.py: unknown flag --bet=1: did you mean --beta?\n")
    changed = json.loads((tmp_path / "changed.json").read_text())
    assert not any(changed.values()) and len(changed) == 5, changed
    name = "model_all_conv_num_balls_1_beta_0.1_batch_size_4"
    assert same(tmp_path / f"main_{name}", tmp_path / f"thread_{name}")


def test_a_system_that_lacks_functions(tiny, unbroken, tmp_path, monkeypatch):
    """As others than Linux do: it trains and ends as ever, only without a lock."""
    monkeypatch.delattr(os, "sched_getaffinity")
    for name in "SIGUSR1", "SIGHUP":
        monkeypatch.delattr(signal, name)
    monkeypatch.setattr(folder, "fcntl", None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace())  # no prctl
    monkeypatch.setenv("RUN_SWEEP", f"{os.getppid()} 20")
    words = [f"--{key}={value}" for key, value in OF_TINY.items()]
    assert process.run(lambda: main.main([f"--train_dir={tmp_path}/store", *words, "--max_step=40"])) == 0
    path, = tmp_path.glob("store_*")
    assert same(path, unbroken) and device.cores() >= 1
    assert "KERAS_BACKEND" not in os.environ  # as before Keras was imported


@pytest.mark.parametrize("own, files, cpus", [
    ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5),  # version 2: of the group above
    ("0::/a/b", {"a/b/cpu.max": "50000 100000"}, 0.5), ("0::/", {"cpu.max": "300000 100000"}, 3),
    ("0::/a", {"a/cpu.max": "max 100000"}, 99), ("0::/a", {"a/cpu.max": "no numbers"}, 99), ("", {}, 99),
    ("5:cpu,cpuacct:/c\n4:memory:/m\n0::/", {  # version 1
        "cpu,cpuacct/c/cpu.cfs_quota_us": "250000", "cpu,cpuacct/c/cpu.cfs_period_us": "100000"}, 2.5),
    ("5:cpuacct,cpu:/c", {"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "10000"}, 2),
    ("5:cpu:/c", {"cpu/c/cpu.cfs_quota_us": "-1", "cpu/c/cpu.cfs_period_us": "100000"}, 99),
    ("5:cpuset:/c", {"cpuset/c/cpu.cfs_quota_us": "1", "cpuset/c/cpu.cfs_period_us": "1"}, 99)])
def test_a_containers_quota_bounds_the_cores(tmp_path, monkeypatch, own, files, cpus):
    for name, text in {**files, "own": own}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    quota = device.quota
    monkeypatch.setattr(device, "quota", lambda: quota(str(tmp_path), str(tmp_path / "own")))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(99))
    assert device.quota() == cpus or cpus == 99 and device.quota() == float("inf")
    assert device.cores() == max(1, -(-cpus // 1))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5})
    assert device.cores() == 1


def test_threads_are_set_once_a_process(tiny, tmp_path, capsys):
    train(tmp_path / "s", "--threads=3", **OF_TINY, code=2)
    one_line(capsys.readouterr().err, "--threads=3: TensorFlow computes with another number in this process already")
    train(tmp_path / "s", "--threads=0", **OF_TINY, max_step=1)
