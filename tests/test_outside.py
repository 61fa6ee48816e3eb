"""Nothing outside decides a result, nothing of ours stays in a process that goes on, and no message is lost."""
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import HANG, ROOT, call, losses, one_line, same, script, start, train

import architecture
import main
from architecture import MODELS
from training import checkpoints, device
from training.data_sets import data_set_of

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


@pytest.mark.parametrize("floats, order", [("float16", "channels_first"), ("float64", "channels_last")])
def test_a_users_keras_makes_the_same_models(floats, order):
    def outputs(model):
        flags = main.parse(None, main.FLAGS, [f"--model={model}"])
        data = data_set_of(flags)
        vae = checkpoints.new_model(flags, data)
        optimizer = main.new_optimizer(flags, vae)
        mean, log_variance = vae.encode(data.render(np.float32([[[3, 4]], [[7, 6]]])))
        found = *vae.variables, mean, log_variance, vae.decode(mean), *optimizer.variables[1:]
        return [np.asarray(value) for value in found]

    for model in MODELS:
        expected = outputs(model)
        keras.config.set_floatx(floats)
        keras.config.set_image_data_format(order)
        try:
            found = outputs(model)
        finally:
            keras.config.set_floatx("float32")
            keras.config.set_image_data_format("channels_last")
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype == np.float32
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name, words", [("main.py", ["--max_step=1", "--batch_size=1", "--train_dir={}/s"]),
                                         ("main.py", ["--beta=x"]),
                                         ("create_training_curves.py", ["--train_dir={}/none", "--figures={}"])])
def test_a_process_that_goes_on_has_what_it_had(tmp_path, name, words):
    """As of `%run main.py` in IPython, whose user has set things up in another way."""
    code = f"""if 1:
        import gc, os, runpy, signal, sys
        import matplotlib, tensorflow
        mine = lambda *words: None
        signal.signal(signal.SIGTERM, mine), signal.signal(signal.SIGUSR1, mine)
        sys.excepthook = mine
        gc.set_threshold(701, 11, 11)
        matplotlib.use("svg")
        matplotlib.rcParams["font.size"] = 31
        def state():
            return {{"signals": {{number: signal.getsignal(number) for number in signal.valid_signals()}},
                    "hook": sys.excepthook, "gc": gc.get_threshold(), "environment": dict(os.environ),
                    "rc": dict(matplotlib.rcParams), "argv": list(sys.argv), "folder": os.getcwd(),
                    "streams": (sys.stdin, sys.stdout, sys.stderr)}}
        before = state()
        try:
            runpy.run_path({str(ROOT / name)!r}, run_name="__main__")
        except SystemExit as end:
            pass
        after = state()
        print([key for key in before if before[key] != after[key]])"""
    done = subprocess.run([sys.executable, "-c", code, *(word.format(tmp_path) for word in words)], cwd=tmp_path,
                          capture_output=True, text=True, timeout=HANG, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_what_tensorflow_says_when_it_dies_is_shown_to_who_asks(tmp_path):
    """It dies in C++, as on a CPU without AVX: nothing in Python can say anything any more."""
    running = start(f"--train_dir={tmp_path}/store",
                    env={**os.environ, "TF_XLA_FLAGS": "--bogus", "TF_CPP_MIN_LOG_LEVEL": "0"})
    _, errors = running.communicate(timeout=HANG)
    assert running.returncode and "Unknown flag in TF_XLA_FLAGS: --bogus" in errors


def test_a_notebook_that_has_used_its_gpu_before(monkeypatch):
    """TensorFlow then takes no more orders about its memory; neither where the user has split it up."""
    for error in RuntimeError, ValueError:
        def refuse(gpu, grow, error=error):
            raise error("cannot be modified after being initialized")
        monkeypatch.setattr(architecture.tf.config, "list_physical_devices", lambda kind: ["a card"])
        monkeypatch.setattr(architecture.tf.config.experimental, "set_memory_growth", refuse)
        device.set_up()


def test_threads_that_cannot_be_set_are_refused(tmp_path, capsys):
    """In one process, as a notebook's, they are set once."""
    call(main.main, f"--train_dir={tmp_path}/s", "--threads=3", code=2)
    one_line(capsys.readouterr().err, "--threads=3")


def test_a_full_disk_or_a_closed_pipe_behind_stdout_changes_no_exit_code(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full, open(writer, "w") as closed:
        for behind, words, codes in (full, "--help", [0]), (full, "--bet", [2]), (
                closed, "--help", [0, 128 + signal.SIGPIPE]):
            done = subprocess.run([sys.executable, ROOT / "main.py", words], stdout=behind, stderr=subprocess.PIPE,
                                  text=True, timeout=HANG)
            assert done.returncode in codes and done.stderr.count("\n") == (words == "--bet"), done.stderr


def test_architecture_alone_runs_on_tensorflow(tmp_path):
    """Whatever Keras's backend is by the shell; nothing else of the project sets it up."""
    (tmp_path / "keras.py").write_text("import os, sys\nsys.exit(os.environ['KERAS_BACKEND'] + ' is used')")
    done = script("architecture.py", code=1, env={"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "numpy"})
    assert done.stderr.strip() == "tensorflow is used"
    said = script("architecture.py").stdout.splitlines()
    for line in ("fully_connected: 6,820,644 parameters, 10 latents", "conv: 80,965 parameters, 32 latents",
                 "all_conv: 7,371 parameters, 16 latents"):
        assert line in said
