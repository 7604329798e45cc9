"""Check by geometry alone whether a series can belong to a lumbar spine study.

The bounds are conservative: a series within them may still show another part of the body (a neck
is imaged much like a lumbar spine), but one outside them cannot show the graded structures.
"""

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import place_annotations, planes_of
from lsdc.challenges.lumbar.coordinates.level_points import known_points
from lsdc.challenges.lumbar.quality.checks import check
from lsdc.challenges.lumbar.vocabulary import SeriesDescription

# The distance from disc L1/L2 to L5/S1 is 110 to 180 mm; lumbar images are at least 220 mm high,
# whole-spine images 500 mm.
SAGITTAL_HEIGHT_MM = (160.0, 600.0)
# The foramina lie 15 to 20 mm to either side of the middle; 38 slices of 5 mm are 190 mm.
SAGITTAL_WIDTH_MM = (20.0, 250.0)
# The smaller side of an axial image: a vertebra with facet joints is 80 mm wide, a body 450 mm.
AXIAL_FIELD_MM = (80.0, 500.0)
# A stack may cover a single disc; an abdomen with pelvis is 450 mm high.
AXIAL_HEIGHT_MM = (0.0, 450.0)
# Adjacent lumbar discs are 28 to 45 mm apart, those of a neck 17 to 20 mm.
LEVEL_STEP_MM = (23.0, 60.0)
# Axial slices lie within the sagittal images, apart from patient movement between the series.
APART_MM = 20.0

_KEY = ["split", "study_id", "series_id"]
_PLANES = {
    str(SeriesDescription.SAGITTAL_T1): "sagittal",
    str(SeriesDescription.SAGITTAL_T2): "sagittal",
    str(SeriesDescription.AXIAL_T2): "axial",
}


@check("Series in another plane than described", "series")
def series_in_another_plane(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with slices in another plane than described; oblique ones match any plane.

    Returns:
        split, ids, series_description, plane.
    """
    expected = pl.col("series_description").replace_strict(
        _PLANES, default=None, return_dtype=pl.String
    )
    named = pl.col("plane").is_in(["sagittal", "coronal", "axial"])
    return series.filter(named & (pl.col("plane") != expected)).select(
        *_KEY, "series_description", "plane"
    )


@check("Series sized unlike a lumbar spine", "measures")
def series_unlike_a_lumbar_spine(instances: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return the sagittal and axial series, by geometry, whose size is out of bounds.

    Returns:
        split, ids, series_description, plane, measure, value_mm, lowest_mm, highest_mm: one row per
        measure out of bounds.
    """
    down_rows = pl.col("rows") * pl.col("row_spacing_mm")
    along_columns = pl.col("columns") * pl.col("column_spacing_mm")
    fields = instances.group_by(_KEY).agg(
        height_mm=(
            down_rows * pl.col("orientation").arr.get(5).abs()
            + along_columns * pl.col("orientation").arr.get(2).abs()
        ).max(),
        field_mm=pl.min_horizontal(down_rows, along_columns).max(),
    )
    measured = series.join(
        fields, on=_KEY, how="inner", nulls_equal=True, maintain_order="left"
    ).filter(pl.col("images") > 0)
    rules = [
        ("sagittal", "height of the images", "height_mm", SAGITTAL_HEIGHT_MM),
        ("sagittal", "width over the slices", "extent_mm", SAGITTAL_WIDTH_MM),
        ("axial", "smaller side of the images", "field_mm", AXIAL_FIELD_MM),
        ("axial", "height over a stack", "extent_mm", AXIAL_HEIGHT_MM),
    ]
    return pl.concat(
        measured.filter(~pl.col(column).is_between(*bounds), plane=plane).select(
            *_KEY,
            "series_description",
            "plane",
            measure=pl.lit(measure),
            value_mm=pl.col(column),
            lowest_mm=pl.lit(bounds[0]),
            highest_mm=pl.lit(bounds[1]),
        )
        for plane, measure, column, bounds in rules
    ).sort(_KEY)


def studies_unlike_a_lumbar_spine(
    annotations: pl.DataFrame, instances: pl.DataFrame, series: pl.DataFrame
) -> pl.DataFrame:
    """Return the annotated studies that cannot show a lumbar spine.

    Either their level points have a spacing unlike that of lumbar discs, or all their sagittal
    series have a size unlike that of a lumbar spine.

    Returns:
        study_id, in ascending order.
    """
    ids, points, _ = known_points(place_annotations(instances, annotations))
    above, below = np.triu_indices(points.shape[1], k=1)
    # Between all pairs of levels: one outlying point affects fewer than half of them.
    steps = np.linalg.norm(points[:, below] - points[:, above], axis=-1) / (below - above)
    known = np.isfinite(steps).sum(axis=1) > 2
    step_mm = np.nanmedian(steps[known], axis=1)
    off = (step_mm < LEVEL_STEP_MM[0]) | (step_mm > LEVEL_STEP_MM[1])
    stepped = pl.DataFrame({"study_id": pl.Series(ids, dtype=pl.Int64).filter(known).filter(off)})
    sagittal = series.filter(pl.col("images") > 0, plane="sagittal")
    unlike = series_unlike_a_lumbar_spine(instances, sagittal)
    alike = sagittal.join(unlike, on=_KEY, how="anti", nulls_equal=True)
    sized = unlike.join(alike, on="study_id", how="anti").join(
        annotations, on="study_id", how="semi"
    )
    return pl.concat([stepped, sized.select("study_id")]).unique().sort("study_id")


@check("Axial series far from the sagittal ones", "series")
def axial_apart_from_sagittal(instances: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return the axial series with no slice centre within 20 mm of the sagittal images.

    Those images span a box along the patient's axes; studies without them are not checked.

    Returns:
        split, ids, series_description.
    """
    images = instances.drop("series_description").join(
        series.select(*_KEY, "series_description", "plane"),
        on=_KEY,
        how="inner",
        nulls_equal=True,
        maintain_order="left",
    )
    study = ["split", "study_id"]
    corners = _corners(images.filter(plane="sagittal"))
    box = corners.group_by(study).agg(
        pl.col("x", "y", "z").min().name.suffix("_low"),
        pl.col("x", "y", "z").max().name.suffix("_high"),
    )
    middles = _corners(images.filter(plane="axial"), middle=True)
    inside = pl.all_horizontal(
        pl.col(axis).is_between(pl.col(f"{axis}_low") - APART_MM, pl.col(f"{axis}_high") + APART_MM)
        for axis in "xyz"
    )
    return (
        middles.join(box, on=study, how="inner", nulls_equal=True, maintain_order="left")
        .group_by(*_KEY, "series_description", maintain_order=True)
        .agg(inside=inside.any())
        .filter(~pl.col("inside"))
        .drop("inside")
    )


def _corners(images: pl.DataFrame, *, middle: bool = False) -> pl.DataFrame:
    """Return each image's four corner pixels, or its centre, in mm: split, ids, x, y, z."""
    last = images.select(pl.col("columns", "rows") - 1).to_numpy().astype(np.float64)
    share = [(0.5, 0.5)] if middle else [(0, 0), (1, 0), (0, 1), (1, 1)]
    pixels = last[:, None, :] * np.array(share)[None]
    points = planes_of(images).to_mm(pixels).reshape(-1, 3)
    ids = images.select(*_KEY, "series_description")
    return ids.select(pl.all().repeat_by(len(share)).explode()).with_columns(
        pl.Series(axis, points[:, number]) for number, axis in enumerate("xyz")
    )
