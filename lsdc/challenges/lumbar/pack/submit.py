"""The worker of a bundle: predict the test studies by all its runs, and write the submission."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import polars as pl

from lsdc.challenges.lumbar.competition.tables import open_test_set
from lsdc.challenges.lumbar.pack.blend import blend, join
from lsdc.challenges.lumbar.pack.layout import open_models
from lsdc.challenges.lumbar.predict.block import prepare
from lsdc.challenges.lumbar.predict.models import EnsembleModels, TrainedModels
from lsdc.challenges.lumbar.predict.queue import SampleQueue
from lsdc.challenges.lumbar.predict.sources import ListedStudies, LooseStudies, Source, Studies
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.pack import worker
from lsdc.pack.attempts import RunAttempt, Steps
from lsdc.pack.worker import Described, Order, named, prior_rows, say_failure
from lsdc.predict.workplace import Workplace


@dataclass(frozen=True)
class RunSteps(Steps[int, SampleQueue]):
    """How one run predicts studies.

    Attributes:
        models: the models of the run.
        read: reads the headers of some studies.
    """

    key = "row_id"
    models: TrainedModels
    read: Callable[[Sequence[int]], Studies]

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.models.name

    def open_queue(self, at: Workplace) -> SampleQueue:
        """Open an empty queue in the folder of a workplace."""
        return SampleQueue(self.models, at)

    def prepare(self, ids: Sequence[int], queue: SampleQueue, at: Workplace) -> None:
        """Read some studies, and put their crops into a queue."""
        prepared = prepare(self.read(ids), self.models, at.folder / "block", at)
        if prepared.has_crops:
            queue.add(prepared.folder)


class Submission(worker.Submission[int]):
    """The submission of all runs."""

    def __init__(self, order: Order, at: Workplace) -> None:
        models = open_models(order.bundle)
        self._rows = prior_rows(order)
        self._ensemble = models if isinstance(models, EnsembleModels) else None
        self._models = models.each if isinstance(models, EnsembleModels) else models
        source = _open(order, self._models[0], at)
        self.ids = [study for block in source.blocks for study in block]

        @lru_cache(maxsize=1)  # all runs read the same studies in turn
        def read(ids: tuple[int, ...]) -> Studies:
            return source.read(ids)

        self.attempts = [
            RunAttempt(
                RunSteps(each, lambda ids: read(tuple(ids))),
                replace(at, folder=at.folder / f"run-{number}"),
            )
            for number, each in enumerate(self._models)
        ]

    def assemble(self) -> pl.DataFrame:
        """Return the submission with all predictions so far, and with the prior elsewhere."""
        if self._ensemble is None:
            return blend(self._rows, self.attempts, [each.prior for each in self._models])
        return join(self._rows, self.attempts, self._ensemble)

    def describe(self) -> Described:
        """Describe the submission with all predictions so far."""
        known = self._rows.filter("known")["row_id"]
        asked = {int(row_id.partition("_")[0]) for row_id in known}
        from_images = set[int]()
        for attempt in self.attempts:
            if len(found := attempt.predictions):
                from_images |= set(found["study_id"].to_list())
        there = set(self.ids)
        reached = set.intersection(*(attempt.reached for attempt in self.attempts))
        whys = (
            (asked - there, "not among the test studies of the folder"),
            (asked & (there & reached) - from_images, "no image that the models use"),
        )
        lines = [
            f"{counted(len(studies), 'study')} by the prior: {why} ({named(studies)})"
            for studies, why in whys
            if studies
        ]
        return Described("study", len(asked), len(asked & from_images), asked, lines)


def _open(order: Order, models: TrainedModels, at: Workplace) -> Source:
    """Open the test studies by their table; without one that can be used, by their headers."""
    try:
        listing = open_test_set(order.test)
    except DataError as error:
        say_failure(f"{error}; so the kinds of series are told by their headers")
        listing = None
    if listing is not None:
        return ListedStudies(listing, at, order.studies_at_once)
    images = order.test / "test_images"
    return LooseStudies.find(
        images if images.is_dir() else order.test,
        models,
        at,
        studies_at_once=order.studies_at_once,
        leave_out=order.work,
        may_be_empty=True,
        on_files=lambda _read, _files: None,
    )


if __name__ == "__main__":
    sys.exit(worker.main(Submission))
