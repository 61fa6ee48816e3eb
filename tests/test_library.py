"""A user's process and settings: used from their own script, notebook or thread, it leaves their process as it was;
what they set up outside decides no result, and no message is lost."""
import json
import os
import runpy
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import HANG, OF_TINY, ROOT, arrays, losses, one_line, same, script, start, train

from architecture import tf
from training import device

SCRIPT = '''
import gc, json, logging, os, random, runpy, signal, sys, threading
import matplotlib
import numpy as np

place, root = sys.argv[1:]
sys.path.insert(0, root)
matplotlib.rcParams.update({"font.size": 17, "savefig.bbox": "tight"})
matplotlib.use("svg")
signal.signal(signal.SIGTERM, lambda *args: None), signal.signal(signal.SIGUSR1, lambda *args: None)
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
run = f"{root}/checkpoints/pretrained/train_store_model_conv_num_balls_1_beta_0.5"
vae = load(run)
expected = vae.sample(3)
assert expected.shape == (3, 32, 32) and len(vae.active) > 0
check("load", before)

import keras
keras.config.set_image_data_format("channels_first"), keras.config.set_floatx("float64")
before = state()
words = ["--model=all_conv", "--batch_size=4", "--max_step=20", "--report_every=10"]
assert main.main([f"--train_dir={place}/main", *words]) == 0
assert (load(run).sample(3) == expected).all()
check("main", before)

for code, name, *given in (0, "main.py", f"--train_dir={place}/script", *words), (2, "main.py", "--beta=x"), (
        1, "create_training_curves.py", f"--train_dir={place}/none", f"--figures={place}"):
    sys.argv[:] = [name, *given]
    before = state()
    try:
        runpy.run_path(f"{root}/{name}", run_name="__main__")
    except SystemExit as error:
        assert error.code == code
    check(f"{name}, exit code {code}", before)

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
    """Nothing happens by an import; `load`, main.main, from the main thread and another, and scripts, as of `%run
    main.py` in IPython, put everything back; one after the other they work together with the default --threads; and
    what the user has set Keras to changes no weight and no image."""
    (tmp_path / "theirs.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "theirs.py", tmp_path, ROOT], capture_output=True, text=True,
                          cwd=tmp_path, env={**os.environ, "KERAS_BACKEND": "jax"}, timeout=HANG)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("create_training_curves.py: unknown flag --bet=1: did you mean --beta?\n")
    changed = json.loads((tmp_path / "changed.json").read_text())
    assert not any(changed.values()) and len(changed) == 7, changed
    plain = train(tmp_path / "plain", model="all_conv", batch_size=4, max_step=20, report_every=10)
    for how in "thread", "script":
        assert same(tmp_path / plain.name.replace("plain", "main"), tmp_path / plain.name.replace("plain", how))
    for name, value in arrays(tmp_path / plain.name.replace("plain", "main")).items():  # on more threads
        np.testing.assert_allclose(value, arrays(plain)[name], rtol=1e-2, atol=1e-4, err_msg=name)
        assert value.dtype == arrays(plain)[name].dtype


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


# What is set outside

RC = "savefig.bbox: tight\ntext.usetex: True\nfont.size: 30\nfigure.dpi: 30\nlines.linewidth: 9\n"


def test_a_users_configuration_changes_nothing(tmp_path):
    """Of Keras, of matplotlib, and of the terminal's letters."""
    (tmp_path / "keras.json").write_text(json.dumps({"image_data_format": "channels_first", "floatx": "float16",
                                                     "epsilon": 0.1, "backend": "jax"}))
    (tmp_path / "matplotlibrc").write_text(RC)
    flags = {"model": "conv", "batch_size": 4, "max_step": 20, "report_every": 20}
    done = script("main.py", *(f"--{key}={value}" for key, value in flags.items()), "--threads=1",
                  f"--train_dir={tmp_path}/outside", env={
                      **os.environ, "KERAS_HOME": str(tmp_path), "MATPLOTLIBRC": str(tmp_path), "LC_ALL": "C",
                      "MPLBACKEND": "module://not_there", "KERAS_BACKEND": "numpy", "PYTHONIOENCODING": "ascii"})
    assert done.stderr == ""
    inside = train(tmp_path / "inside", **flags)
    outside = inside.with_name(inside.name.replace("inside", "outside"))
    assert same(outside, inside)
    assert [row[:3] for row in losses(outside)] == [row[:3] for row in losses(inside)]
    for file in "stddev.csv", "stddev.png", "real_balls.jpg", "generated_balls.jpg":
        assert (outside / file).read_bytes() == (inside / file).read_bytes(), file


def test_what_tensorflow_says_when_it_dies_is_shown_to_who_asks(tmp_path):
    """It dies in C++, as on a CPU without AVX: nothing in Python can say anything any more."""
    running = start(f"--train_dir={tmp_path}/store",
                    env={**os.environ, "TF_XLA_FLAGS": "--bogus", "TF_CPP_MIN_LOG_LEVEL": "0"})
    _, errors = running.communicate(timeout=HANG)
    assert running.returncode and "Unknown flag in TF_XLA_FLAGS: --bogus" in errors


def test_a_full_disk_or_a_closed_pipe_behind_stdout_changes_no_exit_code():
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full, open(writer, "w") as closed:
        for behind, words, codes in (full, "--help", [0]), (full, "--bet", [2]), (
                closed, "--help", [0, 128 + signal.SIGPIPE]):
            done = subprocess.run([sys.executable, ROOT / "main.py", words], stdout=behind, stderr=subprocess.PIPE,
                                  text=True, timeout=HANG)
            assert done.returncode in codes and done.stderr.count("\n") == (words == "--bet"), done.stderr


def test_architecture_alone_prints_every_model(capsys):
    runpy.run_path(str(ROOT / "architecture.py"), run_name="__main__")
    assert "\nconv: 80,965 parameters, 32 latents\n" in capsys.readouterr().out
