"""The order of an epoch: which samples it shows, and the batches that they come in.

All of it is a function of the seed and the epoch, never of the processes that load the batches.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

_ORDER, _DRAW = 0, 5  # random streams; `lsdc.training.samples` has the others

Unit = list[tuple[int, int]]
"""The (place, repeat) of samples that no batch divides."""

Share = Callable[[int], slice]
"""Returns which of so many samples of a batch a process loads."""


class Draw(Protocol):
    """Which samples an epoch shows, drawn anew for each epoch; always as many."""

    def places(self, studies: NDArray[np.int64], random: np.random.Generator) -> list[int]:
        """Return the samples of one epoch, given the study (n,) of each, or another group."""


@dataclass(frozen=True)
class StudyDraw:
    """How many samples of a study an epoch shows, drawn anew for each epoch.

    Attributes:
        size: the number of samples; of a study with fewer, all are shown.
        weights: (n,) how likely each sample is to be drawn before the others of its study, above 0.
    """

    size: int
    weights: NDArray[np.float64]

    def places(self, studies: NDArray[np.int64], random: np.random.Generator) -> list[int]:
        """Return the samples of one epoch, by study and then by place, without repeats.

        The times of exponential clocks, of which the first ones of each study count: a draw
        without replacement (Efraimidis and Spirakis 2006, Inf. Process. Lett. 97:181).

        Args:
            studies: (n,) the study of each sample.
            random: the random numbers of the epoch.
        """
        times = random.exponential(size=len(studies)) / self.weights
        order = np.lexsort((times, studies))
        _, first, counts = np.unique(studies[order], return_index=True, return_counts=True)
        rank = np.arange(len(studies)) - np.repeat(first, counts)
        drawn = order[rank < self.size]
        chosen: list[int] = drawn[np.lexsort((drawn, studies[drawn]))].tolist()
        return chosen


class Units:
    """What the batches of an epoch are made of: single samples, or those of a study.

    Args:
        repeats: (n,) how often an epoch shows each sample.
        studies: (n,) the study of each sample, if they are to be drawn or kept together.
        together: whether all samples of a study are in the same batch.
        draw: which samples an epoch shows; None shows all of them.

    Raises:
        ValueError: samples are drawn, but are repeated or of unknown studies.
    """

    def __init__(
        self,
        repeats: NDArray[np.int64],
        studies: NDArray[np.int64] | None,
        *,
        together: bool,
        draw: Draw | None,
    ) -> None:
        self._repeats, self._studies, self._together = repeats, studies, together
        self._draw = draw
        if draw is not None and (repeats != 1).any():
            raise ValueError("a draw by study: expected samples without repeats, got some")
        self._fixed: list[Unit] | None = None
        first = self.of_epoch(np.random.default_rng(0))
        self.sizes = [len(unit) for unit in first]  # those of all epochs
        if draw is None:
            self._fixed = first

    def __len__(self) -> int:
        return len(self.sizes)

    def of_epoch(self, random: np.random.Generator) -> list[Unit]:
        """Return the units of an epoch; `random` draws the samples."""
        if self._fixed is not None:
            return self._fixed
        places: Sequence[int] = range(len(self._repeats))
        if self._draw is not None:
            places = self._draw.places(self._known(), random)
        shown = [(place, time) for place in places for time in range(self._repeats[place])]
        if not self._together:
            return [[each] for each in shown]
        units: dict[int, Unit] = {}
        studies = self._known().tolist()
        for place, time in shown:
            units.setdefault(studies[place], []).append((place, time))
        return list(units.values())

    def _known(self) -> NDArray[np.int64]:
        if self._studies is None:
            raise ValueError("batches by study: expected samples with members, got none")
        return self._studies


class Order(Sampler[list[tuple[int, int, int]]]):
    """Batches of (epoch, place, repeat); the epoch is included, so workers keep no state."""

    def __init__(
        self, units: Units, batch_size: int, seed: int, share: Share, *, together: bool
    ) -> None:
        self.epoch = self.done = 0
        self._seed, self._units, self._share = seed, units, share
        self._bounds = _bounds(len(units), batch_size, together=together)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @property
    def largest_batch(self) -> int:
        """The most samples that a batch can have."""
        units = max(end - start for start, end in itertools.pairwise(self._bounds))
        return sum(sorted(self._units.sizes)[-units:])

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        """Yield this process's share of each batch."""
        return (keys[self._share(len(keys))] for keys in self.whole())

    def whole(self) -> Iterator[list[tuple[int, int, int]]]:
        """Yield the whole batches."""
        units = self._units.of_epoch(np.random.default_rng((_DRAW, self._seed, self.epoch)))
        random = np.random.default_rng((_ORDER, self._seed, self.epoch))
        order = random.permutation(len(units)).tolist()
        for start, end in itertools.pairwise(self._bounds[self.done :]):
            numbers = order[start:end]
            yield [(self.epoch, *each) for number in numbers for each in units[number]]


def _bounds(samples: int, batch_size: int, *, together: bool) -> list[int]:
    """Return where each batch starts, and where the last one ends.

    With `together`, a single leftover sample and the batch before it are split evenly; if batches
    have two samples, it is added to that batch.
    """
    bounds = [*range(0, samples, batch_size), samples]
    if together and batch_size > 1 and len(bounds) > 2 and samples % batch_size == 1:
        before, last = bounds[-3], bounds.pop(-2)
        if batch_size > 2:
            bounds.insert(-1, before + (last + 1 - before + 1) // 2)
    return bounds
