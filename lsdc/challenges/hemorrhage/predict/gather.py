"""Gather what all blocks found, as tables of the results and as JSON values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.predict.block import (
    BY_FOLD,
    IMAGES,
    MEAN,
    ROWS,
    read_predictions,
)
from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.outcome import StudyOutcome
from lsdc.challenges.hemorrhage.predict.sources import Source
from lsdc.challenges.hemorrhage.predict.tables import SPREADS, rows_by_prior, tabulate_studies
from lsdc.predict.dicom_files import count_others
from lsdc.predict.files import relative_to, tabulate_files
from lsdc.predict.unfinished import Block
from lsdc.store.exact_names import read_parquet

_IDS = ("study_id", "series_id", "image_id")


@dataclass(frozen=True)
class Found:
    """All predictions, before they are written.

    Attributes:
        studies: the studies, by id.
        rows: the table `studies.csv`, see `tables.tabulate_studies`.
        images: the table of `tables.tabulate_images`; images of no study come last.
        mean: image_id and the probabilities by the mean of the models; may lack columns if empty.
        by_fold: the same of each model, with `fold`.
        stacked: image_id, study_id, series_id and order of the images that are used.
        bad: the files that cannot be used: path below the folder, stage, reason and ids.
        others: the number of files that are no images, by type.
        files: the table `files.csv`.
    """

    studies: list[StudyOutcome]
    rows: pl.DataFrame
    images: pl.DataFrame
    mean: pl.DataFrame
    by_fold: pl.DataFrame
    stacked: pl.DataFrame
    bad: pl.DataFrame
    others: pl.DataFrame
    files: pl.DataFrame


def gather(
    blocks: Sequence[Block[StudyOutcome]], source: Source, root: Path, models: TrainedModels
) -> Found:
    """Gather what the blocks of a source found."""
    studies = [study for block in blocks for study in block.studies]
    folders = [block.folder for block in blocks]
    own = [read_parquet(folder / ROWS) for folder in folders]
    homeless = source.quarantine.filter(pl.col("study_id").is_null())
    known = pl.concat(
        [source.quarantine.select("image_id").clear(), *(each.select("image_id") for each in own)]
    )
    lost = homeless.join(known, on="image_id", how="anti")["image_id"].unique().sort()
    images = pl.concat([*own, rows_by_prior(lost, models.prior)])
    indexed = [read_parquet(folder / IMAGES) for folder in folders]
    placed = pl.concat([source.no_images(), *indexed])
    is_used = pl.col("left_out").is_null()
    bad = pl.concat([source.quarantine, *(block.quarantine for block in blocks)])
    bad = relative_to(root, bad)
    is_seen = is_used & ~pl.col("image_id").is_in(bad.filter(stage="slices")["image_id"].implode())
    seen = placed.with_columns(used_as=pl.when(is_seen).then(pl.lit("slice")))
    return Found(
        studies=studies,
        rows=tabulate_studies([each.study_id for each in studies], images, models.prior),
        images=images,
        mean=_joined(folders, MEAN),
        by_fold=_joined(folders, BY_FOLD),
        stacked=placed.filter(is_used).select("image_id", "study_id", "series_id", "order"),
        bad=bad,
        others=count_others(root, source.others),
        files=tabulate_files(relative_to(root, seen), bad, {}, _IDS),
    )


def _joined(folders: Sequence[Path], name: str) -> pl.DataFrame:
    tables = [read_predictions(folder, name) for folder in folders]
    there = [each for each in tables if len(each)]
    return pl.concat(there) if there else pl.DataFrame()


def describe(found: Found) -> list[dict[str, Any]]:
    """Return each study as JSON values, with its predictions and those of its images."""
    files: dict[tuple[str, str], list[str]] = {}
    for path, study, series in found.files.select("path", "study_id", "series_id").iter_rows():
        files.setdefault((study, series), []).append(path)
    highest = {str(study): own for (study,), own in found.rows.group_by("study_id")}
    images = {
        str(study): own for (study,), own in found.images.group_by("study_id", maintain_order=True)
    }
    folds = _by_image(found.by_fold)
    return [
        _as_dict(each, highest[each.study_id], images.get(each.study_id), folds, files)
        for each in found.studies
    ]


def _by_image(by_fold: pl.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Return the prediction of each fold, by image and label."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    if len(by_fold):
        for fold, image, *values in by_fold.select("fold", "image_id", *PROBABILITIES).iter_rows():
            for label, value in zip(PROBABILITIES, values, strict=True):
                found.setdefault((image, label), {})[str(fold)] = value
    return found


def _as_dict(
    study: StudyOutcome,
    highest: pl.DataFrame,
    images: pl.DataFrame | None,
    folds: Mapping[tuple[str, str], Mapping[str, float]],
    files: Mapping[tuple[str, str], Sequence[str]],
) -> dict[str, Any]:
    rows = [] if images is None else images.drop("study_id").to_dicts()
    return {
        "study_id": study.study_id,
        "folder": study.folder,
        "predicted_from": "prior" if study.why_prior else "images",
        "doubts": study.doubts,
        "quarantined": study.quarantined,
        "series": [
            asdict(each) | {"files": files.get((study.study_id, each.series_id), [])}
            for each in study.series
        ],
        "predictions": [
            row | {"by_fold": folds.get((row["image_id"], row["label"]), {})}
            for row in highest.drop("study_id", "images").to_dicts()
        ],
        "images": [
            {name: row[name] for name in ("image_id", "series_id", "slice", "along_mm", "source")}
            | {"probabilities": {label: row[label] for label in PROBABILITIES}}
            | {
                "spread": {
                    label: row[name] for label, name in zip(PROBABILITIES, SPREADS, strict=True)
                }
            }
            for row in rows
        ],
    }
