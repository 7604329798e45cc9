"""Predict any studies with the models of a run, and write what was found."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import TypeAdapter

from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.competition.row_ids import row_ids_of
from lsdc.challenges.hemorrhage.competition.tables import wanted_rows
from lsdc.challenges.hemorrhage.predict.block import (
    BY_FOLD,
    MEAN,
    ROWS,
    predict_block,
    read_predictions,
)
from lsdc.challenges.hemorrhage.predict.gather import Found, describe, gather
from lsdc.challenges.hemorrhage.predict.key import key_of
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.outcome import StudyOutcome, describe_studies
from lsdc.challenges.hemorrhage.predict.picture import draw_pictures
from lsdc.challenges.hemorrhage.predict.sources import Source, open_source
from lsdc.challenges.hemorrhage.predict.tables import as_long, tabulate_images
from lsdc.challenges.hemorrhage.scoring.submission import assemble_submission
from lsdc.challenges.hemorrhage.slices.prepare import SLICES
from lsdc.predict.blocks import STUDIES_AT_ONCE, predict_blocks
from lsdc.predict.files import require_folder
from lsdc.predict.making import Options, making
from lsdc.predict.progress import OnProgress, Teller, ignore_progress
from lsdc.predict.results import (
    CSV,
    FILES,
    JSON,
    PICTURES,
    SUBMISSION,
    Prediction,
    write_json,
)
from lsdc.predict.unfinished import Block
from lsdc.predict.workplace import Workplace

STUDIES = "studies.csv"
_STEPS = ("reading pixels", "predicting", "drawing")
_RESULTS = (CSV, STUDIES, FILES, SUBMISSION, PICTURES, JSON)


@dataclass(frozen=True, kw_only=True)
class HeadPrediction(Prediction[StudyOutcome]):
    """The result of `predict_studies`; `rows` is the table `studies.csv`.

    Attributes:
        images: the table of `tables.tabulate_images`.
    """

    images: pl.DataFrame


@dataclass(frozen=True)
class _Predictor:
    """Predicts blocks of a source's studies."""

    adapter: ClassVar[TypeAdapter[list[StudyOutcome]]] = TypeAdapter(list[StudyOutcome])

    source: Source
    root: Path
    models: TrainedModels
    at: Workplace
    teller: Teller
    pictures: Path | None

    def restore(self, blocks: Sequence[Block[StudyOutcome]]) -> None:
        """Do nothing: no block depends on another."""

    def predict(self, ids: Sequence[str], folder: Path, *, is_last: bool) -> Block[StudyOutcome]:  # noqa: ARG002
        """Predict a block of whole studies, and draw them."""
        read = self.source.read(ids)
        unreadable = predict_block(read, self.models, folder, self.at, self.teller)
        mean, by_fold = (read_predictions(folder, name) for name in (MEAN, BY_FOLD))
        rows = tabulate_images(read, mean, by_fold, self.models.prior)
        rows.write_parquet(folder / ROWS)
        found = [*describe_studies(read, rows, unreadable, self.root)]
        self.teller.step(2)
        if self.pictures is not None and (folder / SLICES).is_file():
            draw_pictures(found, rows, folder, self.models, self.pictures, self._drawn)
        (folder / SLICES).unlink(missing_ok=True)  # the larger part of a block by far
        return Block(folder, found, unreadable, self.source.others.clear())

    def _drawn(self, done: int, studies: int) -> None:
        self.teller.share(done / studies, f"{done} of {studies}")


def predict_studies(
    root: Path,
    models: TrainedModels,
    out: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    pictures: bool = True,
    studies_at_once: int = STUDIES_AT_ONCE,
    on_progress: OnProgress = ignore_progress,
) -> HeadPrediction:
    """Predict all studies below a folder, and write the results into another one.

    Nothing is written outside of `out`, which holds `predict.log` from the start, and at the end
    all results, last of them `predictions.json`. Whatever stops it, the same call goes on after the
    last block of studies that was done, which `out/.unfinished` keeps; if a file or anything else
    that counts has changed, all is predicted anew.

    Args:
        root: a folder with DICOM files, or with the competition's sample submission and images.
        models: the models of a run.
        out: the folder for the results; earlier ones are replaced.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads, and of processes that read files.
        pictures: whether to draw a picture of each study.
        studies_at_once: the number of studies of a block, which are predicted together. Disk space
            depends on it, and the last bits of the results: batches hold other slices.
        on_progress: called as the work proceeds.

    Raises:
        DataError: the folder or its sample submission cannot be read, or it holds no DICOM file.
        StageError: a child process died.
        SettingsError: `out` holds other files.
        HomeBusyError: another prediction writes into `out`.
        NoSpaceError: the disk is full.
    """
    begun = time.monotonic()
    require_folder(root)
    row_ids = wanted_rows(root)
    key = key_of(root, models, out, arguments=(device, threads, studies_at_once, pictures))
    options = Options(device, threads, on_progress)
    with making(out, key, _STEPS, options) as work:
        at, teller = work.at, work.teller
        source = open_source(
            root, at, studies_at_once, out, may_be_empty=len(row_ids) > 0, on_files=teller.files
        )
        drawn = work.made / PICTURES if pictures else None
        predictor = _Predictor(source, root, models, at, teller, drawn)
        blocks, kept = predict_blocks(predictor, source.blocks, at.folder, teller)
        found = gather(blocks, source, root, models)
        unknown = _write(found, row_ids, root, models, work.made)
        files = work.put_in_place(_RESULTS)
    return _as_prediction(found, files, unknown, time.monotonic() - begun, kept)


def _as_prediction(
    found: Found, files: Sequence[Path], unknown: int, seconds: float, kept: int
) -> HeadPrediction:
    return HeadPrediction(
        studies=found.studies,
        rows=found.rows,
        images=found.images,
        quarantine=found.bad,
        others=found.others,
        files=files,
        unknown_rows=unknown,
        seconds=seconds,
        kept=kept,
    )


def _write(found: Found, row_ids: pl.Series, root: Path, models: TrainedModels, made: Path) -> int:
    """Write all files into the folder `made`; return how many row ids are of unknown images."""
    as_long(found.images).write_csv(made / CSV)
    found.rows.write_csv(made / STUDIES)
    found.files.write_csv(made / FILES)
    if len(row_ids):
        schema = {"image_id": pl.String, **dict.fromkeys(PROBABILITIES, pl.Float64)}
        mean = found.mean if len(found.mean) else pl.DataFrame(schema=schema)
        submission, _ = assemble_submission(mean, row_ids, found.stacked, dict(models.prior))
        submission.write_csv(made / SUBMISSION)
    unknown = len(row_ids.filter(~row_ids.is_in(row_ids_of(found.images["image_id"]).implode())))
    content = {
        "studies": describe(found),
        "quarantine": found.bad.select("path", "stage", "reason", "study_id").to_dicts(),
        "other_files": found.others.to_dicts(),
        "rows_of_unknown_images": unknown,
    }
    write_json(made / JSON, root, models.name, [*models.folds], content)
    return unknown
