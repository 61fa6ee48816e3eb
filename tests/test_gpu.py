"""A training step for a GPU, on a machine without one: what it asks of the card, and benchmarks/gpu.py at a tenth."""
import re

import numpy as np
import pytest
from conftest import parse

import main
from architecture import MODELS, tf
from benchmarks import gpu, hlo, workers
from training import checkpoints
from training.data_sets import DATA_SETS, data_set_of

CASES = [(f"--model={model}", "--keep_prob=0.5", "--weight_decay=1") for model in MODELS]
CASES += [("--model=paper", f"--data_set={data_set}") for data_set in DATA_SETS if data_set != "balls"]


def lowered(flags):
    return hlo.lowered(flags)(stage="hlo", platform_name="GPU")


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_a_step_is_lowered_for_a_gpu(words):
    """All of it: images, noise, losses, gradients, the optimizer. Nothing in it asks the host or leaves float32, and
    none of the products is in TF32."""
    text = lowered(parse(*words))
    kinds = {one.kind for one in hlo.instructions(text)}
    assert "rng-bit-generator" in kinds and not kinds & {"custom-call", "infeed", "outfeed", "send", "recv"}
    assert set(re.findall(r"\b((?:f|bf|c)\d\w*)\[", text)) == {"f32"}
    products = [line for line in text.splitlines() if re.search(r" (dot|convolution)\(", line)]
    assert len(products) >= 20 and all("operand_precision={highest,highest}" in line for line in products)


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_it_is_the_step_that_main_takes(tiny, optimizer):
    flags = parse("--model=tiny", "--batch_size=4", f"--optimizer={optimizer}", "--lr=0.1")  # a step is 0.1
    data = data_set_of(flags)
    step, _, variables = hlo.step_of_tensors(flags)
    states = workers.states_of(flags, data)
    values = [tf.convert_to_tensor(variable) for variable in variables]
    for number in 0, 1:
        *values, reconstruction, _ = step(states[number], tf.constant(number, tf.int64), *values)
    model = checkpoints.new_model(flags, data)
    own = main.new_optimizer(flags, model)
    terms = main.make_train_steps(flags, data, model, own, "off")(states, 0, 2)
    np.testing.assert_allclose(reconstruction, terms[0][1], rtol=1e-6)
    for value, variable in zip(values, model.variables + own.variables, strict=True):
        np.testing.assert_allclose(value, variable, rtol=1e-4, atol=1e-4)


def test_what_a_step_asks_of_a_card():
    """Against what the table of layers says: three products a dense layer, but none to the images; convolutions' in
    the table's order."""
    flags = parse("--model=fully_connected")
    model = checkpoints.new_model(flags, data_set_of(flags))
    paper = gpu.predict(flags)
    kernels = sum(int(np.prod(variable.shape)) for variable in model.variables if len(variable.shape) == 2)
    assert paper.launches[0] == 3 * 7 - 1
    assert paper.operations == 2 * 128 * (3 * kernels - 1024 * 1200)
    assert paper.bytes[0] == pytest.approx(4 * 6 * model.count_params(), rel=1e-3)  # weights, Adam's two: in and out
    assert 1 < paper.bytes[1] / (4 * 10 * model.count_params()) < 2  # and forward, backward, gradient, Adam's seventh
    found = [one for one in hlo.instructions(lowered(parse("--model=conv"))) if one.kind == "convolution"]
    first = max(found, key=lambda one: one.inputs[0].shapes[0][1][1:] == [32, 32, 1])  # 3 x 3, 1 to 8 channels, 16 x 16
    assert first.operations == 2 * 128 * 16 * 16 * 8 * 9


@pytest.mark.long
def test_the_script_for_the_day(capfd, monkeypatch):
    """On a CPU, at a hundredth of its size."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.run(["--model=fully_connected", "--steps=5", "--together=1"]) == 0
    out = capfd.readouterr().out
    row = re.search(r"Measured on the CPU.*\| fully_connected, balls \|(.*)\|", out, re.DOTALL)[1].split("|")
    first, most = map(float, row[0].split(","))
    assert 0 < first <= most < 1e-5 and all(float(ms) > 0 for ms in row[1:4]) and " to " in row[4]
