"""Nothing outside decides a result, and no message is lost: users' configurations, closed streams, Ctrl-C at once."""
import contextlib
import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import HANG, ROOT, call, losses, one_line, same, script, start, train

import architecture
import ball_generator
import create_training_curves
import main
from architecture import MODELS
from training import checkpoints, device, process

RC = "savefig.bbox: tight\ntext.usetex: True\nfont.size: 30\nfigure.dpi: 30\nlines.linewidth: 9\n"


def outside(tmp_path, keras_json, **more):
    """The environment of a user with configurations of all kinds."""
    (tmp_path / "keras.json").write_text(json.dumps(keras_json))
    (tmp_path / "matplotlibrc").write_text(RC)
    return {**os.environ, "KERAS_HOME": str(tmp_path), "MATPLOTLIBRC": str(tmp_path), "PYTHONSAFEPATH": "1", **more}


def check_same(path, other):
    assert same(path, other)
    assert [row[:3] for row in losses(path)] == [row[:3] for row in losses(other)]
    for file in "stddev.csv", "stddev.png", "real_balls.jpg", "generated_balls.jpg":
        assert (path / file).read_bytes() == (other / file).read_bytes(), file


def test_a_users_configuration_changes_nothing_and_stdout_may_be_closed(tmp_path):
    env = outside(tmp_path, {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1,
                             "backend": "jax"}, MPLBACKEND="module://not_there", KERAS_BACKEND="numpy", LC_ALL="C")
    flags = {"model": "conv", "batch_size": 4, "max_step": 20, "report_every": 20, "threads": 1}
    words = [f"--{key}={value}" for key, value in flags.items()]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, ROOT / "main.py", *words,
                           f"--train_dir={tmp_path}/outside"], env=env, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    inside = train(tmp_path / "inside", **flags)
    check_same(tmp_path / inside.name.replace("inside", "outside"), inside)


def test_ctrl_c_saves_and_stderr_may_be_closed(tmp_path):
    env = outside(tmp_path, {"image_data_format": "channels_first", "floatx": "float64"}, MPLBACKEND="Qt4Agg",
                  PYTHONIOENCODING="ascii")
    flags = {"model": "all_conv", "batch_size": 4, "report_every": 10, "save_every": 10}
    running = start(f"--train_dir={tmp_path}/outside", "--threads=1", *(f"--{key}={flags[key]}" for key in flags),
                    env=env, stderr=None, preexec_fn=lambda: os.close(2))
    for line in running.stdout:
        if "step 10 of" in line:
            running.send_signal(signal.SIGINT)
            break
    said, _ = running.communicate(timeout=HANG)
    assert running.returncode == 130
    path, = tmp_path.glob("outside_*")
    step, _ = checkpoints.newest(path)
    assert step % 10 == 0 and f"stopped by SIGINT at step {step}, saved" in said.splitlines()[-1]
    check_same(path, train(tmp_path / "inside", **flags, max_step=step))


@pytest.mark.parametrize("floats, order", [("float16", "channels_first"), ("float64", "channels_last")])
def test_a_users_keras_makes_the_same_models(floats, order):
    def outputs(model):
        vae = architecture.BetaVAE(model, ball_generator.IMAGE_SHAPE, 2, 0.1, (1,))
        images = ball_generator.render(np.float32([[[3, 4]], [[7, 6]]]))
        mean, log_variance = vae.encode(images)
        return [*(v.numpy() for v in vae.variables), mean.numpy(), log_variance.numpy(), vae.decode(mean).numpy()]

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


def test_what_tensorflow_says_when_it_dies_is_shown(tmp_path):
    """It dies in C++, as on a CPU without AVX: nothing in Python can say anything any more."""
    running = start(f"--train_dir={tmp_path}/store", env={**os.environ, "TF_XLA_FLAGS": "--bogus"})
    _, errors = running.communicate(timeout=HANG)
    assert running.returncode and "Unknown flag in TF_XLA_FLAGS: --bogus" in errors
    assert not list(tmp_path.glob("store*"))  # so the same command starts without --restart


@contextlib.contextmanager
def captured_stderr(tmp_path):
    """What is written to file descriptor 2, as C++ does."""
    before, file = os.dup(2), open(tmp_path / "stderr", "w+b")
    os.dup2(file.fileno(), 2)
    try:
        yield lambda: (tmp_path / "stderr").read_text()
    finally:
        os.dup2(before, 2)
        os.close(before)
        file.close()


def test_what_tensorflow_says_is_kept_back_only_if_all_goes_well(tmp_path, capfd):
    with capfd.disabled(), captured_stderr(tmp_path) as said:
        with device.stderr_unless_it_dies():
            os.write(2, b"greetings\n")
        assert said() == ""
        with pytest.raises(ImportError), device.stderr_unless_it_dies():
            os.write(2, b"no AVX\n")
            raise ImportError
        assert said() == "no AVX\n"
        os.write(2, b"after\n")
        assert said() == "no AVX\nafter\n"


def test_a_notebook_that_has_used_its_gpu_before(monkeypatch):
    """TensorFlow then takes no more orders about its memory; neither where the user has split it up."""
    for error in RuntimeError, ValueError:
        def refuse(gpu, grow, error=error):
            raise error("cannot be modified after being initialized")
        monkeypatch.setattr(architecture.tf.config, "list_physical_devices", lambda kind: ["a card"])
        monkeypatch.setattr(architecture.tf.config.experimental, "set_memory_growth", refuse)
        assert device.load_tensorflow.__wrapped__() == ["a card"]


def test_a_stop_leaves_nothing_half_written(tmp_path):
    code = f"""if 1:
        import os, signal, sys, time
        from training import folder, process
        def main():
            with folder.replacing({str(tmp_path / "figure.png")!r}) as new:
                open(new, "w").close()
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(9)
        sys.exit(process.run(main))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=HANG)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "") and not os.listdir(tmp_path)


def test_a_users_own_script_beside_ours_keeps_its_ways(tmp_path):
    """And one of ours does not: its matplotlib draws into files, whatever the user's does."""
    for file in "architecture.py", "ball_generator.py":
        shutil.copy(ROOT / file, tmp_path)
    shutil.copytree(ROOT / "training", tmp_path / "training")
    for name, expected in ("mine.py", "svg"), ("create_mine.py", "agg"), ("benchmarks/mine.py", "agg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("import os\nfrom training import process\nprint(os.environ['MPLBACKEND'])\n")
        done = subprocess.run([sys.executable, tmp_path / name], capture_output=True, text=True, timeout=HANG,
                              env={**os.environ, "MPLBACKEND": "svg", "PYTHONPATH": str(tmp_path)})
        assert (done.stdout, done.stderr) == (f"{expected}\n", ""), name


@pytest.mark.parametrize("module", ["numpy", "matplotlib", "tqdm"])
def test_ctrl_c_in_the_first_second_is_a_stop_in_one_line(tmp_path, module):
    """While modules are imported: here each asks for it itself, so that the moment is no chance."""
    (tmp_path / f"{module}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n")
    running = start(f"--train_dir={tmp_path}/store", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    said, errors = running.communicate(timeout=HANG)
    assert running.returncode in (-signal.SIGINT, 130)
    one_line(errors, "main.py: stopped")
    assert not said and not list(tmp_path.glob("store*"))


def test_a_full_disk_or_a_closed_pipe_behind_stdout_changes_no_exit_code(tmp_path):
    for code, words in (0, ["--help"]), (2, ["--bet"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([sys.executable, ROOT / "main.py", *words], stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=HANG)
        assert done.returncode == code and done.stderr.count("\n") == (code > 0), done.stderr
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, ROOT / "main.py", "--help"], stdout=writer, stderr=subprocess.PIPE,
                          text=True, timeout=HANG)
    os.close(writer)
    assert done.returncode in (0, 128 + signal.SIGPIPE) and not done.stderr


def test_a_full_disk_behind_stdout_draws_all_the_same(tmp_path, monkeypatch):
    name = "model_fully_connected_num_balls_1_beta_0.1"  # without weights, which is said
    shutil.copytree(f"{ROOT}/checkpoints/pretrained/train_store_{name}", f"{tmp_path}/s_{name}")
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full, write_through=True))
        call(create_training_curves.main, f"--train_dir={tmp_path}/s", f"--figures={tmp_path}")
    assert (tmp_path / "training_curves_one_ball.png").stat().st_size > 1000


def test_letters_that_a_terminal_or_a_locale_does_not_have(tmp_path, monkeypatch):
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="ascii", write_through=True))
    process.open_streams()
    print("β")
    assert screen.getvalue() == b"\\u03b2\n"
    words = "import sys; from training import folder; folder.write_whole(sys.argv[1], chr(0x3b2))"
    subprocess.run([sys.executable, "-c", words, tmp_path / "text"], check=True, cwd=ROOT,
                   env={**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"})
    assert (tmp_path / "text").read_text(encoding="utf-8") == "β"


def test_streams_that_are_closed_are_opened(monkeypatch):
    for name in "stdin", "stdout", "stderr":
        monkeypatch.setattr(sys, name, None)
    process.open_streams()
    assert all((sys.stdin, sys.stdout, sys.stderr))


def test_architecture_alone_runs_on_tensorflow(tmp_path, capsys):
    """Whatever Keras's backend is by the shell; nothing else of the project sets it up."""
    (tmp_path / "keras.py").write_text("import os, sys\nsys.exit(os.environ['KERAS_BACKEND'] + ' is used')")
    done = script("architecture.py", code=1, env={"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "numpy",
                                                  "PYTHONSAFEPATH": "1"})
    assert done.stderr.strip() == "tensorflow is used"
    runpy.run_path(str(ROOT / "architecture.py"), run_name="__main__")
    said = capsys.readouterr().out
    for line in ("fully_connected: 6,820,644 parameters, 10 latents", "conv: 80,965 parameters, 32 latents",
                 "all_conv: 7,371 parameters, 16 latents"):
        assert line in said.splitlines()


def test_ball_generator_alone_prints_images(capsys):
    runpy.run_path(str(ROOT / "ball_generator.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert said.count("\n") == 64 and "@@" in said and len(said.splitlines()[0]) == 64


def test_ctrl_c_in_a_function_of_ours_is_told_once(monkeypatch, capsys):
    """The hook that scripts have: other errors keep their traceback."""
    monkeypatch.setattr(sys, "argv", ["/x/create_x.py"])
    process.stopped_hook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "create_x.py: stopped\n"
    told = []
    process.stopped_hook(ValueError, ValueError("x"), None, before=lambda *error: told.append(error))
    assert len(told) == 1 and not capsys.readouterr().err


def test_threads_that_cannot_be_set_are_refused(tmp_path, capsys):
    """In one process, as a notebook's, they are set once."""
    call(main.main, f"--train_dir={tmp_path}/s", "--threads=3", code=2)
    one_line(capsys.readouterr().err, "--threads=3")
    assert not list(tmp_path.iterdir())
