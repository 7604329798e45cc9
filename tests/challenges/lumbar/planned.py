"""Make a phantom's tables and index from its plan, without painting or reading images."""

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.competition.series_kinds import SERIES_KINDS
from lsdc.challenges.lumbar.phantom.study import Order, plan_studies
from lsdc.challenges.lumbar.phantom.tables import annotation_rows
from lsdc.dicom_index.image_use import with_use
from lsdc.dicom_index.index import Index
from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.dicom_index.twins import Twins
from lsdc.geometry.planes import normal_positions, orientation_groups

INSTANCE = ["study_id", "series_id", "instance_number"]


def planned_index(order: Order) -> Index:
    """Return the index of a phantom without its broken files."""
    return index_of(
        [
            {
                "split": study.split,
                "study_id": study.study_id,
                "series_id": series_id,
                "instance_number": number,
                "series_description": plan.description,
                "rows": plane.shape[0],
                "columns": plane.shape[1],
                "row_spacing_mm": plane.spacing_mm[0],
                "column_spacing_mm": plane.spacing_mm[1],
                "position_mm": plane.origin_mm.tolist(),
                "orientation": [*plane.row_direction, *plane.column_direction],
            }
            for study in plan_studies(order)
            for series_id, plan in study.series
            for number, plane in zip(plan.instance_numbers, plan.planes, strict=True)
        ]
    )


def planned_annotations(order: Order) -> pl.DataFrame:
    """Return the annotations of a phantom's training studies, in the form of the read table."""
    names = ["study_id", "series_id", "instance_number", "condition", "level", "x_px", "y_px"]
    rows = [
        row
        for study in plan_studies(order)
        if study.split == "train"
        for row in annotation_rows(study)
    ]
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table.with_columns(
        pl.col("condition").str.to_lowercase().str.replace_all(" ", "_"),
        pl.col("level").str.to_lowercase().str.replace("/", "_"),
    )


def index_of(files: list[dict[str, object]]) -> Index:
    """Return an index with the columns that the tests use, for files ordered by their numbers."""
    triple, six = pl.Array(pl.Float64, 3), pl.Array(pl.Float64, 6)
    instances = used(
        pl.DataFrame(
            files, schema_overrides={"position_mm": triple, "orientation": six}
        ).with_columns(path=pl.concat_str(INSTANCE, separator="/"))
    )
    key = ["split", "study_id", "series_id", "series_description"]
    groups = instances.group_by(key, maintain_order=True)
    series = pl.DataFrame([summarised(ids, rows) for ids, rows in groups])
    studies = series.group_by("split", "study_id", maintain_order=True).agg(
        usable=pl.lit(True), images=pl.col("images").sum(), series=pl.len()
    )
    rest = (Quarantine.create_empty(), OtherFiles.create_empty(), Twins.create_empty())
    return Index(instances, series, studies, *rest)


def used(instances: pl.DataFrame) -> pl.DataFrame:
    """Return the instances with their orientation groups and the kinds that they are used as."""
    series = instances.select(pl.struct("study_id", "series_id").rank("dense")).to_series()
    orientations, positions = (instances[n].to_numpy() for n in ("orientation", "position_mm"))
    groups = orientation_groups(orientations, series=series)
    along = normal_positions(positions, orientations, groups=series.to_numpy() * 1000 + groups)
    return with_use(
        instances.with_columns(
            pl.Series("orientation_group", groups),
            pl.Series("normal_position_mm", along),
            echo_time_ms=pl.lit(None, dtype=pl.Float64),
        ),
        SERIES_KINDS,
    )


def summarised(key: tuple[object, ...], rows: pl.DataFrame) -> dict[str, object]:
    """Return a row of `series`."""
    orientations, positions = rows["orientation"].to_numpy(), rows["position_mm"].to_numpy()
    groups = orientation_groups(orientations)
    along = [
        normal_positions(positions[groups == g], orientations[groups == g]) for g in set(groups)
    ]
    is_sagittal = str(key[3]).startswith("Sagittal")
    steps = np.sign(np.diff(positions[:, 0])) if is_sagittal else np.ones(1)
    numbers = rows["instance_number"]
    return {
        **dict(zip(("split", "study_id", "series_id", "series_description"), key, strict=True)),
        "images": rows.height,
        "quarantined": 0,
        "orientation_groups": len(along),
        "plane": "sagittal" if is_sagittal else "axial",
        "order": "one way" if len(set(steps)) == 1 else "mixed",
        "first_instance": numbers.min(),
        "last_instance": numbers.max(),
        "gaps": int(np.sum(np.diff(numbers) - 1)),
        "duplicate_positions": 0,
        "shapes": 1,
        "extent_mm": max(float(np.ptp(group)) for group in along),
        "id_mismatches": 0,
    }
