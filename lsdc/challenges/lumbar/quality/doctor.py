"""Report the quality of a competition's data, from its tables and the index of its headers.

    examine    run every check that the tables and the index allow, and count the series

The report changes nothing and declares nothing unusable; that is up to the stages. It lists the
annotations that a run will correct, rule by rule. The checks are in the modules `*_checks`; the
correction rules are in `corrections`.
"""

from typing import Any

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality import (
    annotation_checks,
    geometry_checks,
    image_checks,
    place_checks,
    series_checks,
    side_checks,
    table_checks,
)
from lsdc.challenges.lumbar.quality.checks import find
from lsdc.challenges.lumbar.quality.corrections import Evidence, find_corrections, list_corrections
from lsdc.challenges.lumbar.quality.place_checks import points_without_an_image
from lsdc.challenges.lumbar.quality.side_checks import side_pairs, t1_orders
from lsdc.dicom_index.index import Index
from lsdc.dicom_index.quarantine import count_files
from lsdc.tables.counts import series_sizes, tally
from lsdc.tables.findings import Report

# In the order of the report; the corrections come between.
_OF_TABLES = (table_checks, annotation_checks, side_checks, place_checks)
_OF_IMAGES = (series_checks, geometry_checks, image_checks)


def examine(competition: Competition | None, index: Index | None) -> Report:
    """Run every check that the given tables allow.

    Args:
        competition: the opened tables; None for a tree of files without tables.
        index: the index of the images; None if there are none or none were read.

    Returns:
        The report; checks whose tables are missing have no finding.
    """
    tables = _tables(competition, index)
    counts: dict[str, Any] = {}
    findings = find(_OF_TABLES, tables)
    if competition is not None:
        counts |= _count_tables(competition)
        findings += list_corrections(tables["corrections"])
    if index is not None:
        counts |= _count_index(index)
    findings += find(_OF_IMAGES, tables)
    return Report(counts, tuple(findings), competition.spelled if competition else {})


def _tables(competition: Competition | None, index: Index | None) -> dict[str, Any]:
    """Return the tables that the checks name."""
    tables: dict[str, Any] = {} if index is None else dict(vars(index))
    if competition is None:
        return tables
    points, listed = competition.annotations, competition.series.filter(split="train")
    evidence = Evidence(listed)
    if index is not None:
        instances, series = (rows.filter(split="train") for rows in (index.instances, index.series))
        evidence = Evidence(listed, instances, series)
        tables["train_instances"] = instances
        tables["lost"] = points_without_an_image(points, instances, series, index.quarantine)
    return tables | {
        "competition": competition,
        "labels": competition.labels,
        "annotations": points,
        "listed": listed,
        "pairs": side_pairs(points, evidence.instances),
        "corrections": find_corrections(points, evidence),
    }


def _count_tables(competition: Competition) -> dict[str, Any]:
    series, points = competition.series, competition.annotations
    pairs = side_pairs(points, None)
    return {
        "studies": tally(series.unique(["split", "study_id"]), "split"),
        "series": {
            split: tally(series.filter(split=split), "series_description")
            for split in series["split"].unique(maintain_order=True)
        },
        "labels": competition.labels["grade"].drop_nulls().len(),
        "annotations": tally(points, "condition"),
        "t1_series_by_order_of_sides": tally(t1_orders(pairs), "order"),
    }


def _count_index(index: Index) -> dict[str, Any]:
    # Outside the competition's layout series have no description; their plane is used instead.
    series = index.series.with_columns(
        kind=pl.coalesce("series_description", "plane", pl.lit("unknown"))
    )
    with_images = series.filter(pl.col("images") > 0)
    kinds = sorted(with_images["kind"].unique())
    return {
        "files": {
            "usable": count_files(index.instances),
            "quarantined": index.quarantine.height,
            "others": index.other_files.height,
        },
        "indexed_studies": index.studies.height,
        "slices": series_sizes(with_images),
        "orientation_groups": {
            kind: tally(with_images.filter(kind=kind), "orientation_groups") for kind in kinds
        },
        "planes": {kind: tally(with_images.filter(kind=kind), "plane") for kind in kinds},
        "orders": {kind: tally(with_images.filter(kind=kind), "order") for kind in kinds},
    }
