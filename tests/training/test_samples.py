import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from lsdc.training.samples import Batch, Sample, Samples, TrainingSteps, batches_in_order
from tests.training.runs import in_studies

pytestmark = pytest.mark.forks  # a DataLoader forks its workers


def blink(sample: Sample, seed: int) -> Sample:
    return sample._replace(slices=sample.slices ^ np.uint8(seed % 256))


def epoch_of(samples: Samples, epoch: int, *, seed: int = 0, workers: int = 0) -> list[Batch]:
    steps = TrainingSteps(samples, blink, batch_size=7, accumulate=1, seed=seed, workers=workers)
    return [batch for step in steps.of_epoch(epoch) for batch in step]


def places(batches: list[Batch]) -> list[int]:
    return [place for batch in batches for place in batch.places]


def test_every_sample_is_seen_once_per_epoch(blobs: Samples) -> None:
    batches = epoch_of(blobs, 1)
    assert sorted(places(batches)) == list(range(24))
    assert [len(batch.slices) for batch in batches] == [7, 7, 7, 3]


def test_order_is_a_function_of_seed_and_epoch(blobs: Samples) -> None:
    assert places(epoch_of(blobs, 1)) == places(epoch_of(blobs, 1))
    assert places(epoch_of(blobs, 1)) != places(epoch_of(blobs, 2))
    assert places(epoch_of(blobs, 1)) != places(epoch_of(blobs, 1, seed=1))


def test_batches_do_not_depend_on_the_number_of_workers(blobs: Samples) -> None:
    alone, helped = epoch_of(blobs, 2), epoch_of(blobs, 2, workers=2)
    for one, other in zip(alone, helped, strict=True):
        assert one.places == other.places
        assert torch.equal(one.slices, other.slices)
        assert torch.equal(one.present, other.present)
        assert torch.equal(one.labels.grades, other.labels.grades)


def test_augmentation_is_a_function_of_epoch_and_sample(blobs: Samples) -> None:
    def seen(epoch: int) -> dict[int, torch.Tensor]:
        return {
            place: slices
            for batch in epoch_of(blobs, epoch)
            for place, slices in zip(batch.places, batch.slices, strict=True)
        }

    first, second = seen(1), seen(2)
    changes = [int(first[place][0, 0, 0]) ^ int(blobs.slices[place][0, 0, 0]) for place in first]
    assert len(set(changes)) > 12  # of 24 samples: their changes differ
    assert sum(torch.equal(first[place], second[place]) for place in first) < 6


def test_16_bit_samples_are_read_as_floats_from_0_to_1(blobs: Samples) -> None:
    fine = replace(blobs, slices=blobs.slices.astype(np.uint16) * 257)
    for eight, sixteen in zip(blobs, fine, strict=True):
        assert sixteen.slices.dtype == np.float32
        np.testing.assert_allclose(sixteen.slices, eight.slices / 255, atol=1e-6)


@pytest.mark.parametrize("workers", [0, 2])
def test_repeated_samples_are_augmented_differently_each_time(blobs: Samples, workers: int) -> None:
    repeats = np.ones(24, np.int64)
    repeats[[3, 8]] = 2, 4
    some = replace(blobs, repeats=repeats)
    steps = TrainingSteps(some, blink, batch_size=7, accumulate=1, seed=0, workers=workers)
    assert len(steps) == 4
    batches = [batch for step in steps.of_epoch(1) for batch in step]
    assert np.bincount(places(batches)).tolist() == repeats.tolist()
    slices = torch.cat([batch.slices for batch in batches])
    seen = slices[[number for number, place in enumerate(places(batches)) if place == 8]]
    assert len(seen.flatten(1).unique(dim=0)) > 1
    assert places(batches) == places(epoch_of(some, 1))
    assert places(batches) != places(epoch_of(some, 2))
    assert torch.equal(slices, torch.cat([batch.slices for batch in epoch_of(some, 1)]))
    rest = list(steps.of_epoch(1, done=2))
    assert [places(step) for step in rest] == [batch.places for batch in batches[2:]]


def test_repeats_of_one_have_no_effect(blobs: Samples) -> None:
    once = replace(blobs, repeats=np.ones(24, np.int64))
    for one, other in zip(epoch_of(blobs, 3), epoch_of(once, 3), strict=True):
        assert one.places == other.places
        assert torch.equal(one.slices, other.slices)


@pytest.mark.parametrize("workers", [0, 2])
def test_epoch_resumes_after_the_steps_already_done(blobs: Samples, workers: int) -> None:
    steps = TrainingSteps(blobs, blink, batch_size=5, accumulate=2, seed=0, workers=workers)
    whole = list(steps.of_epoch(1))
    assert [[len(batch.slices) for batch in step] for step in whole] == [[5, 5], [5, 5], [4]]
    rest = list(steps.of_epoch(1, done=1))
    assert [places(step) for step in rest] == [places(step) for step in whole[1:]]
    assert [len(step) for step in steps.of_epoch(2)] == [2, 2, 1]


def studies_of(samples: Samples, batch: Batch) -> list[int]:
    assert samples.members is not None
    return samples.members[batch.places, 0].tolist()


@pytest.mark.parametrize("repeats", [None, [1, 3] * 12])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 9])
def test_batches_by_study_hold_whole_studies_and_each_sample_once_an_epoch(
    batch_size: int, repeats: list[int] | None, blobs: Samples
) -> None:
    samples = in_studies(blobs, repeats=repeats)
    steps = TrainingSteps(
        samples, blink, batch_size=batch_size, accumulate=1, seed=0, workers=0, batch_by="study"
    )
    orders = []
    for epoch in (1, 2):
        batches = [batch for step in steps.of_epoch(epoch) for batch in step]
        assert np.bincount(places(batches)).tolist() == (repeats or [1] * 24)
        held = [set(studies_of(samples, batch)) for batch in batches]
        assert sum(map(len, held)) == 7  # no study is in two batches
        assert {len(studies) for studies in held[:-1]} <= {batch_size}
        assert len(steps) == len(batches) == -(-7 // batch_size)
        orders.append(places(batches))
    assert orders[0] != orders[1]
    assert orders[0] == places([batch for step in steps.of_epoch(1) for batch in step])


@pytest.mark.parametrize("workers", [0, 2])
def test_epoch_of_batches_by_study_resumes_after_the_steps_already_done(
    workers: int, blobs: Samples
) -> None:
    steps = TrainingSteps(
        in_studies(blobs),
        blink,
        batch_size=2,
        accumulate=2,
        seed=0,
        workers=workers,
        batch_by="study",
    )
    whole = list(steps.of_epoch(3))
    assert [len(step) for step in whole] == [2, 2]
    (rest,) = steps.of_epoch(3, done=1)
    for one, other in zip(rest, whole[1], strict=True):
        assert one.places == other.places
        assert torch.equal(one.slices, other.slices)


def test_batch_size_of_batches_by_study_is_a_number_of_studies(blobs: Samples) -> None:
    samples = in_studies(blobs)
    steps = TrainingSteps(
        samples, blink, batch_size=3, accumulate=1, seed=0, workers=0, batch_by="study"
    )
    ((batch, *_),) = [next(steps.of_epoch(1))]
    for size in (1, 2, 3):
        first = steps.first_of(batch, size)
        assert len(set(studies_of(samples, first))) == size
        assert len(first.places) == len(first.slices) == len(first.labels.grades)
        assert first.places == batch.places[: len(first.places)]


def test_batches_by_study_need_the_study_of_each_sample(blobs: Samples) -> None:
    with pytest.raises(ValueError, match="expected samples with members, got none"):
        TrainingSteps(blobs, blink, batch_size=3, accumulate=1, seed=0, workers=0, batch_by="study")


_LOAD_IN_LITTLE_SHARED_MEMORY = """
import numpy as np
from lsdc.errors import NoSpaceError
from lsdc.training.samples import Labels, Samples, TrainingSteps
n = 64
samples = Samples(
    np.zeros((n, 4, 64, 64), np.uint8),
    np.arange(n),
    np.ones((n, 4), bool),
    Labels(np.zeros((n, 1), np.int64)),
    tuple(map(str, range(n))),
)
try:
    TrainingSteps(samples, lambda sample, _: sample, batch_size=16, accumulate=1, seed=0, workers=1)
except NoSpaceError as error:
    print(error)
"""


def test_too_little_shared_memory_is_reported() -> None:
    """Run in a separate mount namespace where /dev/shm has 64 kB, as in a container."""
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    own = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*own, mount], check=False).returncode:
        pytest.skip("no mount namespaces here")
    load = [sys.executable, "-c", _LOAD_IN_LITTLE_SHARED_MEMORY]
    said = subprocess.run(
        [*own, f'{mount} && exec "$@"', "sh", *load], capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("/dev/shm: 0.8 MB needed for the batches"), said.stderr


@pytest.mark.parametrize(("batch_size", "sizes"), [(1, [3, 2, 4]), (4, [3, 2, 4]), (5, [5, 4])])
def test_batches_of_whole_studies_end_where_a_study_ends(
    batch_size: int, sizes: list[int], blobs: Samples
) -> None:
    study = np.repeat([30, 10, 20], [3, 2, 4])
    nine = replace(
        blobs,
        rows=blobs.rows[:9],
        ids=blobs.ids[:9],
        members=np.column_stack([study, np.arange(9)]),
    )
    batches = list(batches_in_order(nine, batch_size, whole_studies=True))
    assert [len(batch.slices) for batch in batches] == sizes
    assert places(batches) == list(range(9))
    apart = replace(nine, members=np.roll(nine.members, 1, axis=0))
    with pytest.raises(ValueError, match="expected a study's samples to be neighbours"):
        list(batches_in_order(apart, batch_size, whole_studies=True))
