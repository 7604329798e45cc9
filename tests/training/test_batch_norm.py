"""Batch norms and batches with a single sample."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lsdc.training.batch_norm import use_running_stats_for_single_values
from lsdc.training.events import Event, StepDone, Warned
from lsdc.training.models.model import SliceModel, Task
from lsdc.training.samples import Labels, Samples, TrainingSteps
from lsdc.training.settings.model import ModelSettings
from tests.training.runs import SETTINGS, altered, run, same_weights

pytestmark = pytest.mark.usefixtures("one_thread")

ALONE = ModelSettings(
    backbone="test_resnet", rnn="none", slice_pool="mean", width=8, slice_dropout=0.0, dropout=0.0
)
CHANNELS = altered(ALONE, slices_as="channels")


def first(samples: Samples, count: int) -> Samples:
    return replace(
        samples,
        rows=samples.rows[:count],
        present=samples.present[:count],
        labels=samples.labels.map(lambda column: column[:count]),
        ids=samples.ids[:count],
    )


def build_model(
    settings: ModelSettings = CHANNELS, second_backbone: str | None = None, **task: Any
) -> SliceModel:
    """Build a model whose last feature map is one pixel, for images of 32 px."""
    torch.manual_seed(0)
    return SliceModel(
        settings,
        Task(4, 32, heads=2, classes=3, **task),
        second_backbone=second_backbone,
        pretrained=False,
    )


def sizes_seen(model: nn.Module) -> list[int]:
    """Return a list that grows by the number of samples of each training batch."""
    sizes: list[int] = []

    def note(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if module.training:
            sizes.append(len(given[0]))

    model.register_forward_pre_hook(note)
    return sizes


@pytest.mark.parametrize(
    ("count", "batch_size", "expected"),
    [(9, 4, [4, 3, 2]), (9, 2, [2, 2, 2, 3]), (9, 8, [5, 4]), (3, 2, [3]), (8, 4, [4, 4])],
)
def test_no_batch_has_a_single_sample_if_norms_need_more(
    count: int, batch_size: int, expected: list[int], blobs: Samples, tmp_path: Path
) -> None:
    model, warnings = build_model(), []
    sizes = sizes_seen(model)
    training = altered(SETTINGS, epochs=1, batch_size=batch_size)

    def listen(event: Event) -> None:
        warnings.extend([event.text] if isinstance(event, Warned) else [])

    run(model, first(blobs, count), tmp_path, settings=training, on_event=listen)
    assert sizes == expected
    assert warnings == []


def test_last_batch_has_a_single_sample_if_norms_allow_it(
    blobs: Samples, build: Callable[[], SliceModel], tmp_path: Path
) -> None:
    for number, model in enumerate((build(), build_model(ALONE))):
        sizes = sizes_seen(model)
        training = altered(SETTINGS, epochs=1, batch_size=4)
        run(model, first(blobs, 9), tmp_path / str(number), settings=training)
        assert sizes == [4, 4, 1]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 3), st.integers(0, 3))
def test_splitting_into_batches_does_not_change_the_order(
    count: int, batch_size: int, accumulate: int, done: int
) -> None:
    samples = Samples(
        np.zeros((count, 1, 1, 1), np.uint8),
        np.arange(count),
        np.ones((count, 1), bool),
        Labels(np.zeros((count, 1), np.int64)),
        tuple(map(str, range(count))),
    )

    def deal(together: bool, done: int = 0) -> list[list[int]]:
        steps = TrainingSteps(
            samples,
            lambda sample, _: sample,
            batch_size=batch_size,
            accumulate=accumulate,
            seed=3,
            workers=0,
            together=together,
        )
        found = list(steps.of_epoch(2, done))
        assert len(found) == max(0, len(steps) - done)
        return [batch.places for step in found for batch in step]

    usual, dealt = deal(together=False), deal(together=True)
    assert list(chain(*dealt)) == list(chain(*usual))
    same = max(0, len(dealt) - 2)
    assert dealt[:same] == usual[:same]
    assert deal(together=True, done=done) == dealt[done * accumulate :]
    if batch_size > 1 and count > 1:
        assert min(map(len, dealt)) > 1
        assert max(map(len, dealt)) <= max(batch_size, 3)
    if batch_size == 1 or count % batch_size != 1:
        assert dealt == usual


def test_resumed_training_with_merged_batches_is_bit_identical(
    blobs: Samples, tmp_path: Path
) -> None:
    some = first(blobs, 9)
    training = altered(SETTINGS, epochs=2, batch_size=4, checkpoint_steps=1)
    whole, resumed = build_model(), build_model()
    run(whole, some, tmp_path / "whole", settings=training)

    def die(event: Event) -> None:
        if isinstance(event, StepDone) and (event.epoch, event.step) == (1, 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(build_model(), some, tmp_path / "killed", settings=training, on_event=die)
    run(resumed, some, tmp_path / "killed", settings=training)
    assert same_weights(whole, resumed)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_norms_of_a_single_sample_use_running_statistics_with_a_warning(
    batch_size: int, blobs: Samples, tmp_path: Path
) -> None:
    """Batches of one, and batches with one sample that has slices for the second backbone."""
    present = np.ones((9, 4), bool)
    present[1:, 2:] = False
    some = replace(first(blobs, 9), present=present)
    model, warnings = build_model(second_backbone="test_resnet", second=(2, 3)), []

    def listen(event: Event) -> None:
        warnings.extend([event.text] if isinstance(event, Warned) else [])

    training = altered(SETTINGS, epochs=2, batch_size=batch_size)
    progress = run(model, some, tmp_path, settings=training, on_event=listen)
    assert len(progress.epochs) == 2
    assert ["use their running statistics" in line for line in warnings] == [True]
    assert all(module.training for module in model.train().modules())


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_one_value_per_channel_is_normalised_by_running_statistics(kind: type[Any]) -> None:
    norm, ones = (
        kind(4),
        [1] * {"BatchNorm1d": 0, "BatchNorm2d": 2, "BatchNorm3d": 3}[kind.__name__],
    )
    said: list[int] = []
    use_running_stats_for_single_values(norm, say=lambda: said.append(1))
    before = 3 + 2 * torch.randn(500, 4, *ones)
    for _ in range(50):
        norm(before)
    learnt = norm.running_mean.clone()
    one = torch.full((1, 4, *ones), 3.0)
    assert norm(one).abs().max() < 0.2
    torch.testing.assert_close(norm(one), norm.eval()(one))
    assert torch.equal(norm.running_mean, learnt)
    assert said == [1]
    norm.train()(before + 9)
    assert not torch.equal(norm.running_mean, learnt)  # it updates its statistics again
