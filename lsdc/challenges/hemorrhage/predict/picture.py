"""Pictures: all slices of a stack in the windows that the models saw, and their probabilities."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.outcome import StudyOutcome
from lsdc.challenges.hemorrhage.report.pictures.sheet import draw_stack
from lsdc.challenges.hemorrhage.report.pictures.stacks import (
    Stack,
    Stored,
    name_windows,
    read_pixels,
)
from lsdc.messages import counted, few
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_atomic

_MARKS = "Below, in their colours: probabilities of 0.05 and more."
_WIDEST = 190  # letters of a line


def draw_pictures(
    studies: list[StudyOutcome],
    rows: pl.DataFrame,
    block: Path,
    models: TrainedModels,
    out: Path,
    on_done: Callable[[int, int], None],
) -> None:
    """Write STUDY.png, or STUDY-SERIES.png if several series are used, for each used series.

    Args:
        studies: the studies of a block.
        rows: their table of images.
        block: the folder with their prepared slices, of which there is at least one.
        models: the models that predicted them.
        out: the folder for the pictures.
        on_done: called with the number of studies done and of all studies.
    """
    out.mkdir(parents=True, exist_ok=True)
    prepared = read_parquet(block / "slices.parquet", ["image_id", "row"])
    stored = {image: Stored(block, row) for image, row in prepared.iter_rows()}
    windows = name_windows(models.experiment.slices)
    by_study = {str(study): own for (study,), own in rows.group_by("study_id")}
    for number, study in enumerate(studies, start=1):
        used = [each for each in study.series if not each.left_out]
        for series in used:
            own = by_study[study.study_id].filter(series_id=series.series_id)
            places = tuple(stored.get(image) for image in own["image_id"])
            stack = Stack(
                study_id=study.study_id,
                split="test",
                slices=own.select("image_id", "slice", "along_mm"),
                pixels=tuple(map(read_pixels, places)),
                labels=np.full((len(own), len(PROBABILITIES)), np.nan),
                probabilities=own.select(PROBABILITIES).to_numpy(),
                folds=(None,) * len(own),
                stored=places,
            )
            about = [f"predicted by the run {models.name}", counted(len(own), "slice")]
            if len(used) > 1:
                about.append(f"series {series.series_id}, one of {len(used)}")
            about += [study.subfolder] if study.subfolder else []
            sheet = draw_stack(
                stack,
                windows,
                f"Study {study.study_id}",
                textwrap.wrap("  ·  ".join(about), _WIDEST)[:1],
                marks=_MARKS,
                doubts=_doubt_lines(study, own),
            )
            name = f"{study.study_id}-{series.series_id}" if len(used) > 1 else study.study_id
            with write_atomic(out / f"{name}.png") as temporary:
                sheet.save(temporary, format="PNG")
        on_done(number, len(studies))


def _doubt_lines(study: StudyOutcome, rows: pl.DataFrame) -> list[str]:
    """Return the doubts on a study, and which slices no model predicted, as lines."""
    found = [*study.doubts]
    for source, by in (("neighbours", "their neighbours"), ("prior", "the prior")):
        own = rows.filter(source=source)["slice"].drop_nulls()
        if len(own) and not study.why_prior:
            found.append(f"predicted by {by}: slice {few([str(number) for number in own])}")
    return [line for doubt in found for line in textwrap.wrap(doubt, _WIDEST)]
