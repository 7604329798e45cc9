"""Samples and batches: sequences of slices, some absent, with the labels of each."""

import itertools
import math
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lsdc.errors import NoSpaceError
from lsdc.messages import counted
from lsdc.training.frames import Frame
from lsdc.training.models.blend import Blend
from lsdc.training.sampling.order import Order, Share, StudyDraw, Units
from lsdc.training.settings.training import BatchBy

EMPTY_LABEL = -100
_WHITE_16_BITS = 2**16 - 1
_SHARED_MEMORY = Path("/dev/shm")  # where torch's workers put batches
_BATCHES_A_WORKER = 2
# Independent random streams; `lsdc.training.sampling.order` has the others.
_AUGMENTATION, _STEP, _MIXING, _MOVE = 1, 2, 3, 4


Values = TypeVar("Values")  # arrays or tensors
Others = TypeVar("Others")


class Labels(NamedTuple, Generic[Values]):
    """What the heads are to predict: of one sample, or with a leading axis (n,) of several.

    Attributes:
        grades: (heads,) int64 classes, EMPTY_LABEL if missing; or (heads, classes) probabilities,
            all zero if missing; or (heads, rows, columns) the probabilities of pixels.
        group: () int64 class, or (groups,) probabilities; None if no head predicts the group.
        slices: (heads, slices) float32, the probability that a slice is the one annotated for the
            head, all zero if that is not known; None if no head tells it.
        weights: of the shape of `grades`, float32 how much each counts, 0 where it is not known;
            None if all that are not missing count alike.
    """

    grades: Values
    group: Values | None = None
    slices: Values | None = None
    weights: Values | None = None

    def map(self, change: Callable[[Values], Others]) -> "Labels[Others]":
        """Return the labels with each of them changed."""
        others = (None if each is None else change(each) for each in self[1:])
        return Labels(change(self.grades), *others)


class Sample(NamedTuple):
    """One sequence of slices and its labels.

    Attributes:
        slices: (slices, height, width) uint8, or float32 from 0 to 1.
        present: (slices,) bool, False if the slice is absent; its pixels are then ignored.
        labels: what is to be predicted.
    """

    slices: NDArray[Any]
    present: NDArray[np.bool_]
    labels: Labels[NDArray[Any]]


Augment = Callable[[Sample, int], Sample]
"""Changes a sample as a function of its seed."""


class SampleSet(Protocol):
    """What is trained on, scored or predicted: `Samples`, or what else makes each sample.

    Attributes:
        rows: (n,) int64 the number of each sample in random seeds.
        present: (n, slices) bool, False if a slice is absent.
        ids: (n,) name of each sample in messages.
    """

    @property
    def rows(self) -> NDArray[np.int64]: ...
    @property
    def present(self) -> NDArray[np.bool_]: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def shown_labels(self) -> Labels[NDArray[Any]]:
        """The labels of n samples that are shown without a seed."""

    def __len__(self) -> int: ...
    def show(self, place: int, seed: int | None = None) -> Sample:
        """Return a sample; with a seed, training draws by it what the sample shows."""

    def units_by(self, batch_by: BatchBy) -> Units:
        """Return the units that the batches of an epoch are made of."""

    def members_of(self, places: Sequence[int]) -> Tensor | None:
        """Return the study of each of some samples and its item there (b, 2), if known."""


class Stored(Protocol):
    """What rows are read from: an array, or what gathers each row from several of an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all rows."""

    def __getitem__(self, row: Any) -> NDArray[Any]:
        """Return a row."""


@dataclass(frozen=True)
class Samples:
    """Samples that are rows of one array.

    Attributes:
        slices: (all, slices, height, width) uint8 or uint16, black to white, or float32; usually a
            memory map.
        rows: (n,) int64 row of each sample in `slices`, also used in its random seeds.
        present: (n, slices) bool.
        labels: those of n samples; with a frame, `labels.slices` are those of the stored slices.
        ids: (n,) name of each sample in messages.
        repeats: (n,) int64 how often each is seen per epoch of training; None means once.
        members: (n, 2) int64 study of each sample, and the number of its item in the study. Samples
            with the same item show it more than once, and have its labels. None where no loss or
            batch is by study.
        frame: where the slices that a sample shows lie in `slices`; None means all of them.
        draw: which of a study's samples an epoch of training shows; None means all.
    """

    slices: Stored
    rows: NDArray[np.int64]
    present: NDArray[np.bool_]
    labels: Labels[NDArray[Any]]
    ids: tuple[str, ...]
    repeats: NDArray[np.int64] | None = None
    members: NDArray[np.int64] | None = None
    frame: Frame | None = None
    draw: StudyDraw | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def units_by(self, batch_by: BatchBy) -> Units:
        """Return the units that the batches of an epoch are made of.

        Raises:
            ValueError: they are by study, or drawn by study, and the samples have no members.
        """
        repeats = np.ones(len(self), np.int64) if self.repeats is None else self.repeats
        studies = None if self.members is None else self.members[:, 0]
        return Units(repeats, studies, together=batch_by == "study", draw=self.draw)

    @property
    def shown_labels(self) -> Labels[NDArray[Any]]:
        """The labels of n samples that are shown without a move."""
        marks = self.labels.slices
        if self.frame is None or marks is None:
            return self.labels
        return self.labels._replace(slices=self.frame.follow(marks) * self.present[:, np.newaxis])

    def members_of(self, places: Sequence[int]) -> Tensor | None:
        """Return `members` (b, 2) of some samples, if they are known."""
        return None if self.members is None else torch.from_numpy(self.members[list(places)])

    def __getitem__(self, place: int) -> Sample:
        return self.show(place)

    def show(self, place: int, seed: int | None = None) -> Sample:
        """Return a sample; with a seed, what it shows is moved if the frame draws moves."""
        stored, present = self.slices[self.rows[place]], self.present[place]
        labels = self.labels.map(lambda column: column[place])
        if self.frame is None:
            slices: NDArray[Any] = np.array(stored)
        else:
            draw = self.frame.draw
            move = None if draw is None or seed is None else draw(place, seed)
            slices, present = self.frame.show(stored, present, place, move)
            if labels.slices is not None:
                shown = self.frame.follow(labels.slices, move)
                labels = labels._replace(slices=shown * present)
        if stored.dtype == np.uint16:  # hardly supported by torch and augmentation
            slices = slices.astype(np.float32) / np.float32(_WHITE_16_BITS)
        return Sample(slices, present, labels)


class Batch(NamedTuple):
    """Stacked samples: slices (b, s, h, w), present (b, s), labels of b samples.

    `blend` says how the model blends their features; None if it does not. Of processes that train
    together, each loads the tensors of a share of the batch, and the places of all of it.
    """

    places: list[int]
    slices: Tensor
    present: Tensor
    labels: Labels[Tensor]
    blend: Blend | None = None

    def to(self, device: torch.device) -> "Batch":
        """Return the batch with its tensors on a device."""
        return self._replace(
            slices=self.slices.to(device),
            present=self.present.to(device),
            labels=self.labels.map(lambda tensor: tensor.to(device)),
        )

    def first(self, samples: int) -> "Batch":
        """Return a batch of the first samples."""
        places, slices, present, labels, _ = self
        own = labels.map(lambda tensor: tensor[:samples])
        return Batch(places[:samples], slices[:samples], present[:samples], own)


Mix = Callable[[Batch, int], Batch]
"""Mixes the samples of a batch as a function of its seed; labels may become probabilities."""


def seed_of(*numbers: int) -> int:
    """Return a seed below 2**32 that is a function of the numbers only."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def step_seed(seed: int, epoch: int, step: int) -> int:
    """Return torch's seed for a step, so that dropout is a function of (seed, epoch, step)."""
    return seed_of(_STEP, seed, epoch, step)


def mix_seed(seed: int, epoch: int, step: int, batch: int) -> int:
    """Return the seed for mixing a batch of a step."""
    return seed_of(_MIXING, seed, epoch, step, batch)


class TrainingSteps:
    """The training steps of an epoch, each a list of batches for gradient accumulation.

    Order and augmentation are functions of (seed, epoch, sample); each repeat of a sample is
    augmented differently. `workers` processes load the batches; 0 loads the same ones in this
    process. With `together`, no batch has a single sample if there are more.

    `share` returns which of so many samples of a batch are loaded; by default all.

    With `batch_by` "study", a batch has whole studies: `batch_size` of them, with all of their
    samples and repeats.

    Raises:
        NoSpaceError: shared memory is too small for the workers' batches.
    """

    def __init__(
        self,
        samples: SampleSet,
        augment: Augment,
        *,
        batch_size: int,
        accumulate: int,
        seed: int,
        workers: int,
        batch_by: BatchBy = "sample",
        together: bool = False,
        share: Share = slice,
    ) -> None:
        self._samples, self._batch_by, self._accumulate = samples, batch_by, accumulate
        units = samples.units_by(batch_by)
        self._order = Order(units, batch_size, seed, share, together=together)
        _require_shared_memory(samples, self._order.largest_batch, workers, share)
        self._loader = DataLoader(
            _Augmented(samples, augment, seed),
            batch_sampler=self._order,
            collate_fn=_collate,
            num_workers=workers,
            prefetch_factor=_BATCHES_A_WORKER if workers else None,
            worker_init_fn=_ignore_sigterm,
            persistent_workers=workers > 0,
            pin_memory=workers > 0 and torch.cuda.is_available(),
        )

    def __len__(self) -> int:
        return -(-len(self._order) // self._accumulate)

    def of_epoch(self, epoch: int, done: int = 0) -> Iterator[list[Batch]]:
        """Yield an epoch's steps after the first `done`, repeats included.

        The last step may have fewer batches, and the last batch fewer samples.
        """
        self._order.epoch, self._order.done = epoch, done * self._accumulate
        batches = (
            batch._replace(places=[place for _, place, _ in keys])
            for batch, keys in zip(self._loader, self._order.whole(), strict=True)
        )
        while step := list(itertools.islice(batches, self._accumulate)):
            yield step

    def first_of(self, batch: Batch, size: int) -> Batch:
        """Return the first samples of a batch, as many as `size` as `batch_size` would hold."""
        if self._batch_by == "sample":
            return batch.first(size)
        studies = _studies(self._samples, batch.places).tolist()
        kept = list(dict.fromkeys(studies))[:size]
        return batch.first(sum(study in kept for study in studies))


def _studies(samples: SampleSet, places: Sequence[int]) -> NDArray[np.int64]:
    members = samples.members_of(places)
    if members is None:
        raise ValueError("batches by study: expected samples with members, got none")
    return members[:, 0].numpy()


def _require_shared_memory(samples: SampleSet, batch_size: int, workers: int, share: Share) -> None:
    """Require enough shared memory: without it, torch's workers hang silently."""
    if not workers or not len(samples) or not _SHARED_MEMORY.is_dir():
        return
    loaded = len(range(batch_size)[share(batch_size)])
    needed = (workers * _BATCHES_A_WORKER + 1) * loaded * _bytes_of(samples.show(0))
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if free < needed:
        raise NoSpaceError(
            f"{_SHARED_MEMORY}: {needed / 1e6:.1f} MB needed for the batches of "
            f"{counted(workers, 'data worker')}, {free / 1e6:.1f} MB are free; give the machine or "
            "the container more shared memory (docker --shm-size), or lower training.batch_size or "
            "--threads"
        )


def _bytes_of(sample: Sample) -> int:
    return sum(each.nbytes for each in (sample.slices, *sample.labels) if each is not None)


def batches_in_order(
    samples: SampleSet, batch_size: int, *, whole_studies: bool = False
) -> Iterator[Batch]:
    """Yield batches of all samples, unchanged and in order.

    With `whole_studies`, a batch ends where a study ends: it has at most `batch_size` samples, or
    those of a single larger study.
    """
    if whole_studies:
        bounds = _bounds_of_studies(_studies(samples, range(len(samples))), batch_size)
    else:
        bounds = [*range(0, len(samples), batch_size), len(samples)]
    for start, end in itertools.pairwise(bounds):
        yield batch_of(samples, range(start, end))


def _bounds_of_studies(studies: NDArray[np.int64], batch_size: int) -> list[int]:
    """Return where each batch of whole studies starts, and where the last one ends."""
    ends = [*(np.flatnonzero(np.diff(studies)) + 1).tolist(), len(studies)]
    if len(ends) > len(np.unique(studies)):
        raise ValueError("batches of whole studies: expected a study's samples to be neighbours")
    bounds = [0]
    for end, after in zip(ends, [*ends[1:], math.inf], strict=True):
        if after - bounds[-1] > batch_size:
            bounds.append(end)
    return bounds


def batch_of(samples: SampleSet, places: Iterable[int]) -> Batch:
    """Return a batch of some samples, unchanged."""
    return _collate([(place, samples.show(place)) for place in places])


class _Augmented(Dataset[tuple[int, Sample]]):
    def __init__(self, samples: SampleSet, augment: Augment, seed: int) -> None:
        self._samples, self._augment, self._seed = samples, augment, seed

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[int, Sample]:
        epoch, place, time = key
        numbers = (epoch, int(self._samples.rows[place]), *([time] if time else []))
        seed = seed_of(_AUGMENTATION, self._seed, *numbers)
        sample = self._samples.show(place, seed_of(_MOVE, self._seed, *numbers))
        return place, self._augment(sample, seed)


def _ignore_sigterm(_: int) -> None:
    """Ignore SIGTERM in a worker: the training process handles it and still needs batches."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _collate(items: list[tuple[int, Sample]]) -> Batch:
    places, samples = zip(*items, strict=True)
    slices, present, labels = zip(*samples, strict=True)
    others = zip(*(each[1:] for each in labels), strict=True)
    known = (None if column[0] is None else _stack(column) for column in others)
    grades = _stack([each.grades for each in labels])
    return Batch(list(places), _stack(slices), _stack(present), Labels(grades, *known))


def _stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
