"""The physics against a slow, obvious simulation of one scalar at a time; the images against their formula."""
import math

import numpy as np
import pytest

import ball_generator as bg
from analysis import reconstruction


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
    fast = bg.simulate(seeds, num_balls, 128, friction)
    assert fast.shape == (8, 128, num_balls, 2) and fast.dtype == np.float32
    for i, (position, velocity) in enumerate(zip(*bg.starts(seeds, num_balls), strict=True)):
        np.testing.assert_allclose(fast[i], slow(position, velocity, 128, friction), atol=2e-4)


def test_the_trajectories_compared_do_hit_walls_and_each_other():
    positions = bg.simulate([(5, 0, i) for i in range(8)], 2, 128)
    assert (np.abs(positions - 5) > 3.8).any(axis=(1, 2, 3)).all()
    gap = np.linalg.norm(positions[:, :, 0] - positions[:, :, 1], axis=-1)
    assert (gap < 2.4).any(axis=1).sum() >= 4


def test_energy_is_kept_without_friction_and_lost_with_it():
    for friction in False, True:
        x, v = (np.moveaxis(part, 0, -1).copy() for part in bg.starts([(1, 0, i) for i in range(50)], 3))
        energy = (v ** 2).sum(axis=(0, 1))
        np.testing.assert_allclose(energy, 0.25)
        for _ in range(400):
            bg._sub_step(x, v, friction)
        after = (v ** 2).sum(axis=(0, 1))
        assert (after < energy).all() if friction else np.allclose(after, energy)


def test_friction_pulls_balls_down():
    """Down is where y grows, as rows of an image do."""
    positions = bg.simulate([(2, 0, i) for i in range(50)], 1, 1000, friction=True)
    assert positions[:, -1, 0, 1].mean() > 8


def test_a_lone_ball_never_goes_far_past_a_wall():
    positions = bg.simulate([(3, 0, i) for i in range(200)], 1, 1000)
    past = max(1.2 - positions.min(), positions.max() - 8.8)
    assert 0.1 < past <= 0.25


@pytest.mark.parametrize("num_balls", range(1, 7))
def test_starts(num_balls):
    positions, velocities = bg.starts([(0, 0, i) for i in range(100)], num_balls)
    assert positions.min() >= 2 and positions.max() <= 8.8
    assert positions.min() < 2.5 and positions.max() > 8.3  # and fill that range
    for i in range(num_balls):
        for j in range(i):
            assert np.linalg.norm(positions[:, i] - positions[:, j], axis=-1).min() >= 2.4
    np.testing.assert_allclose(np.sqrt((velocities ** 2).sum(axis=(1, 2))), 0.5)


def test_a_start_depends_on_its_own_seed_alone():
    alone = bg.simulate([(7, 0, 3)], 2, 20)
    among = bg.simulate([(7, 0, i) for i in range(6)], 2, 20)
    np.testing.assert_array_equal(alone[0], among[3])
    assert len(np.unique(among[:, 0].reshape(6, -1), axis=0)) == 6
    assert not np.array_equal(alone, bg.simulate([(8, 0, 3)], 2, 20))


def test_frames_of_a_batch_are_consecutive():
    positions = bg.simulate([(0, 0, 0)], 1, 128)[0, :, 0]
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=-1)
    assert steps.max() <= 0.5 + 1e-5  # two sub-steps of 0.25
    assert np.median(steps) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("num_balls", [1, 2, 5])
def test_images_follow_the_formula(num_balls):
    positions = bg.simulate([(0, 0, i) for i in range(3)], num_balls, 4).astype(np.float64)
    expected = np.zeros((3, 4, 32, 32))
    for row in range(32):
        for column in range(32):
            for ball in range(num_balls):
                square = (((column + 0.5) * 10 / 32 - positions[:, :, ball, 0]) ** 2
                          + ((row + 0.5) * 10 / 32 - positions[:, :, ball, 1]) ** 2)
                expected[:, :, row, column] += np.exp(-(square / 1.44) ** 4)
    images = bg.render(positions.astype(np.float32)).numpy()
    assert images.shape == (3, 4, 32, 32, 1)
    np.testing.assert_allclose(images[..., 0], np.minimum(expected, 1), atol=1e-4)


@pytest.mark.parametrize("num_balls, floor", [(1, 21.12), (2, 42.19)])
def test_entropy_floor_of_the_images(num_balls, floor):
    images = bg.render(bg.simulate([(9, 0, i) for i in range(300)], num_balls, 16)).numpy()
    assert reconstruction.entropy(images).mean() == pytest.approx(floor, abs=0.03)
    clipped = np.clip(images.astype(float), 1e-300, 1 - 1e-16)
    slow_entropy = -(clipped * np.log(clipped) + (1 - clipped) * np.log(1 - clipped)).sum(axis=(-3, -2, -1)).mean()
    assert reconstruction.entropy(images).mean() == pytest.approx(slow_entropy, abs=1e-6)


def test_every_constant_of_the_data_is_recorded():
    """A run is refused when one of them has changed, so none may be left out."""
    numbers = {name.lower(): value for name, value in vars(bg).items()
               if name.isupper() and isinstance(value, (int, float)) and name != "MAX_BALLS"}
    assert bg.constants() == numbers and len(numbers) >= 10
