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
from lsdc.tables.counts import series_sizes, tally
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
    splits = series["split"].unique().sort(descending=True)  # train before test
    return {
        "files": {
            "usable": index.images.height,
            "quarantined": index.quarantine.height,
            "others": index.other_files.height,
        },
        "images": tally(index.images, "split"),
        "studies": tally(index.studies, "split"),
        "patients": tally(index.images.unique(["split", "patient"]), "split"),
        "series": {split: tally(series.filter(split=split), "kind") for split in splits},
        "slices": series_sizes(series),
        "intercepts": tally(index.images, "rescale_intercept"),
        "sizes": tally(index.images.select(size=pl.format("{} x {}", "rows", "columns")), "size"),
    }
