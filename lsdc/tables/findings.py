"""Findings: what a check of tables or headers found, with a row for each thing it is about."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import polars as pl


class Severity(StrEnum):
    """Whether somebody should look (a contradiction or a loss), or should merely know."""

    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """The result of one check; without rows it found nothing.

    Attributes:
        name: stable, for programs.
        title: one short line for people.
        unit: what a row is one of, in the plural: "points", "series", "files".
        rows: whatever ids apply (study_id, series_id, instance_number, condition, path and so on),
            then what was measured.
        severity: of each row.
        of: how many were looked at, where that says more than the count alone.
        advice: what a run does about it, and what one can do, in a few words; may be empty.
    """

    name: str
    title: str
    unit: str
    rows: pl.DataFrame
    severity: Severity = Severity.WARNING
    of: int | None = None
    advice: str = ""

    @property
    def count(self) -> int:
        """How many rows."""
        return self.rows.height

    @property
    def studies(self) -> int | None:
        """How many studies the rows are of; None where rows know no study."""
        if "study_id" not in self.rows.columns:
            return None
        return self.rows["study_id"].drop_nulls().n_unique()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "severity": str(self.severity),
            "unit": self.unit,
            "count": self.count,
            "of": self.of,
            "studies": self.studies,
            "advice": self.advice,
            "rows": self.rows.to_dicts(),
        }
