"""The shapes against a slow renderer of one pixel at a time, and all 737,280 images against each other."""
import itertools
import math

import numpy as np
import pytest
from conftest import tf

import shape_generator as sg

DATA = sg.Shapes()
SCALES = 0.5, 0.6, 0.7, 0.8, 0.9, 1.0
PLACES = [12.625 + 1.25 * i for i in range(32)]
COUNTS = 3, 6, 40, 32, 32
render = tf.function(DATA.render, jit_compile=True)


def grid(shapes=range(3), scales=SCALES, steps=range(40), xs=PLACES, ys=PLACES):
    """All states of such values, [shapes, scales, orientations, xs, ys, 5]."""
    values = shapes, scales, [2 * math.pi * step / 40 for step in steps], xs, ys
    return np.array(list(itertools.product(*values)), np.float32).reshape(*map(len, values), 5)


def indices(states):
    """Of each factor's value, [5, ...]. Fails if a value isn't one of the factor's."""
    scale, step, x, y = (states[..., 1] * 10 - 5, states[..., 2] * 20 / math.pi,
                         (states[..., 3] - 12.625) / 1.25, (states[..., 4] - 12.625) / 1.25)
    exact = np.array([states[..., 0], scale, step, x, y])
    found = exact.round().astype(int)
    np.testing.assert_allclose(found, exact, atol=1e-4)
    assert all(0 <= each.min() and each.max() < count for each, count in zip(found, COUNTS, strict=True))
    return found


def uniform(numbers, count):
    """Check by chi-square that numbers of 0 to count - 1 are equally likely."""
    tally = np.bincount(np.ravel(numbers), minlength=count)
    expected = np.size(numbers) / count
    assert len(tally) == count and expected >= 5
    chi_square = ((tally - expected) ** 2 / expected).sum()
    assert abs(chi_square - (count - 1)) < 5 * math.sqrt(2 * (count - 1)) + 10, (chi_square, count)


def slow(shape, scale, angle, x, y):
    """The formula of each pixel, at most 1 inside: [64, 64]."""
    formula = np.empty((64, 64))
    for row in range(64):
        for column in range(64):
            right, up = (column + 0.5 - x) / (10.1 * scale), -(row + 0.5 - y) / (10.1 * scale)
            u = math.cos(angle) * right + math.sin(angle) * up
            v = math.cos(angle) * up - math.sin(angle) * right
            formula[row, column] = ((u / 0.85) ** 2 + (v / 0.72 + 0.38 - 0.9 * abs(u / 0.85)) ** 2 if shape == 0 else
                                    u ** 2 + (v / 0.52) ** 2 if shape == 1 else
                                    max(abs(u), abs(v)) / math.sqrt(0.5))
    return formula


def test_images_follow_the_formulas():
    others = (0, 0.73, 1.234, 30.1, 20.9), (1, 1.9, -2.5, 3, 40.2), (2, 0.44, 14.1, 60, 63)  # any values
    states = np.float32([*DATA.draw(1, 300), *others])
    images = DATA.render(states).numpy()
    assert images.shape == (303, 64, 64, 1) and images.dtype == np.float32
    for state, image in zip(states.astype(float), images, strict=True):
        formula = slow(*state)
        assert np.abs(formula - 1).min() > 1e-5  # no pixel that another device could round to the other side
        np.testing.assert_array_equal(image[..., 0], formula <= 1)


def test_images_differ_but_for_the_symmetries_of_oval_and_square():
    """All of them. And none has ink in the two outermost rows and columns."""
    found, ink = set(), np.zeros((64, 64, 1), bool)
    for x in PLACES:
        for y in PLACES:
            images = render(grid(xs=[x], ys=[y])).numpy().astype(bool).reshape(3, 6, 40, 64, 64, 1)
            ink |= images.any(axis=(0, 1, 2))
            bits = np.packbits(images, axis=-2).reshape(3, 6, 40, 512)
            np.testing.assert_array_equal(bits[1], np.roll(bits[1], 20, axis=1))
            np.testing.assert_array_equal(bits[2], np.roll(bits[2], 10, axis=1))
            found.update(hash(image.tobytes()) for image in bits.reshape(720, 512))
    assert len(found) == 32 * 32 * 6 * (40 + 20 + 10)
    inside = np.argwhere(ink[..., 0])
    assert inside.min() >= 2 and inside.max() <= 61


def test_states_are_uniform_and_one_by_one():
    states = DATA.simulate([(3, 0, i) for i in range(5760)], 128)  # 737,280: as many as there are
    assert states.shape == (5760, 128, 5) and states.dtype == np.float32
    found = indices(states)
    for i, count in enumerate(COUNTS):
        uniform(found[i], count)
        uniform(found[i, :, 1:] * count + found[i, :, :-1], count ** 2)  # with the image before
        uniform(found[i, 1:] * count + found[i, :-1], count ** 2)        # with the row before
        for j in range(i):
            uniform(found[i] * COUNTS[j] + found[j], count * COUNTS[j])
    drawn = len(np.unique(np.ravel_multi_index(found, COUNTS)))
    assert drawn / 737_280 == pytest.approx(1 - 1 / math.e, abs=0.002)  # of all combinations, each equally likely


def test_pairs_differ_in_one_factor_and_in_the_image():
    first, second, changed = DATA.pairs((4, 0), 40_000)
    assert first.shape == second.shape == (40_000, 5) and first.dtype == second.dtype == np.float32
    np.testing.assert_array_equal(first != second, changed[:, None] == np.arange(5))
    uniform(changed, 5)
    before, after = indices(first), indices(second)
    for i, count in enumerate(COUNTS):
        uniform(before[i], count)
        for shape in range(3):
            some = (changed == i) & (before[0] == shape)
            period = count // (1, 2, 4)[shape] if i == 2 else count
            shift = (after[i] - before[i])[some] % count
            allowed = [step for step in range(count) if step % period]
            assert set(shift) <= set(allowed)
            uniform(np.searchsorted(allowed, shift), len(allowed))
    for a, b in zip(first[:2000].reshape(20, 100, 5), second[:2000].reshape(20, 100, 5), strict=True):
        assert (render(a).numpy() != render(b).numpy()).any(axis=(1, 2, 3)).all()
    assert not np.array_equal(first, DATA.pairs((5, 0), 40_000)[0])


def test_what_the_record_says():
    assert [(factor.name, factor.kind) for factor in DATA.factors] == [
        ("shape", "class"), ("scale", "number"), ("orientation", "angle"), ("x", "number"), ("y", "number")]
    assert DATA.factors[0].labels == ("heart", "oval", "square")
    values = DATA.factors_of(DATA.draw(6, 10))
    assert values.shape == (10, 5) and values.dtype == np.float64
    numbers = {name.lower(): value for name, value in vars(sg).items()
               if name.isupper() and isinstance(value, (int, float)) and name not in ("SQUARE", "ORIENTATION")}
    assert DATA.constants() == numbers and len(numbers) == 13
    assert DATA == sg.Shapes() and hash(DATA) == hash(sg.Shapes())
