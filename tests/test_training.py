"""What a training step computes, against Adam by hand; annealing; seeds; that it learns."""
import importlib.util
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from committed import numbers
from conftest import ROOT, losses, same, tensors, train

import architecture
import ball_generator
import main
from analysis import reconstruction, runs, scores
from architecture import tf
from training import checkpoints, data, device, load
from training.flags import name as run_name
from training.seeds import Purpose


def parse(*words):
    return main.parse(None, main.FLAGS, list(words))


def block(flags, count):
    """The first positions of a training, as its graph takes them."""
    positions = ball_generator.simulate([(flags.seed, 0, i) for i in range(count)], flags.num_balls, flags.batch_size)
    return np.pad(positions, [(0, data.STEPS_PER_CALL - count), (0, 0), (0, 0), (0, 0)])


def test_positions_are_those_of_their_steps():
    """However many are simulated at a time, wherever a run resumes, and with its balls and its friction."""
    flags = parse("--batch_size=2", "--max_step=1100", "--friction", "--num_balls=2", "--seed=3", "--save_every=70",
                  "--report_every=1000")
    for start in 0, 340, 1090:
        step = start
        for positions, count in data.blocks(flags, step):
            assert positions.shape == (data.STEPS_PER_CALL, 2, 2, 2) and 0 < count <= data.STEPS_PER_CALL
            expected = ball_generator.simulate([(3, 0, i) for i in range(step, step + count)], 2, 2, friction=True)
            np.testing.assert_array_equal(positions[:count], expected)
            for every in 50, 70, 1000:  # a row, a checkpoint and a report come at the end of a block
                assert step // every == (step + count - 1) // every
            step += count
        assert step == 1100


def test_losses_are_nats_per_image():
    """A fresh model says about one half of every pixel: 1024 ln 2 nats."""
    flags = parse("--batch_size=8", "--beta=0.5", "--max_step=1")
    model = checkpoints.new_model(flags)
    optimizer = main.new_optimizer(flags, model)
    reconstruction, _ = main.train_step(flags, model, block(flags, 1)[0], tf.constant(0, tf.int64), optimizer.apply)
    assert float(reconstruction) == pytest.approx(1024 * np.log(2), rel=0.02)


def adam(variables, gradients, moments, step, lr):
    """Adam as its paper has it, in the form of 2016's TensorFlow; float64."""
    for variable, gradient, (m, v) in zip(variables, gradients, moments, strict=True):
        m += (1 - 0.9) * (gradient - m)
        v += (1 - 0.999) * (gradient ** 2 - v)
        rate = lr * np.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step)
        variable -= rate * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize("words", [
    ["--model=all_conv", "--num_balls=3"], ["--model=conv", "--beta=4", "--weight_decay=10", "--keep_prob=.5"],
    ["--model=conv", "--beta_start=40", "--beta=10", "--beta_steps=2"]])
def test_training_is_adam_on_the_summed_loss(words):
    """Three steps in the graph equal three steps taken by hand: images, noise, loss, gradient, Adam."""
    flags = parse(*words, "--batch_size=6", "--max_step=3", "--seed=2")
    trained, model = checkpoints.new_model(flags), checkpoints.new_model(flags)
    positions = next(data.simulations(flags, 0))
    assert positions.shape == (3, 6, flags.num_balls, 2)
    np.testing.assert_array_equal(positions, block(flags, 3)[:3])
    train_steps = main.make_train_steps(flags, trained, main.new_optimizer(flags, trained), xla="off")
    terms = [term.numpy()[:3] for term in train_steps(block(flags, 3), 0, 3)]

    values = [v.numpy().astype(float) for v in model.variables]
    moments = [(np.zeros_like(v), np.zeros_like(v)) for v in values]
    for i in range(3):
        images = ball_generator.render(ball_generator.simulate([(2, 0, i)], flags.num_balls, 6)[0])
        noise = architecture.normal((6, model.latents), (2 * 16 + Purpose.NOISE, i))
        beta = (40, 25, 10)[i] if flags.beta_start else flags.beta
        with tf.GradientTape() as tape:
            reconstruction, kl = model.losses(images, noise, flags.keep_prob, (2 * 16 + Purpose.DROPOUT, i))
            loss = 6 * reconstruction + 6 * beta * kl
            loss += flags.weight_decay * sum(tf.reduce_sum(v ** 2) / 2 for v in model.variables if v.name == "kernel")
        assert [term[i] for term in terms] == pytest.approx([float(reconstruction), float(kl)], rel=1e-4)
        gradients = [g.numpy().astype(float) for g in tape.gradient(loss, model.variables)]
        adam(values, gradients, moments, i + 1, flags.lr)
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)
    for variable, value in zip(trained.variables, values, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=2e-5)


def test_beta_falls_linearly_and_then_stays():
    flags = parse("--beta=0.1", "--beta_start=20", "--beta_steps=1000")
    for step in 0, 1, 250, 500, 999, 1000, 1001, 70000:
        expected = 20 - (20 - 0.1) * min(step, 1000) / 1000
        assert float(main.beta_at(flags, step)) == pytest.approx(expected, rel=1e-5)
        assert float(main.beta_at(flags, tf.constant(step, tf.int64))) == pytest.approx(expected, rel=1e-5)
    assert float(main.beta_at(parse("--beta=2", "--beta_start=0.5", "--beta_steps=2"), 1)) == pytest.approx(1.25)
    assert float(main.beta_at(parse("--beta=0", "--beta_start=2", "--beta_steps=2"), 5)) == 0
    assert main.beta_at(parse("--beta=0.5"), 3) == 0.5


def benchmark(name):
    """The module of a benchmark."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_capacity():
    """25,000 of 50,000 steps: KL is to be 4.5 nats, and weighs 20; and no other experiment has the name."""
    capacity = benchmark("capacity")
    flags = main.parse(None, capacity.FLAGS, capacity.DEFAULTS)
    assert run_name(flags, capacity.FLAGS) == "model_conv_num_balls_1_beta_20.0_capacity_9.0_capacity_steps_50000"
    for kl in 2.0, 7.0:
        assert float(capacity.objective(flags, None, 30.0, kl, 25_000)) == 128 * (30 + 20 * 2.5)


def test_critical_betas_of_images_whose_pixels_go_together():
    """Five pixels that are always alike, and three: a code of each group can appear below 5, and below 3; below 1 one
    of any other pixel."""
    rng = np.random.default_rng(0)
    five, three, *others = (rng.random((14, 40_000)) < 0.3).astype(float)
    images = np.stack([five] * 5 + [three] * 3 + others, axis=1)
    betas, code = benchmark("critical_beta").critical_betas(images)
    assert betas[:6] == pytest.approx([5, 3, 1, 1, 1, 1], abs=0.05)
    first, second = code(images).T[:2]
    assert abs(np.corrcoef(first, five)[0, 1]) > 0.999 and abs(np.corrcoef(second, three)[0, 1]) > 0.999


@pytest.mark.usefixtures("tiny")
class TestOfTiny:
    """Where any model will do."""

    def test_each_flag_of_the_loss_changes_what_is_learnt(self):
        def after(*words, model="tiny"):
            flags = parse(f"--model={model}", "--batch_size=4", *words)
            vae = checkpoints.new_model(flags)
            optimizer = main.new_optimizer(flags, vae)
            for step in range(2):
                main.train_step(flags, vae, block(flags, 2)[step], tf.constant(step, tf.int64), optimizer.apply)
            return np.concatenate([v.numpy().ravel() for v in vae.variables])

        plain = after()
        for words in (["--beta=1"], ["--weight_decay=.1"], ["--lr=.002"], ["--seed=1"], ["--weight_init=.2"],
                      ["--num_balls=2"], ["--beta_start=1"]):
            assert not np.array_equal(plain, after(*words)), words
        assert np.array_equal(plain, after("--weight_decay=0", "--keep_prob=.5", "--beta_steps=3"))
        assert not np.array_equal(after(model="conv"), after("--keep_prob=.9", model="conv"))

    def test_without_beta_start_the_objective_is_the_plain_one(self, tmp_path, monkeypatch):
        paths = [train(tmp_path / "ours", model="tiny", batch_size=4, max_step=30, beta=0.7)]
        monkeypatch.setattr(main, "objective", lambda flags, model, rec, kl, step: 4 * (rec + 0.7 * kl))
        paths.append(train(tmp_path / "plain", model="tiny", batch_size=4, max_step=30, beta=0.7))
        assert same(*paths)
        assert [row[:3] for row in losses(paths[0])] == [row[:3] for row in losses(paths[1])]

    def test_an_annealed_run_resumes_at_its_beta(self, tmp_path, capsys):
        flags = {"model": "tiny", "batch_size": 4, "save_every": 5, "beta_start": 8, "beta": 0.5, "beta_steps": 20}
        unbroken = train(tmp_path / "unbroken", max_step=25, **flags)
        assert "so far" not in runs.read(str(unbroken)).variant and "--beta_steps" not in capsys.readouterr().out
        resumed = train(tmp_path / "resumed", max_step=10, **flags)
        assert "at --max_step=10 beta is 4.25: it reaches 0.5 at step 20" in capsys.readouterr().out
        assert runs.read(str(resumed)).variant == "annealed from β 8 in 20 steps, batch size 4, so far to β 4.25"
        resumed = train(tmp_path / "resumed", max_step=25, **flags)
        assert resumed.name == "resumed_model_tiny_num_balls_1_beta_0.5_beta_start_8.0_beta_steps_20_batch_size_4"
        assert same(unbroken, resumed)
        assert [row[-1] for row in losses(resumed)] == pytest.approx([6.125, 4.25, 2.375, 0.5, 0.5], rel=1e-5)
        constant = train(tmp_path / "constant", max_step=25, **{**flags, "beta_start": 0.5})
        assert not same(unbroken, constant)

    def test_same_seed_same_weights_bit_for_bit(self, tmp_path):
        for name, seed in ("a", 0), ("b", 0), ("c", 5):
            train(tmp_path / name, model="tiny", num_balls=2, batch_size=4, max_step=60, seed=seed)
        run = "model_tiny_num_balls_2_beta_0.1_batch_size_4"
        assert same(tmp_path / f"a_{run}", tmp_path / f"b_{run}", 60)
        assert not same(tmp_path / f"a_{run}", tmp_path / f"c_{run}_seed_5", 60)
        rows = losses(tmp_path / f"a_{run}")
        assert [row[0] for row in rows] == [50, 60] and len({row[1] for row in rows}) == 2

    def test_zero_steps_make_an_untrained_model(self, tmp_path, capsys):
        path = train(tmp_path / "store", model="tiny", max_step=0, batch_size=4)
        assert "no step taken" in capsys.readouterr().out.splitlines()[-1]
        vae = load(path)
        assert vae.step == 0
        for variable, fresh in zip(vae.model.variables, checkpoints.new_model(vae.flags).variables, strict=True):
            np.testing.assert_array_equal(variable.numpy(), fresh.numpy())

    def test_xla_trains_the_same(self, tmp_path):
        found = {xla: train(tmp_path / xla, model="tiny", batch_size=8, max_step=50, xla=xla)
                 for xla in ("off", "on", "adam")}
        (_, *terms, _, _), = losses(found["off"])
        for xla in "on", "adam":
            (_, *others, _, _), = losses(found[xla])
            assert others == pytest.approx(terms, rel=1e-4)
            for key, value in tensors(found[xla]).items():
                np.testing.assert_allclose(value, tensors(found["off"])[key], rtol=1e-2, atol=1e-3)

    def test_fluctuation_is_of_the_steps_that_would_follow(self, tmp_path):
        """Its losses are those of the run continued by main.py; the folder is left as it was."""
        fluctuation = benchmark("fluctuation")
        path = train(tmp_path / "store", model="tiny", batch_size=4, max_step=50)
        before = {file: file.stat().st_mtime_ns for file in path.iterdir()}
        run, found = fluctuation.losses_after(str(path), 2, 1)
        assert run.step == 50 and before == {file: file.stat().st_mtime_ns for file in path.iterdir()}
        expected = []
        for max_step in 100, 150:
            vae = load(train(tmp_path / "store", model="tiny", batch_size=4, max_step=max_step))
            measured = reconstruction.measure(SimpleNamespace(vae=vae, flags=vae.flags))
            expected.append(measured["reconstruction_loss"])
        assert found.tolist() == pytest.approx(expected, abs=1e-3) and expected[1] < expected[0] - 1

    def test_what_xla_compiles_follows_from_model_and_threads(self, monkeypatch):
        monkeypatch.setattr(device, "tf", mock.MagicMock())
        device.tf.config.experimental.get_device_details.return_value = {"device_name": "A card"}
        for model, threads, expected in (("fully_connected", 1, "adam"), ("fully_connected", 2, "on"),
                                         ("conv", 1, "off"), ("all_conv", 4, "off"), ("tiny", 1, "off")):
            name, xla = device.set_up(parse(f"--model={model}", f"--threads={threads}"), [])
            assert xla == expected and name == f"CPU, {threads} thread" + "s" * (threads > 1)
        assert device.set_up(parse("--model=conv", "--xla=on"), [])[1] == "on"
        assert device.set_up(parse("--model=conv"), ["gpu"]) == ("A card", "on")


def test_it_learns(trained):
    """Off the plateau: far below the best constant image, on images it has not seen."""
    vae = load(trained)
    assert vae.step == 300
    images = ball_generator.render(ball_generator.simulate([(77, 0, i) for i in range(100)], 1, 16)).numpy()
    p = images.reshape(-1, 1024).mean(axis=0, dtype=float)
    constant = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()
    assert constant == pytest.approx(165, abs=5)
    noise = np.random.default_rng(0).standard_normal((1600, vae.latents))
    found = vae.reconstruction_loss(images.reshape(-1, 32, 32, 1), noise).mean()
    assert reconstruction.entropy(images).mean() < found < 60
    assert len(vae.active) >= 2


@pytest.mark.long
def test_annealing_makes_latents_encode_one_coordinate_each_where_a_constant_beta_does_not(tmp_path):
    """README's try, up to step 20,000: six minutes."""
    vae = load(train(tmp_path / "store", model="conv", beta=8, beta_start=45, beta_steps=30000, max_step=20000))
    found = scores.measure(SimpleNamespace(vae=vae, flags=vae.flags))
    assert found["active_latents"] == 2 and found["axis_score"] > 0.9 and found["change_accuracy"] > 0.95
    constant = numbers("disentanglement.json")["model_conv_num_balls_1_beta_8.0"]
    assert constant["axis_score"] < 0.5 and constant["step"] == 100000
