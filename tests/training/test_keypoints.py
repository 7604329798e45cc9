"""The keypoint net on toy stacks: two balls, one above the other, in tilted slices."""

import dataclasses

import numpy as np
import pytest
import torch

from lsdc.training import keypoint_fit
from lsdc.training.keypoint_fit import (
    KeypointSettings,
    Stacks,
    augment,
    find_keypoints,
    gather,
    pick_slices,
    train_keypoints,
)
from lsdc.training.keypoints import (
    cells_mm,
    joint_log_softmax,
    load_net,
    save_net,
    soft_argmax_mm,
    target_heatmaps,
)

SIZE = 32
SETTINGS = KeypointSettings(
    width=4, epochs=12, batch_size=4, slices_per_series=3, learning_rate=1e-2
)


def toy_stacks(count: int, seed: int, slices: int = 7) -> tuple[Stacks, np.ndarray]:
    """Stacks of a large dim ball above a small bright one, and the balls' centres in mm.

    Grid steps are 5 mm across and 4 mm along, slices 6 mm apart and turned about the z axis; every
    other stack runs from right to left.
    """
    rng = np.random.default_rng(seed)
    images, planes, centres = [], [], []
    for stack in range(count):
        angle = rng.uniform(-0.2, 0.2)
        across = 5.0 * np.array([np.sin(angle), np.cos(angle), 0.0])
        along = np.array([0.0, 0.0, -4.0])
        step = 6.0 * np.array([np.cos(angle), -np.sin(angle), 0.0]) * (1 if stack % 2 else -1)
        corner = rng.uniform(-200, 200, 3)
        middle = corner + 15.5 * (across + along) + (slices - 1) / 2 * step
        spots = middle + rng.uniform(-8, 8, 3) + np.array([[0, 0, 25.0], [0, 0, -25.0]])
        at = np.arange(SIZE)
        for index in range(slices):
            origin = corner + index * step
            cells = origin + at[None, :, None] * across + at[:, None, None] * along
            image = rng.uniform(0.1, 0.3, (SIZE, SIZE))
            for spot, radius, grey in zip(spots, (16.0, 10.0), (0.3, 0.6), strict=True):
                squared = ((cells - spot) ** 2).sum(-1)
                image += grey * np.exp(-squared / (2 * (radius / 1.5) ** 2))
            images.append(np.rint(255 * image.clip(0, 1)).astype(np.uint8))
            planes.append(np.stack([origin, across, along]))
        centres.append(spots)
    starts = np.arange(count + 1) * slices
    stacks = Stacks(np.stack(images), np.stack(planes), starts, 100 + np.arange(count))
    return stacks, np.stack(centres)


def train(stacks: Stacks, targets: np.ndarray, seed: int = 0, settings=SETTINGS):
    losses: list[float] = []
    net = train_keypoints(
        stacks,
        targets,
        settings,
        seed=seed,
        device="cpu",
        on_epoch=lambda *told: losses.append(told[2]),
    )
    assert len(losses) >= settings.epochs
    return net


@pytest.fixture(scope="module", autouse=True)
def small_and_quick():
    """Nets as small as these lose time to a second thread, and need not be good."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keypoint_fit, "MIN_STEPS", 1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def taught(small_and_quick):
    stacks, centres = toy_stacks(20, seed=1)
    return train(stacks, centres)


def test_points_of_unseen_stacks_are_found_in_three_dimensions(taught):
    stacks, centres = toy_stacks(12, seed=2)
    points, confidence = find_keypoints(taught, stacks, range(12), device="cpu")
    errors = np.linalg.norm(points - centres, axis=2)
    assert np.median(errors) < 2.5
    assert errors.max() < 8.0
    assert ((confidence > 0.3) & (confidence <= 1)).all()


def test_stacks_that_were_not_asked_for_stay_unknown(taught):
    stacks, _ = toy_stacks(3, seed=2)
    points, confidence = find_keypoints(taught, stacks, [1], device="cpu")
    assert np.isfinite(points[1]).all()
    assert np.isnan(points[[0, 2]]).all()
    assert np.isnan(confidence[[0, 2]]).all()


def test_moving_the_patient_moves_the_points(taught):
    stacks, _ = toy_stacks(2, seed=2)
    moved = stacks.planes_mm.copy()
    moved[:, 0] += [100.0, -30.0, 700.0]
    shifted = Stacks(stacks.images, moved, stacks.starts, stacks.keys)
    here, _ = find_keypoints(taught, stacks, range(2), device="cpu")
    there, _ = find_keypoints(taught, shifted, range(2), device="cpu")
    np.testing.assert_allclose(
        there - here, np.broadcast_to([100, -30, 700], here.shape), atol=1e-3
    )


def test_a_net_reads_back_from_its_file(taught, tmp_path):
    save_net(taught, tmp_path / "net.safetensors", {"image_size": 32})
    stacks, _ = toy_stacks(2, seed=2)
    again = load_net(tmp_path / "net.safetensors")
    for one, other in zip(
        find_keypoints(taught, stacks, range(2), device="cpu"),
        find_keypoints(again, stacks, range(2), device="cpu"),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_training_is_the_same_to_the_bit_for_one_seed_and_another_for_another():
    stacks, centres = toy_stacks(6, seed=1)
    settings = dataclasses.replace(SETTINGS, epochs=1)
    first, same = (train(stacks, centres, 3, settings).state_dict() for _ in range(2))
    other = train(stacks, centres, 4, settings).state_dict()
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_a_stack_without_a_target_is_not_trained_on():
    stacks, centres = toy_stacks(6, seed=1)
    settings = dataclasses.replace(SETTINGS, epochs=1)
    centres[5] = np.nan
    before = train(stacks, centres, 0, settings).state_dict()
    stacks.images[stacks.slices(5)] = 200
    after = train(stacks, centres, 0, settings).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_few_stacks_are_gone_through_more_often(monkeypatch):
    monkeypatch.setattr(keypoint_fit, "MIN_STEPS", 7)
    stacks, centres = toy_stacks(6, seed=1)  # two steps an epoch
    told: list[tuple[int, int]] = []
    train_keypoints(
        stacks,
        centres,
        dataclasses.replace(SETTINGS, epochs=1),
        seed=0,
        device="cpu",
        on_epoch=lambda epoch, epochs, _: told.append((epoch, epochs)),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_stack_may_lack_one_of_its_targets():
    stacks, centres = toy_stacks(4, seed=1)
    centres[:, 1] = np.nan
    net = train(stacks, centres, 0, dataclasses.replace(SETTINGS, epochs=1))
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_soft_argmax_finds_the_place_of_a_target_heatmap_between_cells():
    planes = torch.zeros(1, 3, 3, 3)
    planes[0, :, 0, 0] = torch.tensor([-5.0, 0.0, 5.0])
    planes[0, :, 1] = torch.tensor([0.0, 2.5, 0.0])
    planes[0, :, 2] = torch.tensor([0.0, 0.0, -2.0])
    cells = cells_mm(planes, SIZE)
    mask = torch.ones(1, 3, dtype=torch.bool)
    goal = torch.tensor([[[0.0, 41.3, -30.2]]])
    point, mass = soft_argmax_mm(target_heatmaps(cells, goal, mask), cells.flatten(1, 3))
    assert torch.linalg.vector_norm(point - goal) < 0.5
    assert 0.8 < mass.item() <= 1


def test_cells_lie_between_the_grid_pixels_they_cover():
    planes = torch.tensor([[[10.0, 0, 0], [0, 2.0, 0], [0, 0, -3.0]]])
    cells = cells_mm(planes, SIZE)
    assert cells.shape == (1, 16, 16, 3)
    assert cells[0, 2, 1].tolist() == [10.0, 2.5 * 2.0, 4.5 * -3.0]


def test_padding_takes_no_share_of_a_stack():
    mask = torch.tensor([[True, False]])
    shares = joint_log_softmax(torch.zeros(1, 2, 1, 4, 4), mask).exp()
    assert shares[0, 0, :16].sum().item() == pytest.approx(1)
    assert shares[0, 0, 16:].sum().item() == 0


def test_augmentation_moves_the_planes_with_the_pixels():
    stacks, _ = toy_stacks(1, seed=1, slices=1)
    stacks.images[:] = 0
    stacks.images[0, 18, 12] = 255
    plane = stacks.planes_mm[0]
    spot = plane[0] + 12 * plane[1] + 18 * plane[2]
    batch = gather(stacks, [0], [np.array([0])])
    for seed in range(5):
        moved = augment(batch, [np.random.default_rng(seed)])
        weight = moved.images[0, 0, 1].numpy()
        weight = np.where(weight > 0.1, weight, 0)
        y, x = np.indices((SIZE, SIZE))
        origin, across, along = moved.planes_mm[0, 0].double().numpy()
        at_x, at_y = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
        seen = origin + at_x * across + at_y * along + batch.centres_mm[0]
        assert np.linalg.norm(seen - spot) < 2.0  # half a pixel


def test_the_slices_nearest_the_targets_are_always_among_those_picked():
    stacks, centres = toy_stacks(1, seed=3, slices=9)
    picks = [
        pick_slices(stacks, 0, centres[0], 4, np.random.default_rng(seed)) for seed in range(8)
    ]
    planes = stacks.planes_mm
    normal = np.cross(planes[0, 1], planes[0, 2])
    distance = np.abs((centres[0].mean(axis=0) - planes[:, 0]) @ normal)
    nearest = set(np.argsort(distance)[:2].tolist())
    assert all(nearest <= set(pick.tolist()) and len(set(pick.tolist())) == 4 for pick in picks)
    assert len({tuple(pick.tolist()) for pick in picks}) > 1
