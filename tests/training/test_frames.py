"""What samples show of stored slices that are larger and more than they show."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lsdc.training.frames import Frame, Move
from lsdc.training.samples import Labels, Sample, Samples, TrainingSteps

ROWS, COLUMNS, ABOVE, BESIDE = 6, 4, 2, 3
SLOTS = np.array([1, 2, 5])  # of 7 stored slices: two parts, with one spare slice around each


def stored_sample(number: int = 0) -> np.ndarray:
    """Return slices whose values name the sample, the stored slot, the row and the column."""
    slot, row, column = np.mgrid[:7, : ROWS + 2 * ABOVE, : COLUMNS + 2 * BESIDE]
    return (8000 * number + 1000 * slot + 20 * row + column).astype(np.uint16)


def frame_of(samples: int = 1, **changes: object) -> Frame:
    return replace(Frame((ROWS, COLUMNS), SLOTS, np.ones((samples, 7), dtype=bool)), **changes)


def move_of(along: int = 0, down: int = 0, right: int = 0) -> Move:
    return Move(*(np.full(len(SLOTS), each) for each in (along, down, right)))


ALL = np.ones(3, dtype=bool)


def test_without_a_move_the_middle_of_the_slots_is_shown() -> None:
    slices, present = frame_of().show(stored_sample(), ALL, 0)
    middle = stored_sample()[SLOTS, ABOVE : ABOVE + ROWS, BESIDE : BESIDE + COLUMNS]
    assert np.array_equal(slices, middle)
    assert present.all()


@given(st.integers(-1, 1), st.integers(-ABOVE, ABOVE), st.integers(-BESIDE, BESIDE))
def test_a_move_shows_other_slots_rows_and_columns(along: int, down: int, right: int) -> None:
    still, _ = frame_of().show(stored_sample(), ALL, 0)
    moved, present = frame_of().show(stored_sample(), ALL, 0, move_of(along, down, right))
    assert present.all()
    assert (moved.astype(int) - still == 1000 * along + 20 * down + right).all()


def test_each_slot_may_move_by_itself() -> None:
    move = Move(np.array([0, 1, -1]), np.array([1, 0, 2]), np.array([-3, 0, 1]))
    still, _ = frame_of().show(stored_sample(), ALL, 0)
    moved, _ = frame_of().show(stored_sample(), ALL, 0, move)
    change = (moved.astype(int) - still)[:, 0, 0]
    assert change.tolist() == [20 - 3, 1000, -1000 + 40 + 1]


@pytest.mark.parametrize(
    ("kept", "chosen", "along", "shown"),
    [
        # Slots 1 and 2 of the stored 0 .. 3 belong to one part; slot 5 is another part.
        ([1, 1, 1, 1, 1, 1, 1], [1, 1, 1], 1, [1, 1, 1]),
        ([1, 1, 1, 0, 1, 1, 1], [1, 1, 1], 1, [1, 0, 1]),  # the stack ends after slot 2
        ([0, 0, 1, 1, 1, 1, 1], [0, 1, 1], 1, [1, 1, 1]),  # it begins with slot 2: filled
        ([0, 0, 1, 1, 1, 1, 1], [0, 1, 1], -1, [0, 0, 1]),
        ([1, 1, 1, 1, 1, 1, 1], [0, 1, 1], 1, [0, 1, 1]),  # slot 1 was too far away to choose
        ([1, 1, 1, 1, 0, 0, 0], [1, 1, 0], 0, [1, 1, 0]),  # a part without slices
    ],
)
def test_mask_of_moved_slices(
    kept: list[int], chosen: list[int], along: int, shown: list[int]
) -> None:
    frame = frame_of(kept=np.array([kept], dtype=bool))
    slices, present = frame.show(stored_sample(), np.array(chosen, bool), 0, move_of(along))
    assert present.tolist() == [bool(each) for each in shown]
    assert not slices[~present].any()
    assert slices[present].all()


@given(st.lists(st.integers(-1, 1), min_size=3, max_size=3))
def test_marks_follow_their_slices(along: list[int]) -> None:
    """Each head marks one stored slice; a move shows it in another slot, or nowhere."""
    move = move_of()._replace(along=np.array(along))
    stored = np.eye(len(stored_sample(0)), dtype=np.float32)
    moved = frame_of().follow(stored, move)
    shown = SLOTS + np.array(along)
    for head, marked in enumerate(moved):
        assert marked.tolist() == (shown == head).astype(float).tolist()
    for head, marked in enumerate(frame_of().follow(stored)):
        assert marked.tolist() == (head == SLOTS).astype(float).tolist()


def samples_with(frame: Frame | None) -> Samples:
    return Samples(
        slices=np.stack([stored_sample(number) for number in range(8)]),
        rows=np.arange(8),
        present=np.ones((8, 3), dtype=bool),
        labels=Labels(np.zeros((8, 1), dtype=np.int64)),
        ids=tuple("abcdefgh"),
        frame=frame,
    )


def test_labels_of_all_samples_are_those_of_each() -> None:
    marks = np.random.default_rng(0).random((8, 1, len(stored_sample()))).astype(np.float32)
    plain = samples_with(frame_of(8))
    samples = replace(plain, labels=plain.labels._replace(slices=marks))
    together = samples.shown_labels.slices
    assert together is not None
    for place in range(len(samples)):
        assert np.array_equal(samples[place].labels.slices, together[place])
    assert plain.shown_labels is plain.labels


def random_move(place: int, seed: int) -> Move:
    random = np.random.default_rng((place, seed))
    ranges = ((-1, 2), (-ABOVE, ABOVE + 1), (-BESIDE, BESIDE + 1))
    return Move(*(random.integers(*bounds, size=3) for bounds in ranges))


def slices_of_epoch(epoch: int, *, done: int = 0, workers: int = 0) -> list[torch.Tensor]:
    samples = samples_with(frame_of(8, draw=random_move))

    def unchanged(sample: Sample, seed: int) -> Sample:
        return sample

    steps = TrainingSteps(samples, unchanged, batch_size=3, accumulate=1, seed=1, workers=workers)
    return [batch.slices for step in steps.of_epoch(epoch, done) for batch in step]


@pytest.mark.forks
def test_moves_are_a_function_of_seed_epoch_and_sample() -> None:
    first = slices_of_epoch(1)
    helped, resumed = slices_of_epoch(1, workers=2), slices_of_epoch(1, done=2)
    assert all(torch.equal(one, other) for one, other in zip(first, helped, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(first[2:], resumed, strict=True))
    again = slices_of_epoch(2)
    assert not any(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_only_training_moves_what_is_shown() -> None:
    samples, still = samples_with(frame_of(8, draw=random_move)), samples_with(frame_of(8))
    for place in range(8):
        assert np.array_equal(samples[place].slices, still[place].slices)
    moved = [not np.array_equal(samples.show(n, seed=3).slices, still[n].slices) for n in range(8)]
    assert sum(moved) > 5
