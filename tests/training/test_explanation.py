"""Explanations: planted blobs are found, and the weights are those of the pooling."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from lsdc.training.explanation import CELLS, Explanation, explain, join_explanations
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.samples import Labels, Samples, batch_of
from lsdc.training.settings.model import ModelSettings

SIZE, SAMPLES, SHOWN = 32, 1200, 12
pytestmark = pytest.mark.usefixtures("one_thread")

NO_DROPOUT = {"slice_dropout": 0.0, "dropout": 0.0}

Places = NDArray[np.int64]


def build(
    *,
    slices: int = 4,
    second: str | None = None,
    marked: tuple[tuple[int, ...], ...] = (),
    **settings: Any,
) -> SliceModel:
    torch.manual_seed(0)
    chosen = ModelSettings(
        **({"backbone": "test_efficientnet_gn", "width": 16} | NO_DROPOUT | settings)
    )
    task = Task(slices, SIZE, heads=2, classes=2, second=(slices - 1,), items=3, marked=marked)
    return SliceModel(chosen, task, second_backbone=second, pretrained=False)


@pytest.fixture(scope="module")
def scattered() -> tuple[Samples, Places]:
    """Return samples of 4 slices, in which head k's class is 1 if slice k has a blob of 5 px.

    The blobs lie anywhere: (samples, slices, 2) are their rows and columns.
    """
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (SAMPLES, 2))
    slices = random.normal(90, 15, (SAMPLES, 4, SIZE, SIZE))
    places = random.integers(6, SIZE - 6, (SAMPLES, 4, 2))
    y, x = np.mgrid[:SIZE, :SIZE]
    for sample, head in zip(*labels.nonzero(), strict=True):
        row, column = places[sample, head]
        slices[sample, head] += 150 * (np.hypot(y - row, x - column) < 2.5)
    present = np.ones((SAMPLES, 4), dtype=bool)
    present[::5, 3] = False
    return Samples(
        slices=slices.clip(0, 255).astype(np.uint8),
        rows=np.arange(SAMPLES),
        present=present,
        labels=Labels(labels),
        ids=tuple(f"sample{number}" for number in range(SAMPLES)),
    ), places


def first(samples: Samples, count: int) -> Samples:
    return replace(
        samples,
        rows=samples.rows[:count],
        present=samples.present[:count],
        labels=samples.labels.map(lambda column: column[:count]),
        ids=samples.ids[:count],
    )


def explained(model: SliceModel, samples: Samples, *, whole_images: bool = False) -> Explanation:
    parts = explain(
        model,
        samples,
        probabilities=lambda logits: logits.softmax(dim=-1),
        batch_size=16,
        device=torch.device("cpu"),
        whole_images=whole_images,
    )
    return join_explanations(list(parts))


@pytest.fixture(scope="module")
def trained(one_thread: None, scattered: tuple[Samples, Places]) -> SliceModel:
    samples, _ = scattered
    random, model = np.random.default_rng(1), build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(70):
        batch = batch_of(samples, random.permutation(SAMPLES)[:16].tolist())
        logits = model(batch.slices, batch.present).grades
        loss = cross_entropy(logits.flatten(0, 1), batch.labels.grades.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def test_maps_and_attention_of_a_trained_model_peak_at_the_blob(
    trained: SliceModel, scattered: tuple[Samples, Places]
) -> None:
    samples, places = first(scattered[0], SHOWN), scattered[1]
    found = explained(trained, samples)
    assert found.has_attention
    with_blob = np.argwhere(samples.labels.grades)
    assert len(with_blob) > SHOWN / 2
    for sample, head in with_blob.tolist():
        maps = found.maps[sample, head]
        slice_, *cell = np.unravel_index(maps.argmax(), maps.shape)
        assert slice_ == head == found.weights[sample, head].argmax()
        # A window that covers the whole blob covers the cell.
        middle = (np.array(cell) + 0.5) * SIZE / CELLS
        assert np.abs(middle - places[sample, head]).max() < SIZE / CELLS + 2
        assert maps[head].max() > 0.2


def test_map_has_the_effect_of_hiding_a_window(scattered: tuple[Samples, Places]) -> None:
    model, samples = build(), first(scattered[0], 1)
    found = explained(model, samples)
    batch = batch_of(samples, [0])
    before = model(batch.slices, batch.present).grades.double().softmax(dim=-1)
    hidden = batch.slices.clone()
    hidden[0, 2, :8, -8:] = int(hidden[0, 2].double().mean().round())
    after = model(hidden, batch.present).grades.double().softmax(dim=-1)
    expected = ((after - before).abs().sum(dim=-1) / 2)[0].tolist()
    # Only the window at the corner covers the cell at the corner.
    np.testing.assert_allclose(found.maps[0, :, 2, 0, -1], expected, rtol=1e-3)
    assert (found.maps >= 0).all()
    assert (found.maps <= 1).all()


def test_map_of_a_whole_image_has_the_effect_of_hiding_a_window_in_all_its_slices(
    scattered: tuple[Samples, Places],
) -> None:
    model, samples = build(slices_as="threes", slices=4, second="test_resnet"), scattered[0]
    samples = replace(samples, present=np.array([[True, False, True, True]] * SAMPLES))
    samples = first(samples, 1)
    found = explained(model, samples, whole_images=True)
    batch = batch_of(samples, [0])
    before = model(batch.slices, batch.present).grades.double().softmax(dim=-1)
    hidden = batch.slices.clone()
    for slice_ in (0, 2):
        hidden[0, slice_, :8, -8:] = int(hidden[0, slice_].double().mean().round())
    after = model(hidden, batch.present).grades.double().softmax(dim=-1)
    expected = ((after - before).abs().sum(dim=-1) / 2)[0].tolist()
    assert model.images == ((0, 1, 2), (3,))
    for slice_ in (0, 2):
        np.testing.assert_allclose(found.maps[0, :, slice_, 0, -1], expected, rtol=1e-3)
    assert not found.maps[0, :, 1].any()
    alone = explained(model, samples).maps[0, :, 3]  # of an image with one slice
    np.testing.assert_allclose(found.maps[0, :, 3], alone, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"heads": "one", "slice_pool": "mlp_attention"},
        {"rnn_per_head": True, "pixels": "sample"},
        {"slices_as": "threes", "second": "test_resnet", "slices": 7},
        {"slice_pool": "mean_max"},
        {"slice_pool": "mean", "rnn": "none", "slices_as": "channels"},
    ],
    ids=str,
)
def test_weights_sum_to_one_over_the_slices_that_are_present(settings: dict[str, Any]) -> None:
    count = settings.get("slices", 4)
    random = np.random.default_rng(0)
    present = np.ones((3, count), dtype=bool)
    present[0, 1:3] = present[1] = False
    samples = Samples(
        slices=random.integers(0, 256, (3, count, SIZE, SIZE), dtype=np.uint8),
        rows=np.arange(3),
        present=present,
        labels=Labels(np.zeros((3, 2), np.int64)),
        ids=("a", "b", "c"),
    )
    found = explained(build(**settings), samples)
    assert found.has_attention == ("attention" in settings.get("slice_pool", "attention"))
    assert found.weights.shape == (3, 2, count)
    assert ((found.weights >= 0) & (found.weights <= 1)).all()
    absent = np.broadcast_to(~present[:, np.newaxis], found.weights.shape)
    assert not found.weights[absent].any()
    assert not found.maps[absent].any()
    sums = np.broadcast_to([[1.0], [0.0], [1.0]], (3, 2))  # the second sample has no slice
    np.testing.assert_allclose(found.weights.sum(axis=-1), sums, atol=1e-6)


def test_slices_of_one_image_share_its_weight() -> None:
    model = build(slices_as="threes", slices=6)
    random = np.random.default_rng(0)
    present = np.array([[True, False, True, True, True, True]])
    slices = random.integers(0, 256, (1, 6, SIZE, SIZE), dtype=np.uint8)
    samples = Samples(slices, np.arange(1), present, Labels(np.zeros((1, 2), np.int64)), ("a",))
    batch = batch_of(samples, [0])
    model.eval()
    attention = model.attention(*model.encode(batch.slices, batch.present))
    assert attention is not None
    one, other = attention[0, 1].tolist()
    shared = [one / 2, 0, one / 2, *[other / 3] * 3]
    np.testing.assert_allclose(explained(model, samples).weights[0, 1], shared, rtol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_map_of_a_sample_with_context_leaves_the_other_samples_of_its_study_unchanged(
    scattered: tuple[Samples, Places], kind: str
) -> None:
    model = build(study_context=kind, head_width=16).eval()
    members = np.array([[7, 0], [7, 1], [7, 2], [9, 0]])
    samples = replace(first(scattered[0], 4), members=members)
    (found,) = explain(
        model,
        samples,
        probabilities=lambda logits: logits.softmax(dim=-1),
        batch_size=16,
        device=torch.device("cpu"),
        places=[1],
    )
    batch = batch_of(samples, range(3))
    hidden = batch.slices.clone()
    hidden[1, 2, :8, -8:] = int(hidden[1, 2].double().mean().round())
    before, after = (
        model(slices, batch.present, torch.tensor(members[:3])).grades[1].double().softmax(dim=-1)
        for slices in (batch.slices, hidden)
    )
    expected = ((after - before).abs().sum(dim=-1) / 2).tolist()
    np.testing.assert_allclose(found.maps[0, :, 2, 0, -1], expected, rtol=1e-3, atol=1e-7)


def test_told_slices_are_those_of_the_model(scattered: tuple[Samples, Places]) -> None:
    model, samples = build(marked=((0, 1), (2, 3))), first(scattered[0], 3)
    found = explained(model, samples)
    batch = batch_of(samples, range(3))
    expected = model.told(*model.encode(batch.slices, batch.present))
    assert expected is not None
    assert found.told is not None
    np.testing.assert_allclose(found.told, expected.detach(), rtol=1e-4)
    assert not found.told[0, 1, 3]  # the slice is absent
    assert explained(build(), samples).told is None
