"""Correct annotated points that are provably wrong.

    find_corrections    apply the rules in order, each to the result of those before it
    apply_corrections   raw annotations to clean ones

A correction changes a point's condition or level, or drops the point; labels are never changed.
Rules need solid evidence; points that are merely unusual are left to `lsdc doctor`.

Not detected: a study with all points one level off, since nothing in it shows this; and a side
named wrongly in both labels and points.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import dataframely as dy
import polars as pl

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.competition.tables import Annotations
from lsdc.challenges.lumbar.coordinates.moves import annotated_moves, moved_back
from lsdc.challenges.lumbar.quality.annotation_checks import (
    points_on_the_wrong_kind_of_series,
    points_on_unlisted_series,
)
from lsdc.challenges.lumbar.quality.geometry_checks import studies_unlike_a_lumbar_spine
from lsdc.challenges.lumbar.quality.level_agreement import (
    conditions_a_level_off,
    points_across_the_middle,
    points_far_off_their_level,
    points_off_their_curve,
)
from lsdc.challenges.lumbar.quality.place_checks import points_outside_their_image
from lsdc.challenges.lumbar.quality.repeated_points import repeats_to_leave_out
from lsdc.challenges.lumbar.quality.side_checks import certainly_swapped, side_pairs
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition
from lsdc.dicom_index.image_use import used_images
from lsdc.messages import counted
from lsdc.store.table_files import write_table
from lsdc.tables.findings import Finding
from lsdc.tables.table import Table, one_of

_NEW = ["became_condition", "became_level"]
_POINT = ["study_id", "series_id", "instance_number", "condition", "level"]


class Rule(StrEnum):
    """The reason of a correction, in the order in which the rules are applied."""

    WRONG_SERIES = "wrong_series"
    OUTSIDE_THE_IMAGE = "outside_the_image"
    REPEATED_APART = "repeated_apart"
    NO_LUMBAR_SPINE = "no_lumbar_spine"
    LEVEL_OFF_BY_ONE = "level_off_by_one"
    SIDES_SWAPPED = "sides_swapped"
    OFF_THE_TREND = "off_the_trend"
    ACROSS_THE_MIDDLE = "across_the_middle"


_BEFORE = "Condition and level of the point before the correction."
_AFTER = "Condition and level of the point after the correction; null if the point was dropped."
_IMAGE = "Ids of the image on which the point was annotated."


class Corrections(Table):
    """One row per correction that a run made to an annotated point."""

    row = dy.Int64(min=0, description="Row of train_label_coordinates.csv, from 0.")
    rule = dy.String(
        check=one_of(Rule),
        description=f"The rule that was applied. The rules in order: {', '.join(Rule)}.",
    )
    study_id = dy.Int64(description=_IMAGE)
    series_id = dy.Int64(description=_IMAGE)
    instance_number = dy.Int64(description=_IMAGE)
    condition = dy.String(check=one_of(Condition), description=_BEFORE)
    level = dy.String(check=one_of(LEVELS), description=_BEFORE)
    x_px = dy.Float64(description=columns.PIXEL)
    y_px = dy.Float64(description=columns.PIXEL)
    became_condition = dy.String(nullable=True, check=one_of(Condition), description=_AFTER)
    became_level = dy.String(nullable=True, check=one_of(LEVELS), description=_AFTER)


# What each rule finds, and what it does.
DESCRIPTIONS = {
    Rule.WRONG_SERIES: (
        (
            "Points on a series that is missing from the series table, and points on a series of "
            "the wrong type (by plane and description) for their condition."
        ),
        "Drops them.",
    ),
    Rule.OUTSIDE_THE_IMAGE: ("Points beyond the outermost pixels.", "Drops them."),
    Rule.REPEATED_APART: (
        "Several points of one study, condition and level (one cell) that are over 10 mm apart.",
        (
            "The other levels of the condition and the other conditions of the level predict the "
            "position of the cell. Keeps the point nearest to it and the points within 10 mm of "
            "that point; drops the others. Drops all points of the cell if none is within 15 mm of "
            "the position, or if one of those others is within 15 mm of it, too."
        ),
    ),
    Rule.NO_LUMBAR_SPINE: (
        "Studies whose neighbouring levels are less than 23 mm or more than 60 mm apart, or whose "
        "sagittal series all differ in size from a lumbar spine.",
        "Drops all their points.",
    ),
    Rule.LEVEL_OFF_BY_ONE: (
        (
            "All points of one condition in a study, if they lie at the neighbouring level. The "
            "points of the other conditions show this; they must be of at least two kinds (canal, "
            "foramina, subarticular zones)."
        ),
        "Renames the points to that level; drops points that then have no level.",
    ),
    Rule.SIDES_SWAPPED: (
        (
            "Pairs whose left point lies over 10 mm to the right of the right point; without "
            "images: pairs of an axial series whose left-right order in pixels is opposite to that "
            "of most pairs of the series."
        ),
        "Exchanges the two sides.",
    ),
    Rule.OFF_THE_TREND: (
        (
            "Points more than 20 mm away from their level as given by the other conditions, unless "
            "most points of the same condition deviate in the same way. Points more than 45 mm "
            "from the midline. Points that deviate from the curve through the other points of the "
            "same condition and series by more than 1.5 times the distance between levels."
        ),
        "Drops them.",
    ),
    Rule.ACROSS_THE_MIDDLE: (
        (
            "Left or right points that lie over 6 mm beyond the midline on the wrong side, if the "
            "points of the two other kinds (canal, foramina, subarticular zones) agree on the "
            "midline."
        ),
        "Drops them.",
    ),
}
TITLES = {
    Rule.WRONG_SERIES: "Dropped by a run: on a wrong series",
    Rule.OUTSIDE_THE_IMAGE: "Dropped by a run: outside the image",
    Rule.REPEATED_APART: "Dropped by a run: contradicting repeats",
    Rule.NO_LUMBAR_SPINE: "Dropped by a run: no lumbar spine",
    Rule.LEVEL_OFF_BY_ONE: "Corrected by a run: level off by one",
    Rule.SIDES_SWAPPED: "Corrected by a run: sides swapped",
    Rule.OFF_THE_TREND: "Dropped by a run: off the trend",
    Rule.ACROSS_THE_MIDDLE: "Dropped by a run: across the midline",
}


@dataclass(frozen=True)
class Evidence:
    """The data that points are compared with, all of the training split.

    Attributes:
        listed: the competition's table of series.
        instances: the index's instances; None, as is `series`, where there are no images.
        series: the index's series.
    """

    listed: pl.DataFrame
    instances: pl.DataFrame | None = None
    series: pl.DataFrame | None = None


def find_corrections(annotations: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Apply the rules and return the corrections, in the order in which they must be applied.

    Args:
        annotations: the table as `competition.tables` reads it.
        evidence: the data to compare with; studies without images are judged by pixels alone.

    Returns:
        `Corrections`: `row`, the row of `annotations` counted from 0; then the point's old and new
        condition and level, the new ones null if it is dropped. A point may be corrected twice.
    """
    found: pl.DataFrame = Corrections.create_empty()
    if evidence.instances is not None:  # undo the patient's moves before comparing points
        moves = annotated_moves(evidence.instances, annotations)
        evidence = replace(evidence, instances=moved_back(evidence.instances, moves))
    for rule, judge in _RULES.items():
        points = _corrected(annotations, found)
        changed = judge(points, evidence).select("row", *_NEW)
        rows = points.join(changed, on="row", how="inner", maintain_order="left")
        named = rows.with_columns(rule=pl.lit(str(rule)))
        found = pl.concat([found, named.select(Corrections.column_names())])
    return found


def apply_corrections(annotations: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """Return the corrected annotations; the order of rows stays."""
    return _corrected(annotations, corrections).drop("row")


def write_annotations(
    annotations: pl.DataFrame, evidence: Evidence, out: Path, *, corrected: bool
) -> pl.DataFrame:
    """Write the run's `annotations.parquet`, and `corrections.parquet`.

    Args:
        annotations: the table as `competition.tables` reads it.
        evidence: the data with an index; studies missing from it are not corrected.
        out: an existing folder.
        corrected: whether to apply corrections; if not, the raw annotations are written.

    Returns:
        The corrections that were made.
    """
    made: pl.DataFrame = Corrections.create_empty()
    if corrected and evidence.series is not None:
        made = find_corrections(annotations, evidence).join(
            evidence.series, on="study_id", how="semi", maintain_order="left"
        )
    corrected_points = apply_corrections(annotations, made)
    write_table(Annotations, corrected_points, out / "annotations.parquet")
    write_table(Corrections, made, out / "corrections.parquet")
    return made


def list_corrections(corrections: pl.DataFrame) -> list[Finding]:
    """Return one finding per rule for the doctor, including rules that found nothing."""
    return [
        Finding(str(rule), title, "points", corrections.filter(rule=str(rule)).drop("rule"))
        for rule, title in TITLES.items()
    ]


def describe_corrections(corrections: pl.DataFrame) -> str:
    """Return a line with the number of corrections by rule."""
    if corrections.is_empty():
        return "no corrections"
    counts = dict(corrections.group_by("rule").len().iter_rows())
    by_rule = ", ".join(f"{rule} {counts[rule]}" for rule in Rule if rule in counts)
    studies = counted(corrections["study_id"].n_unique(), "study")
    return f"{counted(len(corrections), 'correction')} in {studies} ({by_rule})"


def _corrected(annotations: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """Return the corrected annotations, with their `row` in the given table."""
    last = corrections.unique("row", keep="last").select("row", *_NEW, touched=pl.lit(True))
    numbered = annotations.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return (
        numbered.join(last, on="row", how="left", maintain_order="left")
        .filter(pl.col("touched").is_null() | pl.col("became_level").is_not_null())
        .with_columns(
            condition=pl.coalesce("became_condition", "condition"),
            level=pl.coalesce("became_level", "level"),
        )
        .drop(*_NEW, "touched")
    )


def _same(points: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """Return the named points; two points with the same name and place both count."""
    return points.join(named, on=_POINT, how="semi", maintain_order="left")


def _left_out(points: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.String)
    return points.select("row", became_condition=nothing, became_level=nothing)


def _no_lumbar_spine(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    if evidence.instances is None or evidence.series is None:
        return _left_out(points.clear())
    studies = studies_unlike_a_lumbar_spine(points, evidence.instances, evidence.series)
    return _left_out(points.join(studies, on="study_id", how="semi", maintain_order="left"))


def _wrong_series(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    used = evidence.listed if evidence.instances is None else _as_used(evidence)
    wrong = pl.concat(
        [
            points_on_unlisted_series(points, used),
            points_on_the_wrong_kind_of_series(points, used),
        ],
        how="diagonal",
    )
    return _left_out(_same(points, wrong))


def _as_used(evidence: Evidence) -> pl.DataFrame:
    """Return the listed series, described as the kind that their images are used as."""
    assert evidence.instances is not None
    series = ["study_id", "series_id"]
    read = used_images(evidence.instances).unique(series, keep="first")
    return evidence.listed.update(read.select(*series, "series_description"), on=series)


def _outside_the_image(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    outside = points_outside_their_image(points, evidence.instances)
    return _left_out(_same(points, outside))


def _repeated_apart(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    return _left_out(repeats_to_leave_out(points, evidence.listed, evidence.instances))


def _level_off_by_one(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    if evidence.instances is None:
        return _left_out(points.clear())
    off = conditions_a_level_off(points, evidence.instances)
    names = {number: str(level) for number, level in enumerate(LEVELS)}
    became = (columns.LEVEL_NUMBER + pl.col("levels_down")).replace_strict(
        names, default=None, return_dtype=pl.String
    )
    return points.join(
        off, on=["study_id", "condition"], how="inner", maintain_order="left"
    ).select(
        "row",
        became_condition=pl.when(became.is_not_null()).then("condition"),
        became_level=became,
    )


def _sides_swapped(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    pairs = certainly_swapped(side_pairs(points, evidence.instances))
    mirrored = {str(condition): str(condition.mirrored) for condition in Condition}
    return (
        # Points of one cell lie together; an earlier rule has handled those that do not.
        points.with_columns(kind=columns.KIND)
        .join(pairs, on=["study_id", "kind", "level"], how="semi", maintain_order="left")
        .select(
            "row",
            became_condition=pl.col("condition").replace_strict(mirrored, return_dtype=pl.String),
            became_level="level",
        )
    )


def _off_the_trend(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    off = [points_off_their_curve(points)]
    if evidence.instances is not None:
        off.append(points_far_off_their_level(points, evidence.instances))
    return _left_out(_same(points, pl.concat(off, how="diagonal")))


def _across_the_middle(points: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    if evidence.instances is None:
        return _left_out(points.clear())
    return _left_out(_same(points, points_across_the_middle(points, evidence.instances)))


_RULES: dict[Rule, Callable[[pl.DataFrame, Evidence], pl.DataFrame]] = {
    Rule.WRONG_SERIES: _wrong_series,
    Rule.OUTSIDE_THE_IMAGE: _outside_the_image,
    Rule.REPEATED_APART: _repeated_apart,
    Rule.NO_LUMBAR_SPINE: _no_lumbar_spine,
    Rule.LEVEL_OFF_BY_ONE: _level_off_by_one,
    Rule.SIDES_SWAPPED: _sides_swapped,
    Rule.OFF_THE_TREND: _off_the_trend,
    Rule.ACROSS_THE_MIDDLE: _across_the_middle,
}
