"""The keypoint net on toy stacks: two balls, one above the other, in tilted slices.

Beside the lower ball, to the left and to the right, lies a small one: its satellites.
"""

import numpy as np
import pytest
import torch

from lsdc.errors import StageError
from lsdc.training.keypoints import fit as keypoint_fit
from lsdc.training.keypoints.batches import (
    Stacks,
    augment,
    gather,
    pick_slices,
    visible_targets,
)
from lsdc.training.keypoints.fit import train_keypoints
from lsdc.training.keypoints.inference import find_candidates, find_satellites
from lsdc.training.keypoints.losses import loss_of
from lsdc.training.keypoints.nets import (
    HeatmapNet,
    Satellites,
    cells_mm,
    joint_log_softmax,
    load_net,
    save_net,
    soft_argmax_mm,
    target_heatmaps,
)
from lsdc.training.settings.keypoints import KeypointSettings
from tests.training.runs import altered

# Small nets are slower with a second thread.
pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 32
SATELLITES = Satellites(
    anchors=np.array([1, 1]),
    boxes_mm=np.array([[[6.0, -15, -15], [26, 15, 15]], [[-26.0, -15, -15], [-6, 15, 15]]]),
)
SETTINGS = KeypointSettings(
    method="soft-argmax",
    width=6,
    epochs=24,
    min_steps=1,
    batch_size=5,
    slices_per_series=3,
    learning_rate=1.5e-2,
)
SHIFT_ALONG = 0.2


def toy_stacks(count: int, seed: int, slices: int = 7) -> tuple[Stacks, np.ndarray]:
    """Return stacks of a large dim ball above a bright one with satellites, and all centres in mm.

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
        beside = spots[1] + np.array([[14.0, 0, 4.0], [-14.0, 0, 4.0]])
        spots = np.concatenate([spots, beside])
        at = np.arange(SIZE)
        for index in range(slices):
            origin = corner + index * step
            cells = origin + at[None, :, None] * across + at[:, None, None] * along
            image = rng.uniform(0.1, 0.3, (SIZE, SIZE))
            for spot, radius, grey in zip(
                spots, (16.0, 10.0, 7.0, 7.0), (0.3, 0.6, 0.5, 0.5), strict=True
            ):
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
        SATELLITES,
        settings,
        shift_along=SHIFT_ALONG,
        seed=seed,
        device="cpu",
        on_epoch=lambda *told: losses.append(told[2]),
    )
    assert len(losses) >= settings.epochs
    return net


@pytest.fixture(scope="module")
def taught(one_thread):
    stacks, centres = toy_stacks(20, seed=1)
    return train(stacks, centres)


def find(net: HeatmapNet, stacks: Stacks) -> tuple[np.ndarray, np.ndarray]:
    """Return each stack's most likely keypoints (stacks, 2, 3), and their confidence."""
    points, shares = [], []
    for stack in range(len(stacks.keys)):
        found = find_candidates(net, stacks, stack, device="cpu")
        best = found.shares.argmax(axis=0)
        points.append(found.places_mm[best])
        shares.append(found.shares.max(axis=0))
    return np.stack(points), np.stack(shares)


def test_points_of_unseen_stacks_are_found_in_three_dimensions(taught):
    stacks, centres = toy_stacks(12, seed=2)
    points, shares = find(taught, stacks)
    errors = np.linalg.norm(points - centres[:, :2], axis=2)
    assert np.median(errors) < 2.5
    assert errors.max() < 8.0
    assert ((shares > 0.3) & (shares <= 1)).all()


def test_probability_of_all_keypoints_in_a_stack_is_below_one(taught):
    stacks, _ = toy_stacks(3, seed=2)
    for stack in range(3):
        found = find_candidates(taught, stacks, stack, device="cpu")
        assert (found.shares.sum(axis=0) <= 1 + 1e-6).all()
        apart = np.linalg.norm(found.places_mm[:, None] - found.places_mm, axis=2)
        assert (apart[~np.eye(len(apart), dtype=bool)] > 5).all()


def test_keypoint_that_is_not_in_the_stack_is_not_found(taught):
    stacks, _ = toy_stacks(6, seed=2)
    stacks.images[:, SIZE // 2 :] = 40  # the lower half, with the lower ball
    _, shares = find(taught, stacks)
    assert np.median(shares[:, 0]) > 0.3
    assert shares[:, 1].max() < 0.3


def test_satellites_are_found_on_their_own_side(taught):
    stacks, centres = toy_stacks(12, seed=2)
    found, share = find_satellites(taught, stacks, centres[:, :2], SATELLITES, device="cpu")
    errors = np.linalg.norm(found - centres[:, 2:], axis=2)
    assert np.median(errors) < 4.0
    assert ((share > 0.3) & (share <= 1)).all()
    assert (found[:, 0, 0] > centres[:, 1, 0]).all()
    assert (found[:, 1, 0] < centres[:, 1, 0]).all()


def test_satellites_of_unknown_or_distant_keypoints_are_not_found(taught):
    stacks, centres = toy_stacks(3, seed=2)
    anchors = centres[:, :2].copy()
    anchors[1, 1] = np.nan
    anchors[2, 1] += [500.0, 0, 0]
    found, share = find_satellites(taught, stacks, anchors, SATELLITES, device="cpu")
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()
    assert (share[1:] == 0).all()


def test_moving_the_patient_moves_the_points(taught):
    stacks, _ = toy_stacks(2, seed=2)
    moved = stacks.planes_mm.copy()
    moved[:, 0] += [100.0, -30.0, 700.0]
    here, _ = find(taught, stacks)
    there, _ = find(taught, Stacks(stacks.images, moved, stacks.starts, stacks.keys))
    np.testing.assert_allclose(
        there - here, np.broadcast_to([100, -30, 700], here.shape), atol=1e-3
    )


@pytest.mark.parametrize(("method", "tolerance_mm"), [("heatmap", 6.0), ("regression", 9.0)])
def test_other_methods_find_the_points(method, tolerance_mm, tmp_path):
    stacks, centres = toy_stacks(20, seed=1)
    settings = altered(SETTINGS, method=method)
    save_net(train(stacks, centres, settings=settings), tmp_path / "net.safetensors", {})
    net = load_net(tmp_path / "net.safetensors")
    stacks, centres = toy_stacks(8, seed=2)
    points, shares = find(net, stacks)
    seen = shares > 0.3  # a segmentation may find no point
    errors = np.linalg.norm(points - centres[:, :2], axis=2)[seen]
    assert seen.mean() >= 0.5
    assert np.median(errors) < tolerance_mm
    found, share = find_satellites(net, stacks, centres[:, :2], SATELLITES, device="cpu")
    offsets = found[..., 0] - centres[:, 1:2, 0]
    assert (np.isnan(offsets) | (np.sign(offsets) == [1, -1])).all()
    assert ((share > 0) == np.isfinite(offsets)).all()


def test_saved_net_gives_the_same_predictions(taught, tmp_path):
    save_net(taught, tmp_path / "net.safetensors", {"image_size": 32})
    stacks, _ = toy_stacks(2, seed=2)
    again = load_net(tmp_path / "net.safetensors")
    for one, other in zip(find(taught, stacks), find(again, stacks), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_is_bit_identical_for_equal_seeds_only():
    stacks, centres = toy_stacks(6, seed=1)
    settings = altered(SETTINGS, epochs=1)
    first, same = (train(stacks, centres, 3, settings).state_dict() for _ in range(2))
    other = train(stacks, centres, 4, settings).state_dict()
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_stack_without_targets_is_not_trained_on():
    stacks, centres = toy_stacks(6, seed=1)
    settings = altered(SETTINGS, epochs=1)
    centres[5] = np.nan
    before = train(stacks, centres, 0, settings).state_dict()
    stacks.images[stacks.slices(5)] = 200
    after = train(stacks, centres, 0, settings).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_few_stacks_are_repeated_within_an_epoch():
    stacks, centres = toy_stacks(6, seed=1)  # two steps per epoch
    told: list[tuple[int, int]] = []
    train_keypoints(
        stacks,
        centres,
        SATELLITES,
        altered(SETTINGS, epochs=1, min_steps=7),
        shift_along=SHIFT_ALONG,
        seed=0,
        device="cpu",
        on_epoch=lambda epoch, epochs, _: told.append((epoch, epochs)),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_loss_of_an_epoch_is_the_mean_over_its_points(monkeypatch):
    stacks, centres = toy_stacks(5, seed=1)
    centres[2:, 1:] = np.nan  # five stacks in two batches with different numbers of points
    batches, told = [], []

    def listen(*arguments):
        batches.append(loss_of(*arguments))
        return batches[-1]

    monkeypatch.setattr(keypoint_fit, "loss_of", listen)
    train_keypoints(
        stacks,
        centres,
        SATELLITES,
        altered(SETTINGS, epochs=1, batch_size=3),
        shift_along=SHIFT_ALONG,
        seed=0,
        device="cpu",
        on_epoch=lambda *line: told.append(line[2]),
    )
    losses, counts = zip(*[(loss.item(), int(count)) for loss, count in batches], strict=True)
    assert len(set(counts)) > 1
    assert told == [pytest.approx(np.average(losses, weights=counts))]


def test_loss_that_is_not_finite_is_an_error():
    stacks, centres = toy_stacks(4, seed=1)
    with pytest.raises(StageError, match=r"coordinates: the loss is nan .*learning_rate"):
        train(stacks, centres, 0, altered(SETTINGS, learning_rate=1e30))


def test_stack_with_one_missing_target_is_trained_on():
    stacks, centres = toy_stacks(4, seed=1)
    centres[:, 1] = np.nan
    net = train(stacks, centres, 0, altered(SETTINGS, epochs=1))
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_soft_argmax_finds_targets_between_cells():
    planes = torch.zeros(1, 3, 3, 3)
    planes[0, :, 0, 0] = torch.tensor([-5.0, 0.0, 5.0])
    planes[0, :, 1] = torch.tensor([0.0, 2.5, 0.0])
    planes[0, :, 2] = torch.tensor([0.0, 0.0, -2.0])
    cells = cells_mm(planes, SIZE)
    goal = torch.tensor([[[0.0, 41.3, -30.2]]])
    everywhere = torch.ones(1, 1, 3 * (SIZE // 2) ** 2, dtype=torch.bool)
    point, mass = soft_argmax_mm(target_heatmaps(cells, goal, everywhere), cells.flatten(1, 3))
    assert torch.linalg.vector_norm(point - goal) < 0.5
    assert 0.8 < mass.item() <= 1


def test_cells_are_centred_between_the_pixels_that_they_cover():
    planes = torch.tensor([[[10.0, 0, 0], [0, 2.0, 0], [0, 0, -3.0]]])
    cells = cells_mm(planes, SIZE)
    assert cells.shape == (1, 16, 16, 3)
    assert cells[0, 2, 1].tolist() == [10.0, 2.5 * 2.0, 4.5 * -3.0]


def test_padding_has_no_probability_and_nowhere_has_that_of_one_cell():
    mask = torch.tensor([[True, False]])
    shares = joint_log_softmax(torch.zeros(1, 2, 1, 4, 4), mask).exp()
    assert shares[0, 0, :16].sum().item() == pytest.approx(16 / 17)
    assert shares[0, 0, 16:32].sum().item() == 0
    assert shares[0, 0, 32].item() == pytest.approx(1 / 17)


def test_target_is_present_absent_or_unknown_by_its_distance_to_the_slices():
    stacks, centres = toy_stacks(1, seed=1)
    own = stacks.slices(0)
    near = int(stacks.distances(0, centres[0, :1])[0].argmin())
    for index in range(len(own)):
        batch = gather(stacks, [0], [own[[index]]])
        goal = torch.from_numpy(centres[:1] - batch.centres_mm[:, None]).float()
        shown, absent = visible_targets(batch, goal)
        away = abs(index - near)  # slices are 6 mm apart
        assert shown[0, 0].item() == (away == 0)
        if away != 1:
            assert absent[0, 0].item() == (away > 1)


def test_target_outside_the_grid_is_absent_and_an_unknown_one_is_ignored():
    stacks, centres = toy_stacks(1, seed=1)
    centres[0, 0] += [0, 0, 200.0]
    centres[0, 1] = np.nan
    batch = gather(stacks, [0], [stacks.slices(0)])
    goal = torch.from_numpy(centres[:1] - batch.centres_mm[:, None]).float()
    shown, absent = visible_targets(batch, goal)
    assert not shown[0, :2].any()
    assert absent[0, :2].tolist() == [True, False]


def test_augmentation_moves_the_planes_with_the_pixels():
    stacks, _ = toy_stacks(1, seed=1, slices=1)
    stacks.images[:] = 0
    stacks.images[0, 18, 12] = 255
    plane = stacks.planes_mm[0]
    spot = plane[0] + 12 * plane[1] + 18 * plane[2]
    batch = gather(stacks, [0], [np.array([0])])
    for seed in range(5):
        moved = augment(batch, [np.random.default_rng(seed)], shift_along=0.2)
        weight = moved.images[0, 0, 1].numpy()
        weight = np.where(weight > 0.1, weight, 0)
        y, x = np.indices((SIZE, SIZE))
        origin, across, along = moved.planes_mm[0, 0].double().numpy()
        at_x, at_y = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
        seen = origin + at_x * across + at_y * along + batch.centres_mm[0]
        assert np.linalg.norm(seen - spot) < 2.0  # half a pixel


def test_picked_slices_show_the_targets_and_change():
    stacks, centres = toy_stacks(1, seed=3, slices=9)
    picks = [
        pick_slices(stacks, 0, centres[0], 6, np.random.default_rng(seed)) for seed in range(8)
    ]
    distance = stacks.distances(0, centres[0])
    for pick in picks:
        assert len(set(pick.tolist())) == 6
        assert (np.diff(pick) > 0).all()
        assert (distance[:, pick].min(axis=1) <= 3.0).all()
    assert len({tuple(pick.tolist()) for pick in picks}) > 1
