"""Attempts: predict studies with one run, so that what fails costs no other study.

Only a wrong setting, such as a device that is not there, fails at once: no study is its cause.
"""

import logging
import shutil
import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import polars as pl

from lsdc.errors import SettingsError
from lsdc.predict.blocks import Id
from lsdc.predict.workplace import Workplace

log = logging.getLogger(__name__)

# After so many failures and no success, the cause is not in the studies.
_GIVE_UP = 5


class Queue(Protocol):
    """The samples of studies, in their order, predicted in the same batches as in a run."""

    @property
    def is_empty(self) -> bool:
        """Whether no sample waits for others to fill a batch."""
        ...

    @property
    def predicted(self) -> pl.DataFrame:
        """The predictions so far, with study_id, in the order of the studies."""
        ...

    def predict_whole(self) -> None:
        """Predict the samples that fill whole batches."""
        ...

    def finish(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Predict all that is left; return all predictions, and those of each fold."""
        ...


class Predicted:
    """A queue of predictions of whole studies, none of which waits for another."""

    is_empty = True

    def __init__(self) -> None:
        self._found: list[pl.DataFrame] = []

    @property
    def predicted(self) -> pl.DataFrame:
        """All predictions so far."""
        return pl.concat(self._found) if self._found else pl.DataFrame()

    def add(self, found: pl.DataFrame) -> None:
        """Take the predictions of some studies."""
        self._found.append(found)

    def predict_whole(self) -> None:
        """Do nothing: all is predicted."""

    def finish(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return all predictions; those of each fold are not kept."""
        return self.predicted, pl.DataFrame()


Q = TypeVar("Q", bound=Queue)


class Steps(ABC, Generic[Id, Q]):
    """How one run predicts studies.

    Attributes:
        key: the column of the predictions that tells one from another.
    """

    key: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the run."""

    @abstractmethod
    def open_queue(self, at: Workplace) -> Q:
        """Open an empty queue in the folder of a workplace."""

    @abstractmethod
    def prepare(self, ids: Sequence[Id], queue: Q, at: Workplace) -> None:
        """Read some studies, and put their samples into a queue, or none if anything fails."""


class RunAttempt(Generic[Id]):
    """The predictions of one run, study by study where several at once fail.

    Args:
        steps: how the run predicts.
        at: the workplace, with a folder of this run's own, which does not exist yet.

    Attributes:
        name: the name of the run.
        reached: the studies whose prediction did not fail.
        failed: the reason of each study that failed.
    """

    def __init__(self, steps: Steps[Id, Any], at: Workplace) -> None:
        at.folder.mkdir()
        self.name = steps.name
        self.reached: set[Id] = set()
        self.failed: dict[Id, str] = {}
        self._steps: Steps[Id, Any] = steps
        self._at = at
        self._numbers = count()
        self._queue: Queue = steps.open_queue(self._place())
        self._waiting: list[Id] = []
        self._kept: list[pl.DataFrame] = []

    @property
    def is_given_up(self) -> bool:
        """Whether the run fails for every study."""
        return not (self.reached or self._waiting) and len(self.failed) >= _GIVE_UP

    def add(self, ids: Sequence[Id], *, more: bool) -> None:
        """Predict some studies, as far as their samples fill whole batches.

        Without `more` studies to come, `finish` predicts all, with one start of the child.
        """
        if self.is_given_up:
            self.failed.update(dict.fromkeys(ids, next(iter(self.failed.values()))))
            return
        self._prepare(ids)
        if not more:
            return
        try:
            self._queue.predict_whole()
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, it costs as little as possible)
            self._predict_apart(error)
        self._note_reached()

    def finish(self) -> None:
        """Predict the samples that are left."""
        try:
            mean, _ = self._queue.finish()
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001 (see above)
            self._predict_apart(error)
            mean, _ = self._queue.finish()
        self._kept.append(mean)
        self._queue = self._steps.open_queue(self._place())
        self.reached.update(set(self._waiting) - set(self.failed))
        self._waiting = []

    @property
    def predictions(self) -> pl.DataFrame:
        """All predictions so far; a study's newest if it was predicted twice."""
        parts = [each for each in (*self._kept, self._queue.predicted) if len(each)]
        if not parts:
            return pl.DataFrame()
        return pl.concat(parts).unique(self._steps.key, keep="last", maintain_order=True)

    def _prepare(self, ids: Sequence[Id]) -> None:
        """Prepare some studies; each half apart, if that fails."""
        at = self._place()
        try:
            self._waiting.extend(ids)
            self._steps.prepare(ids, self._queue, at)
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001 (see above)
            self._waiting = [study for study in self._waiting if study not in ids]
            log.debug("%s of %s failed\n%s", ids, self.name, traceback.format_exc())
            if len(ids) == 1 or self.is_given_up:
                self.failed.update(dict.fromkeys(ids, _reason(error)))
                return
            half = len(ids) // 2
            self._prepare(ids[:half])
            self._prepare(ids[half:])
        finally:
            shutil.rmtree(at.folder, ignore_errors=True)

    def _predict_apart(self, error: Exception) -> None:
        """Predict each waiting study by itself."""
        log.debug("%s failed\n%s", self.name, traceback.format_exc())
        self._note_reached()
        waiting, self._waiting = self._waiting, []
        self._kept.append(self._queue.predicted)
        for study in waiting:
            if self.is_given_up:
                self.failed[study] = _reason(error)
                continue
            at = self._place()
            try:
                queue = self._steps.open_queue(at)
                self._steps.prepare([study], queue, at)
                self._kept.append(queue.finish()[0])
                self.reached.add(study)
            except Exception as own:  # noqa: BLE001 (see above)
                log.debug("%s failed\n%s", study, traceback.format_exc())
                self.failed[study] = _reason(own)
            finally:
                shutil.rmtree(at.folder, ignore_errors=True)
        self._queue = self._steps.open_queue(self._place())

    def _note_reached(self) -> None:
        """Take those out of the waiting studies whose samples are all predicted."""
        if self._queue.is_empty:
            self.reached.update(self._waiting)
            self._waiting = []
            return
        predicted = self._queue.predicted
        if predicted.is_empty() or (last := predicted["study_id"][-1]) not in self._waiting:
            return
        # The queue is in the order of the studies, so this one may be incomplete.
        place = self._waiting.index(last)
        self.reached.update(self._waiting[:place])
        self._waiting = self._waiting[place:]

    def _place(self) -> Workplace:
        folder = self._at.folder / f"{next(self._numbers):06d}"
        folder.mkdir()
        return replace(self._at, folder=folder)


def _reason(error: Exception) -> str:
    first: str = (str(error).splitlines() or [""])[0]
    return first or type(error).__name__
