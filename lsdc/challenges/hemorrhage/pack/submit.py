"""The worker of a bundle: predict the test images by all its runs, and write the submission."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.competition.row_ids import ID, LABEL, cells_of
from lsdc.challenges.hemorrhage.competition.tables import asks_for_rows, stage_of
from lsdc.challenges.hemorrhage.index.folders import find_folders
from lsdc.challenges.hemorrhage.pack.layout import open_models
from lsdc.challenges.hemorrhage.predict.block import MEAN, predict_block, read_predictions
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.sources import Source, Studies, open_source
from lsdc.challenges.hemorrhage.scoring.submission import assemble_submission
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.pack import worker
from lsdc.pack.attempts import Predicted, RunAttempt, Steps
from lsdc.pack.blend import mean_where_reached
from lsdc.pack.worker import Described, Order, named, prior_rows, say_failure
from lsdc.predict.progress import Teller, ignore_progress
from lsdc.predict.workplace import Workplace

_BY = {"neighbours": "the mean of neighbouring slices", "prior": "the prior"}
_NOTHING = {"image_id": pl.String, **dict.fromkeys(PROBABILITIES, pl.Float64)}


@dataclass(frozen=True)
class RunSteps(Steps[str, Predicted]):
    """How one run predicts studies.

    Attributes:
        models: the models of the run.
        read: puts the images of some studies in order.
    """

    key = "image_id"
    models: TrainedModels
    read: Callable[[Sequence[str]], Studies]

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.models.name

    def open_queue(self, at: Workplace) -> Predicted:  # noqa: ARG002 (it needs no folder)
        """Open an empty queue."""
        return Predicted()

    def prepare(self, ids: Sequence[str], queue: Predicted, at: Workplace) -> None:
        """Prepare and predict the slices of some studies."""
        studies, folder = self.read(ids), at.folder / "block"
        teller = Teller(ignore_progress, ("preparing", "predicting"))
        predict_block(studies, self.models, folder, at, teller)
        found = read_predictions(folder, MEAN)
        if len(found):
            own = studies.images.select("image_id", "study_id").unique("image_id")
            queue.add(found.join(own, on="image_id", how="left", maintain_order="left"))


class Submission(worker.Submission[str]):
    """The submission of all runs."""

    def __init__(self, order: Order, at: Workplace) -> None:
        self._models = open_models(order.bundle)
        self._rows = prior_rows(order)
        self._known = self._rows.filter("known")[ID]
        self._cells = cells_of(self._known)
        print("reading the headers of all test images", flush=True)
        source = _open(order, at)
        self.ids = [study for block in source.blocks for study in block]
        self._images = _images_of(source)

        @lru_cache(maxsize=1)  # all runs read the same studies in turn
        def read(ids: tuple[str, ...]) -> Studies:
            return source.read(ids)

        self.attempts = [
            RunAttempt(
                RunSteps(each, lambda ids: read(tuple(ids))),
                replace(at, folder=at.folder / f"run-{number}"),
            )
            for number, each in enumerate(self._models)
        ]

    def assemble(self) -> pl.DataFrame:
        """Return the mean of all runs that reached the study of an image; the prior elsewhere.

        A run fills the images that it does not predict as in its own submission.
        """
        if self._known.is_empty():
            return self._rows.drop("known")
        values = np.stack([table[LABEL].to_numpy() for table, _ in self._each()])
        mean = mean_where_reached(values[..., np.newaxis], self._reached())[:, 0]
        found = pl.DataFrame({ID: self._known, LABEL: mean})
        return self._rows.drop("known").update(found, on=ID, how="left")

    def describe(self) -> Described:
        """Describe the submission with all predictions so far."""
        asked = self._cells.images.implode()
        studies = self._images.filter(pl.col("image_id").is_in(asked))["study_id"].unique()
        if self._known.is_empty():
            return Described("image", 0, 0, (), ())
        filled = pl.concat([filled for _, filled in self._each()])
        # An image counts as predicted if any run predicts it.
        of_all = pl.len().over("image_id") == len(self._models)
        filled = filled.filter(of_all).unique("image_id", keep="first", maintain_order=True)
        lines = [
            f"{counted(len(own), 'image')} by {_BY[str(how)]}: {why} ({named(own['image_id'])})"
            for (how, why), own in filled.group_by("filled_by", "why", maintain_order=True)
        ]
        count = len(self._cells.images)
        return Described("image", count, count - len(filled), set(studies), lines)

    def _each(self) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
        """Return the submission of each run, and the images that it fills."""
        return [
            assemble_submission(
                found if len(found := attempt.predictions) else pl.DataFrame(schema=_NOTHING),
                self._known,
                self._images,
                dict(models.prior),
            )
            for attempt, models in zip(self.attempts, self._models, strict=True)
        ]

    def _reached(self) -> NDArray[np.bool_]:
        """Return whether each run reached the study of each known row: (runs, rows)."""
        wanted = self._cells.images.rename("image_id").to_frame()
        places = self._images.select("image_id", "study_id").unique("image_id")
        studies = wanted.join(places, on="image_id", how="left", maintain_order="left")["study_id"]
        by_image = np.array(
            [
                studies.is_in(list(each.reached)).fill_null(False).to_numpy()
                for each in self.attempts
            ]
        )
        return by_image[:, self._cells.place // len(PROBABILITIES)]


def _images_of(source: Source) -> pl.DataFrame:
    """Return image_id, study_id, series_id and order of all images that are used."""
    columns = ["image_id", "study_id", "series_id", "order"]
    tables = [source.read(block).images for block in source.blocks]
    used = [each.filter(pl.col("left_out").is_null()).select(columns) for each in tables]
    return pl.concat([source.no_images().select(columns), *used])


def _open(order: Order, at: Workplace) -> Source:
    """Open the test images by the sample submission; without one that can be used, by any name."""
    root, folders = order.test, _test_folders(order.test)
    try:
        is_listed = asks_for_rows(root)
    except DataError as error:
        say_failure(f"{error}; so all files of the folder of test images are read")
        is_listed = False
    return open_source(
        root if is_listed or not folders else folders[0],
        at,
        studies_at_once=order.studies_at_once,
        leave_out=order.work,
        may_be_empty=True,
        on_files=lambda _read, _files: None,
    )


def _test_folders(root: Path) -> list[Path]:
    """Return the folders of test images, if they have their names."""
    try:
        return [*find_folders(root, stage_of(root))["test"]]
    except DataError:
        return []


if __name__ == "__main__":
    sys.exit(worker.main(Submission))
