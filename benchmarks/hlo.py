"""One training step as HLO, the language of XLA's compiler, and what stands in it.

    text = lowered(flags)(stage="hlo", platform_name="GPU")      for a GPU that need not be there
    found = instructions(text)                                   each with its kind, bytes and operations
"""
import dataclasses
import math
import re

import main
from architecture import keras, tf
from training import checkpoints
from training.data_sets import data_set_of


class OfTensors:
    """A model whose variables have the values of tensors."""

    def __init__(self, model, tensors):
        self.model, self.latents, self.variables = model, model.latents, tensors

    def __getattr__(self, method):
        def call(*inputs):
            with keras.StatelessScope(state_mapping=list(zip(self.model.variables, self.variables, strict=True))):
                return getattr(self.model, method)(*inputs)
        return call


def step_of_tensors(flags):
    """One step of main.py as a graph (states, step, *variables of model and optimizer) -> *variables, reconstruction,
    kl; its inputs' specs; the variables. All are tensors: TensorFlow lowers no variables for a platform that is not
    there."""
    data = data_set_of(flags)
    model = checkpoints.new_model(flags, data)
    optimizer = main.new_optimizer(flags, model)
    numbers = {id(variable): number for number, variable in enumerate(model.variables)}
    optimizer._get_variable_index = lambda variable: numbers[id(variable)]
    for method in "assign", "assign_add", "assign_sub":  # Keras's own of TensorFlow's variables
        setattr(optimizer, method, lambda variable, value, method=method: getattr(variable, method)(value))
    variables = model.variables + optimizer.variables

    def step(states, number, *tensors):
        weights = tensors[:len(model.variables)]
        losses = []

        def objective(*inputs):
            losses.append(main.objective(*inputs))
            return losses[0]

        own = OfTensors(model, weights)
        terms = main.train_step(flags, data, own, states, number, objective, lambda gradients: None)
        gradients = tf.gradients(losses[0], weights)  # the step's own tape watches variables alone
        with keras.StatelessScope(state_mapping=list(zip(variables, tensors, strict=True))):
            for gradient, variable in zip(gradients, model.variables, strict=True):
                optimizer.update_step(gradient, variable, tf.convert_to_tensor(optimizer.learning_rate))
            optimizer.iterations.assign_add(1)
            return [*(variable.value for variable in variables), *terms]

    specs = [tf.TensorSpec((flags.batch_size, *data.state_shape)), tf.TensorSpec((), tf.int64),
             *(tf.TensorSpec(variable.shape, variable.dtype) for variable in variables)]
    return tf.function(step, jit_compile=True, autograph=False), specs, variables


def lowered(flags):
    """A function of (stage, platform_name): the step as HLO."""
    step, specs, _ = step_of_tensors(flags)
    return step.experimental_get_compiler_ir(*specs)


@dataclasses.dataclass
class Instruction:
    kind: str
    shapes: list    # of its outputs: type, dimensions
    inputs: list    # instructions
    line: str

    @property
    def bytes(self):
        return sum(math.prod(shape) * (int(kind[1:]) // 8 if kind[1:].isdigit() else 1) for kind, shape in self.shapes)

    @property
    def operations(self):
        """Multiplications and additions of a dot or convolution, those with a padding's zeros too."""
        if self.kind not in ("dot", "convolution"):
            return 0
        (_, left), (_, right) = (one.shapes[0] for one in self.inputs)
        if self.kind == "dot":
            summed = re.search(r"lhs_contracting_dims={([\d,]*)}", self.line)[1]
            inner = math.prod(left[int(i)] for i in summed.split(","))
        else:
            inner = math.prod(right) // right[re.search(r"dim_labels=\w+_(\w+)->", self.line)[1].index("o")]
        return 2 * math.prod(self.shapes[0][1]) * inner


def instructions(text):
    """Those of a module's entry, in order."""
    found = {}
    for line in text[text.index("\nENTRY "):].splitlines():
        if match := re.match(r"\s+(?:ROOT )?%(\S+) = (.*?) ([a-z][a-z0-9-]*)\((.*?)\)(?:,|$)", line):
            shapes = [(kind, [int(n) for n in shape.split(",") if n])
                      for kind, shape in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", match[2])]
            inputs = [found[word] for word in re.findall(r"%([\w.-]+)", match[4]) if word in found]
            found[match[1]] = Instruction(match[3], shapes, inputs, line)
    return list(found.values())
