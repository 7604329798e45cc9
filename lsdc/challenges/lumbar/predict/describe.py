"""Describe the studies of a block: their series, their levels, and what they lack."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.predict.block import BY_MODEL, Prepared
from lsdc.challenges.lumbar.predict.kinds import ToldSeries
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.names import Names, name_levels
from lsdc.challenges.lumbar.predict.outcome import SeriesOutcome, StudyOutcome, missing_kinds
from lsdc.challenges.lumbar.predict.sources import Source
from lsdc.predict.files import folders_of


def describe_block(
    prepared: Prepared, source: Source, root: Path, models: TrainedModels
) -> Iterator[StudyOutcome]:
    """Describe each study of a block.

    Args:
        prepared: the block.
        source: the source of its studies.
        root: the folder of all files.
        models: the models.
    """
    studies = prepared.studies
    names = _names(prepared, len(models.folds))
    series = _series_of(prepared)
    quarantined = dict(studies.quarantine["study_id"].value_counts().iter_rows())
    known = pl.concat([studies.instances.select("study_id", "path"), _bad_files(prepared)])
    folders = folders_of(known, root)
    for study in studies.ids:
        own = tuple(series.get(study, ()))
        yield StudyOutcome(
            study_id=study,
            spelled=source.spell(study),
            folder=folders.get(study, ""),
            series=own,
            missing=missing_kinds(own),
            names=names.get(study),
            why_prior="" if study in names else _why_prior(own),
            quarantined=quarantined.get(study, 0),
        )


def _why_prior(series: tuple[SeriesOutcome, ...]) -> str:
    if not any(each.images for each in series):
        return "predicted by the prior: no usable image"
    if all(each.left_out for each in series):
        return "predicted by the prior: no series that the models use"
    return "predicted by the prior: no level in any image"


def _names(prepared: Prepared, models: int) -> dict[int, Names]:
    points, by_model = prepared.table("points"), prepared.table(BY_MODEL)
    if points.is_empty():
        return {}
    spines = {row["study_id"]: row for row in prepared.table("spines").iter_rows(named=True)}
    return {
        study: name_levels(own, by_model.filter(study_id=study), spines.get(study, {}), models)
        for (study,), own in points.group_by("study_id", maintain_order=True)
    }


def _series_of(prepared: Prepared) -> dict[int, list[SeriesOutcome]]:
    """Return the series of each study, in the order in which they were found or listed."""
    studies = prepared.studies
    counts = {
        (study, series): counted
        for study, series, *counted in studies.instances.group_by("study_id", "series_id")
        .agg(
            pl.len(),
            pl.col("used_as").null_count(),
            pl.col("used_as").drop_nulls().mode().sort().first().alias("kind"),
            pl.col("set_aside").drop_nulls().mode().sort().first(),
        )
        .iter_rows()
    }
    found: dict[int, list[SeriesOutcome]] = {}
    if studies.listed is not None:
        rows = studies.listed.select("study_id", "series_id", "series_description")
        for study, series, kind in rows.iter_rows():
            own = counts.get((study, series), (0, 0, None, None))
            found.setdefault(study, []).append(_listed(series, kind, *own))
        return found
    for told in studies.told:
        study, series = told.found.study_id, told.found.series_id
        own = counts.get((study, series), (0, 0, None, None))
        found.setdefault(study, []).append(_told(told, *own))
    return found


def _listed(
    series: int, described: str, images: int, unused: int, kind: str | None, aside: str | None
) -> SeriesOutcome:
    used = images > unused
    return SeriesOutcome(
        series_id=series,
        kind=kind if used else None,
        told_by="table",
        doubt="" if kind in (described, None) else f"described as {described}, used by its plane",
        left_out="" if used else (aside or "no usable image"),
        images=images,
        unused=unused,
    )


def _told(
    told: ToldSeries, images: int, unused: int, kind: str | None, aside: str | None
) -> SeriesOutcome:
    found = told.found
    left_out = told.left_out or ("" if images > unused else (aside or "no usable image"))
    return SeriesOutcome(
        series_id=found.series_id,
        kind=None if left_out else kind,
        told_by=told.by,
        doubt=told.doubt,
        left_out=left_out,
        images=images or found.images,
        unused=unused,
        plane=found.plane,
        echo_ms=found.echo_ms,
        repetition_ms=found.repetition_ms,
        fluid=told.fluid,
    )


def _bad_files(prepared: Prepared) -> pl.DataFrame:
    known = prepared.studies.quarantine.filter(pl.col("study_id").is_not_null())
    return known.select("study_id", "path")
