"""The queues of all members: each predicts its own crops, and their predictions are joined."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.predict.block import Prepared, prepare
from lsdc.challenges.lumbar.predict.models import Models
from lsdc.challenges.lumbar.predict.queue import SampleQueue
from lsdc.challenges.lumbar.predict.sources import Studies
from lsdc.predict.workplace import Workplace


class Queues:
    """A queue of samples for each member of an ensemble; one for a run with models of its own.

    Args:
        models: the models that predict.
        at: the workplace.
    """

    def __init__(self, models: Models, at: Workplace) -> None:
        self._models = models
        self._queues = []
        for place, own in enumerate(models.each):
            folder = _inside(at.folder, place)
            folder.mkdir(exist_ok=True)
            self._queues.append(SampleQueue(own, replace(at, folder=folder)))

    def prepare(self, studies: Studies, folder: Path, at: Workplace) -> Prepared:
        """Cut the crops of some studies for each member, and take them.

        Returns:
            What the first member found, with the files that any of them cannot use.
        """
        found = []
        for place, (own, queue) in enumerate(zip(self._models.each, self._queues, strict=True)):
            prepared = prepare(studies, own, _inside(folder, place), at)
            if prepared.has_crops:
                queue.add(prepared.folder)
            found.append(prepared)
        first, bad = found[0], pl.concat([each.studies.quarantine for each in found])
        bad = bad.unique("path", keep="first", maintain_order=True)
        return replace(first, studies=replace(first.studies, quarantine=bad))

    def predict_whole(self) -> None:
        """Predict the samples that fill whole batches."""
        for queue in self._queues:
            queue.predict_whole()

    def predict_rest(self) -> None:
        """Predict all samples that wait."""
        for queue in self._queues:
            queue.predict_rest()

    def save(self, folder: Path) -> None:
        """Write what is new since the last call into a block's folder."""
        for place, queue in enumerate(self._queues):
            queue.save(_inside(folder, place))

    def restore(self, folders: Sequence[Path]) -> None:
        """Take up, in new queues, what `save` wrote into these folders one after the other."""
        for place, queue in enumerate(self._queues):
            queue.restore([_inside(folder, place) for folder in folders])

    def finish(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Predict all that is left; return the joined predictions, and those of each fold.

        Returns:
            row_id, study_id, condition, level and the three probabilities; the second table has
            `fold` as well. Both have no columns if there was no sample.
        """
        found = [queue.finish() for queue in self._queues]
        joined = self._models.join([mean for mean, _ in found])
        return joined, self._models.join_folds([by_fold for _, by_fold in found])


def _inside(folder: Path, place: int) -> Path:
    """Return the folder of a member; that of the first is the folder itself."""
    return folder / f"member-{place}" if place else folder
