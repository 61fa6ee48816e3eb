"""Used from a user's own script, notebook or thread, it leaves their process as it was; and the machine's cores."""
import json
import os
import subprocess
import sys

import pytest
from conftest import HANG, OF_TINY, ROOT, one_line, same, train

from architecture import tf
from training import device

SCRIPT = '''
import gc, json, logging, os, random, signal, sys, threading
import matplotlib
import numpy as np

place, root = sys.argv[1:]
sys.path.insert(0, root)
matplotlib.rcParams.update({"font.size": 17, "savefig.bbox": "tight"})
signal.signal(signal.SIGTERM, lambda *args: None)
gc.set_threshold(701, 11, 12)
sys.excepthook = lambda *error: sys.__excepthook__(*error)
logging.getLogger("run").setLevel(logging.ERROR)

def state():
    run = logging.getLogger("run")
    found = {
        "streams": (id(sys.stdout), id(sys.stderr), os.fstat(1)[:3], os.fstat(2)[:3]), "hook": sys.excepthook,
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "gc": (gc.get_threshold(), gc.get_freeze_count()),
        "environment": sorted(item for item in os.environ.items() if item[0] not in OF_TENSORFLOW),
        "matplotlib": dict(dict.items(matplotlib.rcParams)), "numpy": np.random.get_state()[1].tolist(),
        "place": (os.getcwd(), sys.path[:], sys.argv[:]), "logging": (run.handlers[:], run.propagate, run.level),
        "threads": {thread.name for thread in threading.enumerate()} - {"tqdm_monitor"}}
    if "tensorflow" in sys.modules:
        import keras, tensorflow as tf
        found["random"] = random.getstate()  # TensorFlow's import draws from it
        found["keras"] = keras.config.floatx(), keras.config.image_data_format()
        found["tensorflow"] = (tf.config.threading.get_intra_op_parallelism_threads(),
                               tf.config.threading.get_inter_op_parallelism_threads())
    return found

OF_TENSORFLOW = {"LD_LIBRARY_PATH", "TF2_BEHAVIOR"}  # what its import sets
changed = {}

def check(name, before):
    after = state()
    changed[name] = {key: (repr(before[key])[:500], repr(after[key])[:500]) for key in before
                     if repr(before[key]) != repr(after[key])}

before = state()
import training, main
from analysis import load
check("import", before)
assert "tensorflow" not in sys.modules and "matplotlib.pyplot" not in sys.modules

before = state()
vae = load(f"{root}/checkpoints/pretrained/train_store_model_conv_num_balls_1_beta_0.5")
assert vae.sample(3).shape == (3, 32, 32) and len(vae.active) > 0
check("load", before)

import keras
keras.config.set_image_data_format("channels_first"), keras.config.set_floatx("float64")
before = state()
words = ["--model=all_conv", "--batch_size=4", "--max_step=20", "--report_every=10"]
assert main.main([f"--train_dir={place}/main", *words]) == 0
check("main", before)

thread = threading.Thread(target=main.main, args=[[f"--train_dir={place}/thread", *words]])
thread.start(), thread.join()
try:
    main.main(["--bet=1"])
except SystemExit as error:
    assert error.code == 2
check("thread", before)
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
    assert not any(changed.values()) and len(changed) == 4, changed
    name = "model_all_conv_num_balls_1_beta_0.1_batch_size_4"
    assert same(tmp_path / f"main_{name}", tmp_path / f"thread_{name}")


def test_threads_are_set_once_a_process(tiny, tmp_path, capsys):
    train(tmp_path / "s", "--threads=0", **OF_TINY, max_step=1)
    train(tmp_path / "s", "--threads=3", **OF_TINY, code=2)
    one_line(capsys.readouterr().err, "--threads=3: TensorFlow computes with another number in this process already")


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_notebook_that_has_used_its_gpu_before(monkeypatch, error):
    """TensorFlow then takes no more orders about its memory; neither where the user has split it up."""
    def refuse(gpu, grow):
        raise error("cannot be modified after being initialized")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a card"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    device.set_up()


@pytest.mark.parametrize("files, cores", [
    ({"cpu.max": "150000 100000"}, 2), ({"cpu.max": "50000 100000"}, 1), ({"cpu.max": "max 100000"}, 9), ({}, 9),
    ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),  # version 1
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 9), ({"cpu.max": "9900000 100000"}, 9)])
def test_a_containers_quota_bounds_the_cores(tmp_path, monkeypatch, files, cores):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(device.quota, "__defaults__", (str(tmp_path),))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(9))
    assert device.cores() == cores
