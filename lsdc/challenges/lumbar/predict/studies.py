"""Predict any studies with the models of a run, and write what was found."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import TypeAdapter

from lsdc.challenges.lumbar.competition.tables import wanted_rows
from lsdc.challenges.lumbar.predict.describe import describe_block
from lsdc.challenges.lumbar.predict.key import key_of
from lsdc.challenges.lumbar.predict.models import Models
from lsdc.challenges.lumbar.predict.outcome import StudyOutcome, describe, tabulate_predictions
from lsdc.challenges.lumbar.predict.picture import draw_pictures
from lsdc.challenges.lumbar.predict.queues import Queues
from lsdc.challenges.lumbar.predict.sources import Source, open_source
from lsdc.challenges.lumbar.scoring.submission import assemble_submission
from lsdc.dicom_index.instance_table import Instances
from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.predict.blocks import STUDIES_AT_ONCE, predict_blocks
from lsdc.predict.dicom_files import count_others
from lsdc.predict.files import relative_to, require_folder, tabulate_files
from lsdc.predict.making import Making, Options, making
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
from lsdc.store.exact_names import read_parquet

_STEPS = ("reading series", "finding levels", "predicting")
_IDS = ("study_id", "series_id")
_RESULTS = (CSV, FILES, SUBMISSION, PICTURES, JSON)


@dataclass(frozen=True)
class _Predictor:
    """Predicts blocks of a source's studies."""

    adapter: ClassVar[TypeAdapter[list[StudyOutcome]]] = TypeAdapter(list[StudyOutcome])

    source: Source
    root: Path
    models: Models
    queue: Queues
    at: Workplace
    teller: Teller

    def restore(self, blocks: Sequence[Block[StudyOutcome]]) -> None:
        """Give the predictions of the blocks to the queue."""
        self.queue.restore([block.folder for block in blocks])

    def predict(self, ids: Sequence[int], folder: Path, *, is_last: bool) -> Block[StudyOutcome]:
        """Predict a block, its last samples apart, which wait for those of the next block."""
        read = self.source.read(ids)
        self.teller.step(1)
        prepared = self.queue.prepare(read, folder, self.at)
        first = self.models.each[0]
        outcomes = [*describe_block(prepared, self.source, self.root, first)]
        self.teller.step(2)
        if is_last:
            self.queue.predict_rest()
        else:
            self.queue.predict_whole()
        self.queue.save(folder)
        found = prepared.studies
        return Block(folder, outcomes, found.quarantine, found.others)


def predict_studies(
    root: Path,
    models: Models,
    out: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    pictures: bool = True,
    studies_at_once: int = STUDIES_AT_ONCE,
    on_progress: OnProgress = ignore_progress,
) -> Prediction[StudyOutcome]:
    """Predict all studies below a folder, and write the results into another one.

    Nothing but `models` is needed of a run, and nothing is written outside of `out`, which holds
    `predict.log` from the start, and at the end `predictions.csv`, `pictures/`, `submission.csv` if
    the folder has a `sample_submission.csv`, and last of all `predictions.json`. Whatever stops it,
    the same call goes on after the last block of studies that was done, which `out/.unfinished`
    keeps; if a file or anything else that counts has changed, all is predicted anew.

    Args:
        root: a folder with DICOM files, or with `test_series_descriptions.csv` and `test_images`.
        models: the models of a run, or of an ensemble's members. The first member's tell which
            series are used, what a level is called, and how sure that is.
        out: the folder for the results; earlier ones are replaced.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads, and of processes that read files.
        pictures: whether to draw a picture of each study.
        studies_at_once: the number of studies of a block: they are read and cut together. Results
            do not depend on it, disk space does.
        on_progress: called as the work proceeds.

    Raises:
        DataError: the folder or one of its tables cannot be read, or it holds no DICOM file.
        StageError: a child process died.
        SettingsError: `out` holds other files.
        HomeBusyError: another prediction writes into `out`.
        NoSpaceError: the disk is full.
    """
    begun = time.monotonic()
    require_folder(root)
    row_ids = wanted_rows(root)
    key = key_of(root, models, out, arguments=(device, threads, studies_at_once))
    options = Options(device, threads, on_progress)
    with making(out, key, _STEPS, options) as work:
        source = open_source(
            root,
            models.each[0],
            work.at,
            studies_at_once=studies_at_once,
            leave_out=out,
            may_be_empty=bool(row_ids),
            on_files=work.teller.files,
        )
        found = _predict(source, root, models, work.at, work.teller)
        _draw(found if pictures else None, models, work.made / PICTURES, work.teller)
        return _write(found, row_ids, root, models, work, begun)


@dataclass(frozen=True)
class _Found:
    """All predictions, before they are written; `kept` studies are of an earlier call."""

    studies: list[StudyOutcome]
    blocks: list[Block[StudyOutcome]]
    rows: pl.DataFrame
    by_fold: pl.DataFrame
    kept: int


def _predict(source: Source, root: Path, models: Models, at: Workplace, teller: Teller) -> _Found:
    predictor = _Predictor(source, root, models, Queues(models, at), at, teller)
    blocks, kept = predict_blocks(predictor, source.blocks, at.folder, teller)
    mean, by_fold = predictor.queue.finish()
    studies = sorted((s for block in blocks for s in block.studies), key=lambda each: each.study_id)
    rows = tabulate_predictions(studies, mean, by_fold, models)
    return _Found(studies, blocks, rows, by_fold, kept)


def _draw(found: _Found | None, models: Models, out: Path, teller: Teller) -> None:
    if found is None:
        shutil.rmtree(out, ignore_errors=True)  # of a call that asked for them and was stopped
        return
    slices = models.each[0].experiment.slices
    draw_pictures(found.studies, found.blocks, found.rows, out, models.name, slices, teller.drawn)


def _write(
    found: _Found,
    row_ids: Sequence[str],
    root: Path,
    models: Models,
    work: Making,
    begun: float,
) -> Prediction[StudyOutcome]:
    """Write all files, then put them in place."""
    made = work.made
    bad, others = _gather_files(found.blocks, root)
    unknown = _write_submission(found.rows, row_ids, models, made / SUBMISSION)
    found.rows.write_csv(made / CSV)
    spelled = {each.study_id: each.spelled for each in found.studies}
    files = tabulate_files(_used_files(found.blocks, root), bad, spelled, _IDS)
    files.write_csv(made / FILES)
    content = {
        "studies": describe(found.studies, found.rows, found.by_fold, files),
        "quarantine": bad.select("path", "stage", "reason", "study_id").to_dicts(),
        "other_files": others.to_dicts(),
        "rows_of_unknown_studies": unknown,
    }
    write_json(made / JSON, root, models.name, [*models.folds], content)
    return Prediction(
        studies=found.studies,
        rows=found.rows,
        quarantine=bad,
        others=others,
        files=work.put_in_place(_RESULTS),
        unknown_rows=unknown,
        seconds=time.monotonic() - begun,
        kept=found.kept,
    )


def _gather_files(
    blocks: Sequence[Block[StudyOutcome]], root: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the files that cannot be used, and the others counted by type."""
    bad = [Quarantine.create_empty(), *(each.quarantine for each in blocks)]
    others = [OtherFiles.create_empty(), *(each.others for each in blocks)]
    return relative_to(root, pl.concat(bad)), count_others(root, pl.concat(others))


def _used_files(blocks: Sequence[Block[StudyOutcome]], root: Path) -> pl.DataFrame:
    columns = [*_IDS, "path", "used_as"]
    tables = [read_parquet(each.folder / "instances.parquet") for each in blocks]
    files = [own.select(columns).unique() for own in tables]
    return relative_to(root, pl.concat([Instances.create_empty().select(columns), *files]))


def _write_submission(
    rows: pl.DataFrame, row_ids: Sequence[str], models: Models, path: Path
) -> int:
    """Write the submission, if one is wanted; return the number of rows of unknown studies."""
    if not row_ids:
        return 0
    predicted = rows.filter(source="images")
    submission = assemble_submission(predicted, row_ids, models.prior)
    submission.write_csv(path)
    known = {str(study) for study in rows["study_id"].unique()}
    return sum(row_id.lstrip("0").partition("_")[0] not in known for row_id in row_ids)
