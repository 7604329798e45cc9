"""Report the quality of a competition's data, from the index of its headers and its labels.

    examine    run every check that the given tables allow, and count images and series

The report changes nothing and declares nothing unusable; that is up to the stages. The checks are
in the modules `*_checks`; those of the labels come with the competition's tables.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from lsdc.challenges.hemorrhage.index.build import Index
from lsdc.challenges.hemorrhage.quality import (
    file_checks,
    image_checks,
    patient_checks,
    stack_checks,
)
from lsdc.challenges.hemorrhage.quality.checks import find
from lsdc.tables.findings import Finding, Report

# In the order of the report.
_CHECKS = (patient_checks, image_checks, stack_checks, file_checks)


def examine(
    index: Index | None,
    *,
    label_findings: Sequence[Finding] = (),
    listed: pl.DataFrame | None = None,
) -> Report:
    """Run every check that the given tables allow.

    Args:
        index: the index of the images of one or both splits; None without images.
        label_findings: what was found in the competition's tables; they come first.
        listed: the columns split and image_id, the images that the tables list.

    Returns:
        The report; checks whose tables are missing have no finding.
    """
    tables: dict[str, Any] = {} if index is None else dict(vars(index))
    if listed is not None:
        tables["listed"] = listed
    counts = {} if index is None else _count(index)
    return Report(counts, (*label_findings, *find(_CHECKS, tables)))


def _count(index: Index) -> dict[str, Any]:
    kind = pl.format(
        "{} bits, {}",
        "bits_stored",
        pl.when(pl.col("pixel_representation") == 1)
        .then(pl.lit("signed"))
        .otherwise(pl.lit("unsigned")),
    ).fill_null("unknown bits")
    series = index.images.group_by("split", "study_id", "series_id").agg(
        kind=kind.mode().sort().first(), images=pl.len()
    )
    slices = series.group_by("kind").agg(
        series=pl.len(),
        min=pl.col("images").min(),
        median=pl.col("images").median(),
        max=pl.col("images").max(),
    )
    splits = series["split"].unique().sort(descending=True)  # train before test
    return {
        "files": {
            "usable": index.images.height,
            "quarantined": index.quarantine.height,
            "others": index.other_files.height,
        },
        "images": _tally(index.images, "split"),
        "studies": _tally(index.studies, "split"),
        "patients": _tally(index.images.unique(["split", "patient"]), "split"),
        "series": {split: _tally(series.filter(split=split), "kind") for split in splits},
        "slices": {row.pop("kind"): row for row in slices.sort("kind").to_dicts()},
        "intercepts": _tally(index.images, "rescale_intercept"),
        "sizes": _tally(index.images.select(size=pl.format("{} x {}", "rows", "columns")), "size"),
    }


def _tally(table: pl.DataFrame, column: str) -> dict[str, int]:
    """Count the occurrences of each value."""
    values = table.group_by(pl.col(column).cast(pl.String)).agg(rows=pl.len()).sort(column)
    return {str(value): rows for value, rows in values.iter_rows()}
