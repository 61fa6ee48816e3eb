"""What a training step computes, against optimizers by hand; annealing; seeds; that it learns."""
import itertools
from unittest import mock

import numpy as np
import pytest
from conftest import arrays, losses, parse, same, train

import architecture
import main
from analysis import load
from analysis.samples import entropy
from architecture import tf
from ball_generator import Balls
from training import batches, checkpoints, device
from training.data_sets import data_set_of
from training.seeds import Evaluation, Purpose, graph_seed


@pytest.mark.parametrize("words, data", [
    (["--num_balls=2", "--friction"], Balls(2, True)), (["--data_set=shapes"], None)])
def test_states_are_those_of_their_steps(words, data):
    """However many are simulated at a time, wherever a run resumes."""
    flags = parse(*words, "--batch_size=2", "--max_step=1100", "--seed=3", "--save_every=70", "--report_every=1000")
    data = data or data_set_of(flags)
    for start in 0, 340, 1090:
        step = start
        for states, count in batches.blocks(flags, data_set_of(flags), step):
            assert states.shape == (batches.STEPS_PER_CALL, 2, *data.state_shape) and 0 < count <= len(states)
            expected = data.simulate([(3, 0, i) for i in range(step, step + count)], 2)
            np.testing.assert_array_equal(states[:count], expected)
            for every in 50, 70, 1000:  # a row, a checkpoint and a report come at the end of a block
                assert step // every == (step + count - 1) // every
            step += count
        assert step == 1100


def test_random_numbers_of_two_purposes_never_meet():
    seeds = [graph_seed(seed, purpose) for seed in range(100) for purpose in Purpose.__members__.values()]
    assert len(set(seeds)) == len(seeds)
    trajectories = [(0, Purpose.EVALUATION, number) for number in range(100)]
    seeds = [*trajectories, *(kind.seed for kind in Evaluation.__members__.values())]
    assert not any(one == other for one, other in itertools.combinations(seeds, 2))


def adam(state, gradient, step, lr):
    """Adam as its paper has it, in the form of 2016's TensorFlow; float64."""
    m, v = state.setdefault("m", 0 * gradient), state.setdefault("v", 0 * gradient)
    m += (1 - 0.9) * (gradient - m)
    v += (1 - 0.999) * (gradient ** 2 - v)
    return lr * np.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step) * m / (np.sqrt(v) + 1e-8)


def adagrad(state, gradient, step, lr):
    """Adagrad as Keras has it: sums of squares that start at 0.1."""
    total = state.setdefault("sum", np.full_like(gradient, 0.1))
    total += gradient ** 2
    return lr * gradient / np.sqrt(total + 1e-7)


@pytest.mark.parametrize("words, optimizer", [
    (["--model=all_conv", "--num_balls=3"], adam),
    (["--model=conv", "--beta=4", "--weight_decay=10", "--keep_prob=.5"], adam),
    (["--model=conv", "--beta_start=40", "--beta=10", "--beta_steps=2"], adam),
    (["--model=conv", "--optimizer=adagrad", "--friction"], adagrad),
    (["--model=paper", "--data_set=shapes", "--weight_init=.01"], adagrad)])
def test_training_takes_the_optimizers_steps_on_the_summed_loss(words, optimizer):
    """Three steps in the graph equal three steps by hand: images, noise, loss, gradient, optimizer."""
    flags = parse(*words, "--batch_size=6", "--max_step=3", "--seed=2")
    data = data_set_of(flags)
    trained, model = checkpoints.new_model(flags, data), checkpoints.new_model(flags, data)
    states, count = next(batches.blocks(flags, data, 0))
    assert count == 3
    train_steps = main.make_train_steps(flags, data, trained, main.new_optimizer(flags, trained), xla="off")
    terms = [term.numpy()[:3] for term in train_steps(states, 0, 3)]

    values, memory = [v.numpy().astype(float) for v in model.variables], [{} for _ in model.variables]
    for i in range(3):
        images = data.render(data.simulate([(2, 0, i)], 6)[0])
        noise = architecture.normal((6, model.latents), (2 * 16 + Purpose.NOISE, i))
        beta = (40, 25, 10)[i] if flags.beta_start else flags.beta
        with tf.GradientTape() as tape:
            reconstruction, kl = model.losses(images, noise, flags.keep_prob, (2 * 16 + Purpose.DROPOUT, i))
            loss = 6 * reconstruction + 6 * beta * kl
            loss += flags.weight_decay * sum(tf.reduce_sum(v ** 2) / 2 for v in model.variables if v.name == "kernel")
        assert [term[i] for term in terms] == pytest.approx([float(reconstruction), float(kl)], rel=1e-3)
        if not i:  # a fresh model says about one half of every pixel: ln 2 nats each
            assert terms[0][0] == pytest.approx(np.prod(data.image_shape) * np.log(2), rel=0.02)
        gradients = [g.numpy().astype(float) for g in tape.gradient(loss, model.variables)]
        for variable, value, gradient, state in zip(model.variables, values, gradients, memory, strict=True):
            value -= optimizer(state, gradient, i + 1, flags.lr)
            variable.assign(value)
    for variable, value in zip(trained.variables, values, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-4, atol=2e-5)


@pytest.mark.usefixtures("tiny")
class TestOfTiny:
    """Where any model will do."""

    def test_each_flag_of_the_experiment_changes_what_is_learnt(self, tmp_path):
        number = iter(range(99))

        def after(model="tiny", **flags):
            return train(tmp_path / str(next(number)), model=model, **{"batch_size": 4, "max_step": 3, **flags})

        plain = after()
        for key, value in {"beta": 1, "weight_decay": .1, "lr": .002, "seed": 1, "weight_init": .2, "num_balls": 2,
                           "beta_start": 1, "friction": "true", "optimizer": "adagrad", "init_from": plain}.items():
            other = after(**{key: value})
            a, b = arrays(plain, 3), arrays(other, 3)
            assert any(not np.array_equal(a[name], b[name]) for name in a if name.startswith("encoder")), key
        assert same(plain, after()) and same(plain, after(weight_decay=0, keep_prob=.5, beta_steps=3))
        assert not same(after("conv"), after("conv", keep_prob=.9))

    def test_an_objective_of_the_users_own(self, tmp_path):
        """The plain one written out trains the same; another does not."""
        def run(name, objective):
            words = [f"--train_dir={tmp_path}/{name}", "--model=tiny", "--batch_size=4", "--max_step=20", "--beta=0.7"]
            assert main.main(words, objective) == 0
            return tmp_path / f"{name}_model_tiny_num_balls_1_beta_0.7_batch_size_4"

        ours = train(tmp_path / "ours", model="tiny", batch_size=4, max_step=20, beta=0.7)
        assert same(ours, run("plain", lambda flags, model, rec, kl, step: 4 * (rec + 0.7 * kl)))
        assert not same(ours, run("other", lambda flags, model, rec, kl, step: 4 * (rec + 0.7 * abs(kl - 9))))

    def test_an_annealed_run_resumes_at_its_beta(self, tmp_path, capsys):
        flags = {"model": "tiny", "batch_size": 4, "save_every": 5, "beta_start": 8, "beta": 0.5, "beta_steps": 20}
        unbroken = train(tmp_path / "unbroken", max_step=25, **flags)
        assert "--beta_steps" not in capsys.readouterr().err
        train(tmp_path / "resumed", max_step=10, **flags)
        assert "at --max_step=10 beta is 4.25: it reaches 0.5 at step 20" in capsys.readouterr().err
        resumed = train(tmp_path / "resumed", max_step=25, **flags)
        assert resumed.name == "resumed_model_tiny_num_balls_1_beta_0.5_beta_start_8.0_beta_steps_20_batch_size_4"
        assert same(unbroken, resumed)
        assert [row[-1] for row in losses(resumed)] == pytest.approx([6.125, 4.25, 2.375, 0.5, 0.5], rel=1e-5)

    def test_xla_trains_the_same(self, tmp_path):
        found = {xla: train(tmp_path / xla, model="tiny", batch_size=8, max_step=50, xla=xla)
                 for xla in ("off", "on", "adam")}
        (_, *terms, _, _), = losses(found["off"])
        for xla in "on", "adam":
            (_, *others, _, _), = losses(found[xla])
            assert others == pytest.approx(terms, rel=1e-4)
            for key, value in arrays(found[xla]).items():
                np.testing.assert_allclose(value, arrays(found["off"])[key], rtol=1e-2, atol=1e-3)
            assert f"XLA {xla}" in (found[xla] / "log.txt").read_text()

    def test_what_xla_compiles_follows_from_model_threads_and_card(self, monkeypatch):
        monkeypatch.setattr(device, "tf", mock.MagicMock())
        device.tf.config.experimental.get_device_details.return_value = {"device_name": "A card"}
        device.tf.config.list_physical_devices.return_value = []
        device.tf.config.threading.get_intra_op_parallelism_threads.return_value = 0
        for model, threads, expected in (("fully_connected", 1, "adam"), ("fully_connected", 2, "on"),
                                         ("conv", 1, "off"), ("all_conv", 4, "off"), ("paper", 1, "adam")):
            name, xla = device.set_up(parse(f"--model={model}", f"--threads={threads}"))
            assert xla == expected and name == f"CPU, {threads} thread" + "s" * (threads > 1)
        assert device.set_up(parse("--model=conv", "--xla=on"))[1] == "on"
        device.tf.config.list_physical_devices.return_value = ["gpu"]
        assert device.set_up(parse("--model=conv")) == ("A card", "on")


def test_it_learns(trained):
    """Off the plateau: far below the best constant image, on images it has not seen."""
    vae = load(trained)
    images = Balls().render(Balls().simulate([(77, 0, i) for i in range(100)], 16)).numpy().reshape(-1, 32, 32, 1)
    p = images.reshape(-1, 1024).mean(axis=0, dtype=float)
    constant = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()
    assert constant == pytest.approx(165, abs=5)
    noise = np.random.default_rng(0).standard_normal((1600, vae.latents))
    assert entropy(images).mean() < vae.reconstruction_loss(images, noise).mean() < 60
    assert vae.step == 300 and len(vae.active) >= 2


@pytest.mark.long
def test_annealing_makes_latents_encode_one_coordinate_each(tmp_path):
    """README's try, up to step 20,000: six minutes."""
    found = load(train(tmp_path / "store", model="conv", beta=8, beta_start=45, beta_steps=30000, max_step=20000))
    scores = found.scores()
    assert len(found.active) == 2 and scores["sap"] > 0.85 and scores["change_accuracy"] > 0.95
