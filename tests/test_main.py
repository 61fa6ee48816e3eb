"""main.py as its user runs it: flags, what a run leaves in its folder, what each flag of the loss does."""
import csv
import json
import os
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, script
from tensorflow.core.util import event_pb2

import architecture
import ball_generator
import create_error_graph
import experiment
import main

TINY = ("--batch_size=4", "--max_step=3")


def weights(folder, step):
    return tf.train.load_checkpoint(f"{folder}/ckpt-{step}")


def same(folder, other, step):
    a, b = weights(folder, step), weights(other, step)
    names = a.get_variable_to_shape_map()
    assert names == b.get_variable_to_shape_map() and len(names) > 20
    return all(np.array_equal(a.get_tensor(name), b.get_tensor(name)) for name in names)


def losses(folder):
    with open(f"{folder}/losses.csv") as file:
        return [(int(r["step"]), float(r["reconstruction"]), float(r["kl"]), float(r["seconds"]))
                for r in csv.DictReader(file)]


def scalars(folder):
    """tag -> list of (step, value) in the order of the folder's event files, read without TensorBoard."""
    found = {}
    for file in sorted(file for file in os.listdir(folder) if "tfevents" in file):
        for record in tf.data.TFRecordDataset(os.path.join(folder, file)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                content = value.tensor.tensor_content or struct.pack("f", *value.tensor.float_val)
                found.setdefault(value.tag, []).append((event.step, struct.unpack("f", content)[0]))
    return found


@pytest.mark.parametrize("words, says", [
    (["--mdl=conv"], "did you mean --model"), (["--bet=1"], "did you mean --beta"), (["--max_steps=1"], "--max_step?"),
    (["--zzz"], "--help"), (["conv"], "conv"),
    (["--model=cnn"], "fully_connected"), (["--num_balls=0"], "from 1 to 6"), (["--num_balls=7"], "from 1 to 6"),
    (["--num_balls=1.5"], "from 1 to 6"), (["--beta=-1"], "from 0 on"), (["--beta=nan"], "from 0 on"),
    (["--beta=inf"], "from 0 on"), (["--beta=x"], "--beta"), (["--batch_size=0"], "from 1 on"),
    (["--hidden_size=0"], "from 1 on"), (["--keep_prob=0"], "above 0"), (["--keep_prob=1.1"], "up to 1"),
    (["--lr=0"], "above 0"), (["--max_step=-5"], "from 0 on"), (["--friction=maybe"], "true"),
    (["--seed=-1"], "from 0"), (["--weight_decay=-1"], "from 0 on"), (["--xla=maybe"], "auto"),
    (["--train_dir=/proc/none/x"], "--train_dir"), (["--train_dir=/dev/null/x"], "--train_dir"),
])
def test_bad_flags_are_refused_in_one_line_and_nothing_is_made(tmp_path, words, says):
    poison = tmp_path / "poison" / "tensorflow"
    poison.mkdir(parents=True)
    (poison / "__init__.py").write_text("raise SystemExit('TensorFlow was imported')")
    where = tmp_path / "where"
    where.mkdir()
    done = script("main.py", *words, code=2, cwd=where, env={**os.environ, "PYTHONPATH": str(poison.parent)})
    assert says in done.stderr and done.stderr.count("\n") == 1 and not done.stdout
    assert words[0].split("=")[0] in done.stderr
    assert not list(where.iterdir())


def test_opencv_without_a_screens_libraries(tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = script("main.py", f"--train_dir={tmp_path}/s", code=2, env=env)
    assert "libGL.so.1" in done.stderr and "libgl1" in done.stderr and done.stderr.count("\n") == 1
    done = subprocess.run([str(ROOT / "run"), f"--train_dir={tmp_path}/s"], capture_output=True, text=True,
                          env={**env, "PYTHON": sys.executable})
    assert done.returncode == 2 and "libgl1" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("s_*"))


def test_help_names_every_flag():
    text = script("main.py", "--help").stdout
    for name, *_ in main.FLAGS:
        assert f"--{name} " in text
    assert "5e-05 for fully_connected" in text


def test_command_lines_of_2016():
    flags = main.parse("--model=fully_connected --num_balls=1 --beta=.1 --hidden_size=10 --lr=.00005 --weight_init=.01"
                       .split())
    assert vars(flags) == vars(main.parse(["--model=fully_connected"]))
    defaults = vars(main.parse([]))
    expected = {"train_dir": "./checkpoints/train_store", "model": "conv", "num_balls": 1, "friction": False,
                "beta": 0.1, "hidden_size": 32, "max_step": 100000, "batch_size": 128, "lr": 0.001, "keep_prob": 1.0,
                "weight_init": 0.1, "weight_decay": 0.0, "seed": 0}
    assert expected.items() <= defaults.items()
    assert main.parse(["--model=all_conv"]).hidden_size == 1
    assert main.parse(["--model=all_conv", "--lr", ".5"]).lr == 0.5


@pytest.mark.parametrize("words, folder", [
    ([], "./checkpoints/train_store_model_conv_num_balls_1_beta_0.1"),
    (["--beta=1", "--model=all_conv"], "./checkpoints/train_store_model_all_conv_num_balls_1_beta_1.0"),
    (["--friction", "--seed=1", "--num_balls=2"],
     "./checkpoints/train_store_model_conv_num_balls_2_beta_0.1_friction_seed_1"),
    (["--friction=false", "--train_dir=a b/c"], "a b/c_model_conv_num_balls_1_beta_0.1"),
    (["--friction=True", "--lr=1", "--batch_size=3"],
     "./checkpoints/train_store_model_conv_num_balls_1_beta_0.1_friction"),
])
def test_folder_is_a_function_of_the_flags(words, folder):
    assert experiment.folder(main.parse(words)) == folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 120 steps, its output and its folder, in a folder whose name has a space."""
    train_dir = tmp_path_factory.mktemp("a run") / "store"
    done = script("main.py", f"--train_dir={train_dir}", "--batch_size=8", "--max_step=120", "--save_every=25",
                  "--report_every=60", "--beta=0.5")
    return done, f"{train_dir}_model_conv_num_balls_1_beta_0.5"


def test_what_a_run_prints(run):
    done, folder = run
    for part in ("80,965 parameters", "CPU", tf.__version__, "--beta=0.5", "--lr=0.001", folder, "step 60 of 120",
                 "reconstruction", "KL", "steps/s", "min left"):
        assert part in done.stdout
    assert not done.stderr
    with open(f"{folder}/log.txt") as log:
        assert log.read() == done.stdout


def test_what_a_run_leaves(run):
    folder = run[1]
    assert tf.train.latest_checkpoint(folder) == f"{folder}/ckpt-120"
    assert experiment.steps(folder) == [120, 100, 75]
    with open(f"{folder}/flags.json") as file:
        kept = json.load(file)
    assert kept["beta"] == 0.5 and kept["lr"] == 0.001 and kept["batch_size"] == 8 and "train_dir" not in kept
    import cv2
    for name in "real_balls", "generated_balls":
        picture = cv2.imread(f"{folder}/{name}.jpg", cv2.IMREAD_GRAYSCALE)
        assert picture.shape == (32, 32)
    assert cv2.imread(f"{folder}/real_balls.jpg").max() > 200
    assert cv2.imread(f"{folder}/stddev.png").std() > 5
    with open(f"{folder}/stddev.csv") as file:
        lines = [line.split(",") for line in file.read().splitlines()]
    assert [line[0] for line in lines] == ["step", "60", "120"]
    assert all(len(line) == 33 and line[1:] == sorted(line[1:], key=float) for line in lines[1:])
    assert not [name for name in os.listdir(folder) if name.startswith(("saving", "ckpt-50")) or name.endswith(".new")]


def test_tensorboard_shows_the_same_curve_as_the_table(run):
    rows, shown = losses(run[1]), scalars(run[1])
    assert [row[0] for row in rows] == [25, 50, 60, 75, 100, 120]
    assert set(shown) == {"loss_reconstruction", "loss_vae"}
    np.testing.assert_allclose(shown["loss_reconstruction"], [row[:2] for row in rows], rtol=1e-5)
    np.testing.assert_allclose(shown["loss_vae"], [(row[0], 0.5 * row[2]) for row in rows], rtol=1e-5)
    seconds = [row[3] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_losses_are_nats_a_picture():
    """A fresh model says about one half of every pixel: 1024 ln 2 nats."""
    flags = main.parse(["--batch_size=8", "--beta=0.5", "--max_step=1"])
    model = experiment.new_model(flags)
    optimizer = main.new_optimizer(flags, model)
    positions = next(main.simulations(flags, 0))
    step = main.make_train(flags, model, optimizer, xla="off")
    first = step(np.pad(positions, [(0, main.STEPS_PER_CALL - 1), (0, 0), (0, 0), (0, 0)]), 0, 1)[0][0]
    assert float(first) == pytest.approx(1024 * np.log(2), rel=0.02)


def adam(variables, gradients, moments, step, lr):
    """Adam as its paper has it, in the form of 2016's TensorFlow; float64."""
    for variable, gradient, (m, v) in zip(variables, gradients, moments):
        m += (1 - 0.9) * (gradient - m)
        v += (1 - 0.999) * (gradient ** 2 - v)
        rate = lr * np.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step)
        variable -= rate * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize("words", [
    ["--model=conv"], ["--model=all_conv", "--num_balls=3"], ["--model=conv", "--beta=4"],
    ["--model=conv", "--weight_decay=10"], ["--model=conv", "--keep_prob=.5"]])
def test_training_is_adam_on_the_summed_loss(words):
    """Three steps in the graph equal three steps taken by hand: pictures, noise, loss, gradient, Adam."""
    flags = main.parse(words + ["--batch_size=6", "--max_step=3", "--seed=2"])
    trained, model = experiment.new_model(flags), experiment.new_model(flags)
    positions = next(main.simulations(flags, 0))
    assert positions.shape == (3, 6, flags.num_balls, 2)
    block = np.pad(positions, [(0, main.STEPS_PER_CALL - 3), (0, 0), (0, 0), (0, 0)])
    main.make_train(flags, trained, main.new_optimizer(flags, trained), xla="off")(block, 0, 3)

    values = [v.numpy().astype(float) for v in model.variables]
    moments = [(np.zeros_like(v), np.zeros_like(v)) for v in values]
    for i in range(3):
        pictures = ball_generator.render(ball_generator.simulate([(2, 0, i)], flags.num_balls, 6)[0])
        noise = architecture.normal((6, model.latents), (2 * 16 + experiment.NOISE, i))
        with tf.GradientTape() as tape:
            reconstruction, kl = model.losses(pictures, noise, flags.keep_prob, (2 * 16 + experiment.DROPOUT, i))
            loss = 6 * reconstruction + 6 * flags.beta * kl
            loss += flags.weight_decay * sum(tf.reduce_sum(v ** 2) / 2 for v in model.variables if v.name == "kernel")
        gradients = [g.numpy().astype(float) for g in tape.gradient(loss, model.variables)]
        adam(values, gradients, moments, i + 1, flags.lr)
        for variable, value in zip(model.variables, values):
            variable.assign(value)
    for variable, value in zip(trained.variables, values):
        np.testing.assert_allclose(variable.numpy(), value, atol=2e-5)


def test_each_flag_of_the_loss_changes_what_is_learnt():
    def after(*words):
        flags = main.parse([*words, "--batch_size=4", "--max_step=4"])
        model = experiment.new_model(flags)
        block = np.pad(next(main.simulations(flags, 0)), [(0, main.STEPS_PER_CALL - 4), (0, 0), (0, 0), (0, 0)])
        main.make_train(flags, model, main.new_optimizer(flags, model), xla="off")(block, 0, 4)
        return np.concatenate([v.numpy().ravel() for v in model.variables])

    plain = after()
    for words in (["--beta=1"], ["--weight_decay=.1"], ["--keep_prob=.9"], ["--lr=.002"], ["--seed=1"],
                  ["--weight_init=.2"], ["--num_balls=2"]):
        assert not np.array_equal(plain, after(*words)), words
    assert np.array_equal(plain, after("--weight_decay=0", "--keep_prob=1"))


def test_flags_that_change_nothing_warn(tmp_path):
    done = script("main.py", *TINY, f"--train_dir={tmp_path}/s", "--model=all_conv", "--keep_prob=.5")
    assert "--keep_prob=0.5 changes nothing" in done.stdout and "weight_init=0.1 changes" not in done.stdout
    done = script("main.py", *TINY, f"--train_dir={tmp_path}/t", "--model=all_conv", "--weight_init=.5")
    assert "--weight_init=0.5 changes nothing" in done.stdout


@pytest.mark.parametrize("model", ["conv", "fully_connected", "all_conv"])
def test_same_seed_same_weights_bit_for_bit(tmp_path, model):
    for name, seed in ("a", 0), ("b", 0), ("c", 5):
        script("main.py", f"--train_dir={tmp_path}/{name}", f"--model={model}", "--batch_size=16", "--max_step=60",
               f"--seed={seed}", "--save_every=60", "--num_balls=2")
    run = f"model_{model}_num_balls_2_beta_0.1"
    assert same(f"{tmp_path}/a_{run}", f"{tmp_path}/b_{run}", 60)
    assert not same(f"{tmp_path}/a_{run}", f"{tmp_path}/c_{run}_seed_5", 60)
    a, b = (open(f"{tmp_path}/{name}_{run}/ckpt-60.data-00000-of-00001", "rb").read() for name in "ab")
    assert a == b


def test_zero_steps_make_an_untrained_model(tmp_path):
    script("main.py", f"--train_dir={tmp_path}/s", "--max_step=0", "--batch_size=4")
    flags, model, step = experiment.restore(f"{tmp_path}/s_model_conv_num_balls_1_beta_0.1")
    assert step == 0
    for variable, fresh in zip(model.variables, experiment.new_model(flags).variables):
        np.testing.assert_array_equal(variable.numpy(), fresh.numpy())


def test_xla_trains_the_same(tmp_path):
    for xla in "on", "adam", "off":
        script("main.py", f"--train_dir={tmp_path}/{xla}", "--model=fully_connected", "--batch_size=8", "--max_step=50",
               f"--xla={xla}")
    run = "_model_fully_connected_num_balls_1_beta_0.1"
    (_, *off, _), = losses(f"{tmp_path}/off{run}")
    for xla in "on", "adam":
        (_, *found, _), = losses(f"{tmp_path}/{xla}{run}")
        assert found == pytest.approx(off, rel=1e-4)


def test_it_learns(trained):
    """Off the plateau: far below the best constant picture, on pictures it has not seen."""
    flags, model, step = experiment.restore(f"{trained}_model_fully_connected_num_balls_1_beta_0.1")
    assert step == 500
    pictures = ball_generator.render(ball_generator.simulate([(77, 0, i) for i in range(100)], 1, 16)).numpy()
    p = pictures.reshape(-1, 1024).mean(axis=0, dtype=float)
    constant = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()
    assert constant == pytest.approx(165, abs=5)
    found = create_error_graph.measure(None, flags, model, None)
    assert found["entropy_floor"] < found["reconstruction_loss"] < 60 and 0 < found["standard_error"] < 5


def test_fluctuation_is_of_the_steps_that_would_follow(trained, tmp_path):
    """Its two losses are those of the run continued by main.py; the folder is left as it was."""
    run = "model_fully_connected_num_balls_1_beta_0.1"
    shutil.copytree(f"{trained}_{run}", f"{tmp_path}/s_{run}")
    before = {file: os.stat(f"{trained}_{run}/{file}").st_mtime_ns for file in os.listdir(f"{trained}_{run}")}
    said = script("benchmarks/fluctuation.py", f"{trained}_{run}", "--evaluations=2").stdout
    assert before == {file: os.stat(f"{trained}_{run}/{file}").st_mtime_ns for file in os.listdir(f"{trained}_{run}")}
    script("main.py", f"--train_dir={tmp_path}/s", "--model=fully_connected", "--lr=.001", "--max_step=600",
           "--save_every=50")
    flags, model, _ = experiment.restore(f"{tmp_path}/s_{run}")
    expected = []
    for step in 550, 600:
        experiment.parts(model).read(f"{tmp_path}/s_{run}/ckpt-{step}").expect_partial()
        expected.append(create_error_graph.measure(run, flags, model, step)["reconstruction_loss"])
    numbers = re.search(r"2 evaluations from step 500 to 600: mean (.*), standard deviation (.*), (\S+) to (\S+)", said)
    assert [float(number) for number in numbers.groups()] == pytest.approx(
        [np.mean(expected), np.std(expected, ddof=1), min(expected), max(expected)], abs=0.02)
