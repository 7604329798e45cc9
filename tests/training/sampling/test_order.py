"""Samples drawn by study: how many, which, and that they depend on seed and epoch alone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lsdc.training.samples import Samples, TrainingSteps
from lsdc.training.sampling.order import StudyDraw
from lsdc.training.settings.training import BatchBy
from tests.training.runs import jitter

STUDIES = np.repeat([7, 3, 5], [10, 2, 12])  # of the 24 samples


def drawn(samples: Samples, size: int = 4, weights: list[float] | None = None) -> Samples:
    members = np.column_stack([STUDIES, np.arange(24)])
    return replace(samples, members=members, draw=StudyDraw(size, np.array(weights or [1.0] * 24)))


def shown(
    samples: Samples, epoch: int, *, done: int = 0, batch_by: BatchBy = "sample"
) -> list[list[int]]:
    steps = TrainingSteps(
        samples, jitter, batch_size=3, accumulate=1, seed=1, workers=0, batch_by=batch_by
    )
    batches = [batch for step in steps.of_epoch(epoch, done) for batch in step]
    assert len(steps) == len(batches) + done
    return [batch.places for batch in batches]


def test_an_epoch_shows_as_many_samples_of_each_study(blobs: Samples) -> None:
    places = [place for batch in shown(drawn(blobs), 1) for place in batch]
    assert len(set(places)) == len(places)
    assert Counter(STUDIES[places].tolist()) == {7: 4, 3: 2, 5: 4}


def test_the_draw_is_a_function_of_seed_and_epoch(blobs: Samples) -> None:
    samples = drawn(blobs)
    first, second = shown(samples, 1), shown(samples, 2)
    assert first != second
    assert {place for batch in first for place in batch} != {
        place for batch in second for place in batch
    }
    assert shown(samples, 2) == second
    assert shown(samples, 2, done=2) == second[2:]  # after a resume


def test_over_many_epochs_weights_decide_how_often_a_sample_is_shown() -> None:
    weights = np.ones(24)
    weights[[0, 12]] = 20
    draw = StudyDraw(2, weights)
    counts = np.zeros(24)
    for epoch in range(400):
        counts[draw.places(STUDIES, np.random.default_rng(epoch))] += 1
    assert (counts[10:12] == 400).all()  # a study of two
    others = np.delete(counts[:10], 0)
    assert counts[0] > 300
    assert counts[12] > 300
    assert np.ptp(others) < 80  # alike but for chance: 400 x 1.1 / 9, give or take 4 x 6.5


def test_a_study_stays_together_if_asked(blobs: Samples) -> None:
    batches = shown(drawn(blobs), 1, batch_by="study")
    (places,) = batches  # three studies a batch
    assert Counter(STUDIES[places].tolist()) == {7: 4, 3: 2, 5: 4}
    changes = np.flatnonzero(np.diff(STUDIES[places]))
    assert len(changes) == 2


def test_repeats_and_unknown_studies_are_refused(blobs: Samples) -> None:
    with pytest.raises(ValueError, match="without repeats"):
        replace(drawn(blobs), repeats=np.full(24, 2)).units_by("sample")
    with pytest.raises(ValueError, match="expected samples with members"):
        replace(drawn(blobs), members=None).units_by("sample")


def test_the_number_shown_counts_what_is_drawn(blobs: Samples) -> None:
    assert len(drawn(blobs).units_by("sample")) == 10
    assert len(drawn(blobs, size=100).units_by("sample")) == 24
    assert drawn(blobs).units_by("study").sizes == [2, 4, 4]
