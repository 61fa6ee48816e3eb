"""Nothing outside decides a result, and no message is lost."""
import json
import os
import runpy
import signal
import subprocess
import sys

import keras
import numpy as np
from conftest import HANG, ROOT, losses, same, script, start, train

import main
from architecture import MODELS
from training import checkpoints
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


def test_a_users_keras_makes_the_same_models(monkeypatch):
    def outputs(model):
        flags = main.parse(None, main.FLAGS, [f"--model={model}"])
        data = data_set_of(flags)
        vae = checkpoints.new_model(flags, data)
        optimizer = main.new_optimizer(flags, vae)
        mean, log_variance = vae.encode(data.render(np.float32([[[3, 4]], [[7, 6]]])))
        return *vae.variables, mean, log_variance, vae.decode(mean), *optimizer.variables[1:]

    expected = [value for model in MODELS for value in outputs(model)]
    keras.config.set_floatx("float16"), keras.config.set_image_data_format("channels_first")
    try:
        found = [value for model in MODELS for value in outputs(model)]
    finally:
        keras.config.set_floatx("float32"), keras.config.set_image_data_format("channels_last")
    for one, other in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_array_equal(one, other)


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


def test_architecture_alone_runs_on_tensorflow(tmp_path, capsys):
    """Whatever Keras's backend is by the shell; nothing else of the project sets it up. It prints every model."""
    (tmp_path / "keras.py").write_text("import os, sys\nsys.exit(os.environ['KERAS_BACKEND'] + ' is used')")
    done = script("architecture.py", code=1, env={"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "numpy"})
    assert done.stderr.strip() == "tensorflow is used"
    runpy.run_path(str(ROOT / "architecture.py"), run_name="__main__")
    assert "\nconv: 80,965 parameters, 32 latents\n" in capsys.readouterr().out
