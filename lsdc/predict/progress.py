"""The progress of a prediction: what it does, and how many of the studies are done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsdc.training.events import Event


@dataclass(frozen=True)
class Progress:
    """How far a prediction is.

    Attributes:
        words: what it does at the moment.
        done: the number of studies done; parts of a block count as parts.
        studies: the number of studies, as far as it is known.
        unit: what a study is called.
    """

    words: str
    done: float
    studies: int
    unit: str = "study"


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Do nothing."""


class Teller:
    """Turns the events of a prediction's parts into its progress.

    Args:
        on_progress: called with the progress.
        steps: what is done with each block of studies, one after the other.
        unit: what a study is called.
    """

    def __init__(self, on_progress: OnProgress, steps: Sequence[str], unit: str = "study") -> None:
        self._on_progress, self._steps, self._unit = on_progress, steps, unit
        self._before = self._size = self._studies = self._step = 0

    def files(self, read: int, files: int) -> None:
        """Tell how many headers are read, before the studies are known."""
        self._on_progress(Progress(f"reading headers, {read:,} of {files:,}", 0.0, 0))

    def begin(self, before: int, size: int, studies: int) -> None:
        """Begin a block.

        Args:
            before: the number of studies before it.
            size: the number of its own studies.
            studies: the number of all studies.
        """
        self._before, self._size, self._studies = before, size, studies
        self.step(0)

    def step(self, number: int) -> None:
        """Begin a step of the block, from 0."""
        self._step = number
        self._tell(self._steps[number], 0.0)

    def event(self, event: Event) -> None:
        """Tell what a child process reports."""
        self.share(event.share or 0.0, *event.words)

    def share(self, done: float, *words: str) -> None:
        """Tell which share of the step is done, with words on it."""
        self._tell(", ".join([self._steps[self._step], *words]), done)

    def end(self) -> None:
        """Tell that the block is done."""
        self._step = len(self._steps) - 1
        self.share(1.0)

    def drawn(self, number: int, studies: int) -> None:
        """Tell how many pictures are drawn, after all blocks."""
        words = f"drawing, {number} of {studies}"
        self._on_progress(Progress(words, studies, studies, self._unit))

    def _tell(self, words: str, share: float) -> None:
        done = self._before + self._size * (self._step + share) / len(self._steps)
        self._on_progress(Progress(words, done, self._studies, self._unit))
