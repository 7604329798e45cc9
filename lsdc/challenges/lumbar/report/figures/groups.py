"""Scores of groups of studies that were imaged differently."""

from dataclasses import dataclass

import polars as pl

from lsdc.challenges.lumbar.coordinates.spines import Spines
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.challenges.lumbar.scoring.bootstrap import bootstrap
from lsdc.challenges.lumbar.scoring.scored import Scored
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom_index.series import Series
from lsdc.tables.resampling import Interval, interval

FEWEST_STUDIES = 5  # below, an interval says nothing


@dataclass(frozen=True)
class StudyGroup:
    """Some of the scored studies.

    Attributes:
        by: the property that the studies are grouped by.
        value: its value in this group.
        studies: the number of studies.
        score: their score.
        interval: its interval; None for fewer than FEWEST_STUDIES studies.
    """

    by: str
    value: str
    studies: int
    score: float
    interval: Interval | None


def study_groups(source: RunSource) -> list[StudyGroup]:
    """Score the studies of a run by the series they have, their slice spacing and their vertebrae.

    The index reads no maker and no field strength, so there are no groups by these.
    """
    studies = source.scored.rows.select(pl.col("study_id").unique().sort())
    series = source.table(Series).filter(pl.col("split") == "train", pl.col("images") > 0)
    values = studies.join(_series_of(series), on="study_id", how="left", maintain_order="left")
    values = values.join(
        source.table(Spines).filter(split="train").select("study_id", "extra_vertebra"),
        on="study_id",
        how="left",
        maintain_order="left",
    )
    found = []
    for by in ("series", "spacing", "vertebrae"):
        named = values.with_columns(_VALUES[by])
        groups = named.drop_nulls("value").partition_by("value", as_dict=True)
        found += [
            _group(source.scored, _NAMES[by], str(value), group)
            for (value,), group in sorted(groups.items())
        ]
    return found


_NAMES = {
    "series": "Series",
    "spacing": "Slice spacing of Sagittal T2/STIR",
    "vertebrae": "Number of vertebrae",
}
_SPACING_MM = 4.5  # studies of the competition have 3 to 6 mm
_VALUES = {
    "series": pl.when(pl.col("kinds") == len(SeriesDescription))
    .then(pl.lit("all three kinds"))
    .otherwise(pl.lit("one or two kinds missing"))
    .alias("value"),
    "spacing": pl.when(pl.col("spacing_mm") < _SPACING_MM)
    .then(pl.lit(f"below {_SPACING_MM} mm"))
    .when(pl.col("spacing_mm") >= _SPACING_MM)
    .then(pl.lit(f"{_SPACING_MM} mm and above"))
    .alias("value"),
    "vertebrae": pl.when(pl.col("extra_vertebra"))
    .then(pl.lit("possibly six lumbar vertebrae"))
    .when(~pl.col("extra_vertebra"))
    .then(pl.lit("five lumbar vertebrae"))
    .alias("value"),
}


def _series_of(series: pl.DataFrame) -> pl.DataFrame:
    """Return for each study the number of kinds of series, and the slice spacing of T2."""
    is_t2 = pl.col("series_description") == SeriesDescription.SAGITTAL_T2
    return series.group_by("study_id").agg(
        kinds=pl.col("series_description").drop_nulls().n_unique(),
        spacing_mm=pl.col("slice_spacing_mm").filter(is_t2).median(),
    )


def _group(scored: Scored, by: str, value: str, studies: pl.DataFrame) -> StudyGroup:
    rows = scored.rows.join(studies.select("study_id"), on="study_id", how="semi")
    own = Scored(scored.name, rows)
    span = interval(bootstrap([own])[0, :, 0]) if studies.height >= FEWEST_STUDIES else None
    return StudyGroup(by, value, studies.height, own.score.score, span)
