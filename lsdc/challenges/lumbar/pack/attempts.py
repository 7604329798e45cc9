"""Attempts: predict studies with one run, so that what fails costs no other study.

Only a wrong setting, such as a device that is not there, fails at once: no study is its cause.
"""

import logging
import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import polars as pl

from lsdc.challenges.lumbar.predict.block import prepare
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.queue import SampleQueue
from lsdc.challenges.lumbar.predict.sources import Studies
from lsdc.errors import SettingsError
from lsdc.predict.workplace import Workplace

log = logging.getLogger(__name__)

# After so many failures and no success, the cause is not in the studies.
_GIVE_UP = 5

Read = Callable[[Sequence[int]], Studies]


class RunAttempt:
    """The predictions of one run, study by study where several at once fail.

    Args:
        models: the models of the run.
        read: reads the headers of some studies.
        at: the workplace, with a folder of this run's own.

    Attributes:
        reached: the studies whose prediction did not fail.
        failed: the reason of each study that failed.
    """

    def __init__(self, models: TrainedModels, read: Read, at: Workplace) -> None:
        at.folder.mkdir()
        self.models = models
        self.reached: set[int] = set()
        self.failed: dict[int, str] = {}
        self._read, self._at = read, at
        self._numbers = count()
        self._queue = SampleQueue(models, self._place())
        self._waiting: list[int] = []
        self._kept: list[pl.DataFrame] = []

    @property
    def is_given_up(self) -> bool:
        """Whether the run fails for every study."""
        return not (self.reached or self._waiting) and len(self.failed) >= _GIVE_UP

    def add(self, ids: Sequence[int], *, more: bool) -> None:
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
        self._queue = SampleQueue(self.models, self._place())
        self.reached.update(set(self._waiting) - set(self.failed))
        self._waiting = []

    @property
    def predictions(self) -> pl.DataFrame:
        """All predictions so far; a study's newest if it was predicted twice."""
        parts = [each for each in (*self._kept, self._queue.predicted) if len(each)]
        if not parts:
            return pl.DataFrame()
        return pl.concat(parts).unique("row_id", keep="last", maintain_order=True)

    def _prepare(self, ids: Sequence[int]) -> None:
        """Cut the crops of some studies; of each half apart, if that fails."""
        at = self._place()
        try:
            prepared = prepare(self._read(ids), self.models, at.folder / "block", at)
            self._waiting.extend(ids)
            if prepared.has_crops:
                self._queue.add(prepared.folder)
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001 (see above)
            self._waiting = [study for study in self._waiting if study not in ids]
            log.debug("%s of %s failed\n%s", ids, self.models.name, traceback.format_exc())
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
        log.debug("%s failed\n%s", self.models.name, traceback.format_exc())
        self._note_reached()
        waiting, self._waiting = self._waiting, []
        self._kept.append(self._queue.predicted)
        for study in waiting:
            if self.is_given_up:
                self.failed[study] = _reason(error)
                continue
            at = self._place()
            try:
                queue = SampleQueue(self.models, at)
                prepared = prepare(self._read([study]), self.models, at.folder / "block", at)
                if prepared.has_crops:
                    queue.add(prepared.folder)
                self._kept.append(queue.finish()[0])
                self.reached.add(study)
            except Exception as own:  # noqa: BLE001 (see above)
                log.debug("%s failed\n%s", study, traceback.format_exc())
                self.failed[study] = _reason(own)
            finally:
                shutil.rmtree(at.folder, ignore_errors=True)
        self._queue = SampleQueue(self.models, self._place())

    def _note_reached(self) -> None:
        """Take those out of the waiting studies whose samples are all predicted."""
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
