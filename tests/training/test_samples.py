import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from lsdc.training.samples import Batch, Sample, Samples, TrainingSteps

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
        assert all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


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


_LOAD_IN_LITTLE_SHARED_MEMORY = """
import numpy as np
from lsdc.errors import NoSpaceError
from lsdc.training.samples import Samples, TrainingSteps
n = 64
samples = Samples(
    np.zeros((n, 4, 64, 64), np.uint8),
    np.arange(n),
    np.ones((n, 4), bool),
    np.zeros((n, 1), np.int64),
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
