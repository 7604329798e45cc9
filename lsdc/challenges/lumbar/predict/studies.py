"""Predict any studies with the models of a run, and write what was found."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from filelock import Timeout

from lsdc import __version__
from lsdc.challenges.lumbar.competition.tables import wanted_rows
from lsdc.challenges.lumbar.predict.describe import describe_block
from lsdc.challenges.lumbar.predict.models import Models
from lsdc.challenges.lumbar.predict.outcome import (
    StudyOutcome,
    describe,
    tabulate_files,
    tabulate_predictions,
)
from lsdc.challenges.lumbar.predict.picture import draw_pictures
from lsdc.challenges.lumbar.predict.queues import Queues
from lsdc.challenges.lumbar.predict.sources import Source, open_source, require_folder
from lsdc.challenges.lumbar.predict.unfinished import (
    Block,
    block_folder,
    done_blocks,
    keep_block,
    unfinished,
    work_key,
)
from lsdc.challenges.lumbar.scoring.submission import assemble_submission
from lsdc.dicom.names import escape_name
from lsdc.dicom_index.instance_table import Instances
from lsdc.dicom_index.other_files import OtherFiles, group_others
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.errors import HomeBusyError, SettingsError
from lsdc.messages import counted
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import read_parquet
from lsdc.store.file_locks import file_lock
from lsdc.training.events import Event

log = logging.getLogger(__name__)

STUDIES_AT_ONCE = 64
CSV, JSON, FILES, SUBMISSION, PICTURES, LOG = (
    "predictions.csv",
    "predictions.json",
    "files.csv",
    "submission.csv",
    "pictures",
    "predict.log",
)
_HEADERS = "reading headers"
_STEPS = ("reading series", "finding levels", "predicting", "drawing")


@dataclass(frozen=True)
class Progress:
    """How far a prediction is.

    Attributes:
        words: what it does at the moment.
        done: the number of studies done; parts of a block count as parts.
        studies: the number of studies, as far as it is known.
    """

    words: str
    done: float
    studies: int


@dataclass(frozen=True)
class Prediction:
    """The result of `predict_studies`.

    Attributes:
        studies: what is known of each study, by id.
        rows: the table `predictions.csv`.
        quarantine: the files that cannot be used, paths relative to the folder.
        others: the number of files that are no slices, by type: files, what, path of the first.
        files: the files and folders that were written.
        unknown_rows: the number of rows of the sample submission that no study in the folder has.
        seconds: the time that it took.
        kept: the number of studies that an earlier, stopped prediction had done.
    """

    studies: Sequence[StudyOutcome]
    rows: pl.DataFrame
    quarantine: pl.DataFrame
    others: pl.DataFrame
    files: Sequence[Path]
    unknown_rows: int
    seconds: float
    kept: int = 0

    @property
    def from_prior(self) -> list[StudyOutcome]:
        """The studies that were predicted by the prior alone."""
        return [study for study in self.studies if study.why_prior]


def predict_studies(
    root: Path,
    models: Models,
    out: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    pictures: bool = True,
    studies_at_once: int = STUDIES_AT_ONCE,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Prediction:
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
    key = work_key(root, models, out, arguments=(device, threads, studies_at_once))
    with _alone_in(out), _logged(out / LOG), unfinished(out, key) as work:
        teller = _Teller(on_progress)
        at = Workplace(work, out / LOG, device, threads, teller.event)
        source = open_source(
            root,
            models.each[0],
            at,
            studies_at_once=studies_at_once,
            leave_out=out,
            may_be_empty=bool(row_ids),
            on_files=teller.files,
        )
        found = _predict(source, root, models, at, teller)
        made = work / "made"
        made.mkdir(exist_ok=True)
        _draw(found if pictures else None, models, made / PICTURES, teller)
        return _write(found, row_ids, root, models, made, out, begun)


@dataclass(frozen=True)
class _Found:
    """All predictions, before they are written; `kept` studies are of an earlier call."""

    studies: list[StudyOutcome]
    blocks: list[Block]
    rows: pl.DataFrame
    by_fold: pl.DataFrame
    kept: int


def _draw(found: _Found | None, models: Models, out: Path, teller: "_Teller") -> None:
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
    made: Path,
    out: Path,
    begun: float,
) -> Prediction:
    """Write all files into the folder `made`, then move them to `out`."""
    bad, others = _gather_files(found.blocks, root)
    unknown = _write_submission(found.rows, row_ids, models, made / SUBMISSION)
    found.rows.write_csv(made / CSV)
    files = tabulate_files(_used_files(found.blocks, root), bad, found.studies)
    files.write_csv(made / FILES)
    content = {
        "lsdc": __version__,
        "run": models.name,
        "folds": list(models.folds),
        "folder": escape_name(root.absolute()),
        "studies": describe(found.studies, found.rows, found.by_fold, files),
        "quarantine": bad.select("path", "stage", "reason", "study_id").to_dicts(),
        "other_files": others.to_dicts(),
        "rows_of_unknown_studies": unknown,
    }
    (made / JSON).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    written = _move(made, out)
    seconds = time.monotonic() - begun
    return Prediction(found.studies, found.rows, bad, others, written, unknown, seconds, found.kept)


def _gather_files(blocks: Sequence[Block], root: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the files that cannot be used, and the others counted by type."""
    bad = [Quarantine.create_empty(), *(each.quarantine for each in blocks)]
    others = [OtherFiles.create_empty(), *(each.others for each in blocks)]
    return _relative(pl.concat(bad), root), group_others(_relative(pl.concat(others), root))


def _used_files(blocks: Sequence[Block], root: Path) -> pl.DataFrame:
    columns = ["study_id", "series_id", "path", "used_as"]
    tables = [read_parquet(each.folder / "instances.parquet") for each in blocks]
    files = [own.select(columns).unique() for own in tables]
    return _relative(pl.concat([Instances.create_empty().select(columns), *files]), root)


def _predict(
    source: Source, root: Path, models: Models, at: Workplace, teller: "_Teller"
) -> _Found:
    """Predict block by block, after those that are done."""
    queue = Queues(models, at)
    blocks = done_blocks(at.folder, queue)
    sizes = [len(block) for block in source.blocks]
    if kept := sum(sizes[: len(blocks)]):
        log.info("%s of %s were done before", counted(kept, "study"), f"{sum(sizes):,}")
    for number, block in [*enumerate(source.blocks)][len(blocks) :]:
        teller.begin(sum(sizes[:number]), len(block), sum(sizes))
        teller.step(0)
        read = source.read(block)
        teller.step(1)
        prepared = queue.prepare(read, block_folder(at.folder, number), at)
        outcomes = list(describe_block(prepared, source, root, models.each[0]))
        teller.step(2)
        if number + 1 < len(sizes):
            queue.predict_whole()
        else:
            queue.predict_rest()
        blocks.append(keep_block(prepared, outcomes, queue))
    mean, by_fold = queue.finish()
    studies = sorted((s for block in blocks for s in block.studies), key=lambda each: each.study_id)
    rows = tabulate_predictions(studies, mean, by_fold, models)
    return _Found(studies, blocks, rows, by_fold, kept)


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


def _relative(files: pl.DataFrame, root: Path) -> pl.DataFrame:
    """Return a table of files with their paths relative to a folder."""
    inside = pl.col("path").str.strip_prefix(f"{escape_name(root.absolute())}/")
    return files.with_columns(path=inside).sort("path")


def _move(made: Path, out: Path) -> list[Path]:
    """Replace earlier results by those made; the JSON file goes first and comes last."""
    for name in (JSON, CSV, FILES, SUBMISSION):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / PICTURES, ignore_errors=True)
    names = [name for name in (CSV, FILES, SUBMISSION, PICTURES, JSON) if (made / name).exists()]
    for name in names:
        (made / name).replace(out / name)
    return [out / name for name in names]


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Lock the folder of the results, and remove what a killed prediction left there.

    Raises:
        SettingsError: the folder holds something else than results of a prediction.
        HomeBusyError: another prediction holds the lock.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / LOG).is_file():
        raise SettingsError(
            f"--out {out}: expected an empty folder or results of an earlier prediction "
            f"({LOG}), found other files, which would be in the way; choose another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    lock = file_lock(out / ".predict.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        message = f"{out}: another prediction writes into this folder; choose another --out"
        raise HomeBusyError(message) from None
    try:
        for left in out.glob(".writing-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        lock.release()


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write this project's log records to a file while the block runs."""
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("lsdc")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        handler.close()


class _Teller:
    """Turns the events of a prediction's parts into its progress."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress
        self._before = self._size = self._studies = self._step = 0

    def files(self, read: int, files: int) -> None:
        """Tell how many headers are read, before the studies are known."""
        self._on_progress(Progress(f"{_HEADERS}, {read:,} of {files:,}", 0.0, 0))

    def begin(self, before: int, size: int, studies: int) -> None:
        """Begin a block of studies."""
        self._before, self._size, self._studies = before, size, studies

    def step(self, number: int) -> None:
        """Begin a step of the block."""
        self._step = number
        self._tell(_STEPS[number], 0.0)

    def event(self, event: Event) -> None:
        """Tell what a child process reports."""
        self._tell(", ".join([_STEPS[self._step], *event.words]), event.share or 0.0)

    def drawn(self, number: int, studies: int) -> None:
        """Tell how many pictures are drawn."""
        self._on_progress(Progress(f"{_STEPS[3]}, {number} of {studies}", studies, studies))

    def _tell(self, words: str, share: float) -> None:
        done = self._before + self._size * (self._step + share) / len(_STEPS[:3])
        self._on_progress(Progress(words, done, self._studies))
