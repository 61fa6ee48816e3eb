"""The physics against a slow, obvious simulation of one scalar at a time; the images against their formula."""
import math

import numpy as np
import pytest

import ball_generator as bg
from analysis.samples import entropy
from ball_generator import Balls


def slow(positions, velocities, frames, friction):
    """One trajectory, ball by ball and coordinate by coordinate."""
    x, v, n = [list(p) for p in positions], [list(p) for p in velocities], len(positions)
    record = []
    for _ in range(frames):
        record.append([list(p) for p in x])
        for _ in range(2):
            for ball in range(n):
                x[ball][0] += 0.5 * v[ball][0]
                x[ball][1] += 0.5 * v[ball][1]
            if friction:
                for ball in range(n):
                    if x[ball][1] + 1.2 < 10:
                        v[ball][1] += 0.003
                    for k in range(2):
                        v[ball][k] -= 0.005 * v[ball][k]
            for ball in range(n):
                for k in range(2):
                    if x[ball][k] - 1.2 < 0:
                        v[ball][k] = abs(v[ball][k])
                    if x[ball][k] + 1.2 > 10:
                        v[ball][k] = -abs(v[ball][k])
            for i in range(n):
                for j in range(i):
                    dx, dy = x[i][0] - x[j][0], x[i][1] - x[j][1]
                    distance = math.sqrt(dx * dx + dy * dy)
                    if distance < 2.4:
                        dx, dy = dx / distance, dy / distance
                        along_i = v[i][0] * dx + v[i][1] * dy
                        along_j = v[j][0] * dx + v[j][1] * dy
                        v[i][0] += (along_j - along_i) * dx
                        v[i][1] += (along_j - along_i) * dy
                        v[j][0] += (along_i - along_j) * dx
                        v[j][1] += (along_i - along_j) * dy
    return np.array(record)


@pytest.mark.parametrize("friction", [False, True])
@pytest.mark.parametrize("num_balls", [1, 2, 3, 4])
def test_simulation_equals_the_slow_one_frame_by_frame(num_balls, friction):
    seeds = [(5, 0, i) for i in range(8)]
    fast = Balls(num_balls, friction).simulate(seeds, 128)
    assert fast.shape == (8, 128, num_balls, 2) and fast.dtype == np.float32
    for i, (position, velocity) in enumerate(zip(*bg.starts(seeds, num_balls), strict=True)):
        np.testing.assert_allclose(fast[i], slow(position, velocity, 128, friction), atol=2e-4)
    assert (np.abs(fast - 5) > 3.8).any(axis=(1, 2, 3)).all()  # all hit walls, and of more balls each other
    if num_balls > 1:
        assert (np.linalg.norm(bg.gaps(fast), axis=-1) < 2.4).any(axis=(1, 2)).sum() >= 4


@pytest.mark.parametrize("num_balls", range(1, 7))
def test_starts(num_balls):
    positions, velocities = bg.starts([(0, 0, i) for i in range(100)], num_balls)
    assert 2 <= positions.min() < 2.5 and 8.3 < positions.max() <= 8.8  # and fill that range
    for i in range(num_balls):
        for j in range(i):
            assert np.linalg.norm(positions[:, i] - positions[:, j], axis=-1).min() >= 2.4
    np.testing.assert_allclose(np.sqrt((velocities ** 2).sum(axis=(1, 2))), 0.5)
    np.testing.assert_array_equal(Balls(num_balls).simulate(7, 20), Balls(num_balls).simulate([(7,)], 20)[0])


@pytest.mark.parametrize("num_balls", [1, 2, 5])
def test_images_follow_the_formula(num_balls):
    balls = Balls(num_balls)
    positions = balls.simulate([(0, 0, i) for i in range(3)], 4).astype(np.float64)
    expected = np.zeros((3, 4, 32, 32))
    for row in range(32):
        for column in range(32):
            for ball in range(num_balls):
                square = (((column + 0.5) * 10 / 32 - positions[:, :, ball, 0]) ** 2
                          + ((row + 0.5) * 10 / 32 - positions[:, :, ball, 1]) ** 2)
                expected[:, :, row, column] += np.exp(-(square / 1.44) ** 4)
    images = balls.render(positions).numpy()
    assert images.shape == (3, 4, *balls.image_shape) and images.dtype == np.float32
    np.testing.assert_allclose(images[..., 0], np.minimum(expected, 1), atol=1e-4)


@pytest.mark.parametrize("num_balls, floor", [(1, 21.12), (2, 42.19)])
def test_entropy_floor_of_the_images(num_balls, floor):
    """The least that a reconstruction loss can be: known from 2016's images."""
    images = Balls(num_balls).render(Balls(num_balls).simulate([(9, 0, i) for i in range(300)], 16)).numpy()
    assert entropy(images).mean() == pytest.approx(floor, abs=0.03)
    clipped = np.clip(images.astype(float), 1e-300, 1 - 1e-16)
    slowly = -(clipped * np.log(clipped) + (1 - clipped) * np.log(1 - clipped)).sum(axis=(-3, -2, -1)).mean()
    assert entropy(images).mean() == pytest.approx(slowly, abs=1e-6)


@pytest.mark.parametrize("num_balls, friction", [(1, False), (2, False), (3, False), (2, True)])
def test_positions_drawn_one_by_one(num_balls, friction):
    balls = Balls(num_balls, friction)
    positions = balls.draw((0, 5, 9), 500)
    assert positions.shape == (500, *balls.state_shape)
    np.testing.assert_array_equal(positions, balls.draw((0, 5, 9), 500))
    assert not np.array_equal(positions, balls.draw((0, 5, 8), 500))
    assert len(np.unique(positions.reshape(500, -1), axis=0)) == 500
    if friction:
        trajectories = balls.simulate([(0, 5, 9, i) for i in range(500)], 128)
        assert all((one == many).all(axis=(1, 2)).any() for one, many in zip(
            positions.astype(np.float32), trajectories, strict=True))
    else:
        assert positions.min() >= 1.2 and positions.max() <= 8.8 and np.abs(positions.mean(axis=0) - 5).max() < 0.5
        if num_balls > 1:
            assert np.linalg.norm(bg.gaps(positions), axis=-1).min() >= 2.4


def test_factors_are_of_a_set_without_order():
    """Two balls at (1, 2) and (4, 6): centroid (2.5, 4), separation (3, 4) squared as a complex number -7 + 24 i."""
    positions = np.array([[[1, 2], [4, 6]], [[4, 6], [1, 2]]], float)
    np.testing.assert_allclose(Balls(2).factors_of(positions), [[2.5, 4, -7, 24]] * 2)
    three = Balls(3).draw((1,), 20)
    np.testing.assert_allclose(Balls(3).factors_of(three), Balls(3).factors_of(three[:, [2, 0, 1]]))
    np.testing.assert_array_equal(Balls().factors_of(positions[:, :1]), positions[:, 0])
    for name, (one, other) in Balls(2).examples.items():  # differ in the factor of that name alone
        values = Balls(2).factors_of(np.array([one, other], float))
        differs = np.abs(values[0] - values[1]) > 1e-9
        assert [factor.name for factor, there in zip(Balls(2).factors, differs, strict=True) if there] == [name]


def test_pairs_differ_in_one_coordinate():
    first, second, changed = Balls().pairs((0, 5, 1), 400)
    differs = (first != second)[:, 0]
    np.testing.assert_array_equal(differs, np.eye(2, dtype=bool)[changed])
    assert 150 < changed.sum() < 250 and min(first.min(), second.min()) >= 1.2 and max(first.max(), second.max()) <= 8.8
    assert Balls(2).pairs((0,), 1) is None and Balls(friction=True).pairs((0,), 1) is None


def test_every_constant_of_the_data_is_recorded():
    """A run is refused when one of them has changed, so none may be left out."""
    numbers = {name.lower(): value for name, value in vars(bg).items() if name.isupper() and isinstance(
        value, (int, float)) and name not in ("MAX_BALLS", "FRAMES", "LOW", "HIGH")}
    assert Balls(friction=True).constants() == numbers and len(numbers) == 10
    assert Balls().constants().keys() == numbers.keys() - {"gravity", "drag"}
