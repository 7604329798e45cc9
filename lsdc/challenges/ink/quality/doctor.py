"""Report the quality of a competition's data, from its layers and pictures.

The report changes nothing and declares nothing unusable; that is up to the stages. The checks are
in the modules `*_checks`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.ink.competition.tables import wanted_rows
from lsdc.challenges.ink.quality import layer_checks, picture_checks
from lsdc.challenges.ink.quality.checks import find
from lsdc.challenges.ink.quality.reading import read_folder
from lsdc.tables.findings import Report

# In the order of the report.
_CHECKS = (layer_checks, picture_checks)


def examine(root: Path, *, on_progress: Callable[[int, int], None] | None = None) -> Report:
    """Run every check on a competition's folder.

    Args:
        root: the folder; whatever is missing or damaged in it is a finding.
        on_progress: called with the number of fragments read and their total.

    Raises:
        DataError: the sample submission is no such table.
    """
    tables: dict[str, Any] = {**read_folder(root, on_progress)}
    if (root / "sample_submission.csv").is_file():
        tables["wanted"] = pl.DataFrame({"fragment": wanted_rows(root)}, {"fragment": pl.String})
    return Report(_count(tables), tuple(find(_CHECKS, tables)))


def _count(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    fragments, layers = tables["fragments"], tables["layers"]
    frames = layers.drop_nulls("rows").select(
        "split", "fragment", size=pl.format("{} x {}, {} bits", "rows", "columns", "bits")
    )
    shares = {
        row["fragment"]: row["ink_pixels"] / row["mask_pixels"]
        for row in fragments.filter(pl.col("mask_pixels") > 0).drop_nulls("ink_pixels").to_dicts()
    }
    return {
        "fragments": _tally(fragments, "split"),
        "layers": _tally(layers, "split"),
        "unreadable": layers["fault"].count(),
        "frames": _tally(frames.unique(), "size"),
        "ink_of_mask": shares,
    }


def _tally(table: pl.DataFrame, column: str) -> dict[str, int]:
    """Count the occurrences of each value."""
    values = table.group_by(column).agg(rows=pl.len()).sort(column)
    return {str(value): rows for value, rows in values.iter_rows()}
