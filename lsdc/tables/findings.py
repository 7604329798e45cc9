"""Findings: the results of checks of tables or headers, with one row per affected item."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import polars as pl


class Severity(StrEnum):
    """Whether you should check it (a contradiction or a loss), or it is only information."""

    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """The result of one check; without rows it found nothing.

    Attributes:
        name: a stable name for programs.
        title: one short line for people.
        unit: the unit of a row, in the plural: "points", "series", "files".
        rows: the ids that apply (study_id, series_id, instance_number, condition, path and so on),
            then the measured values.
        severity: the severity of each row.
        of: the number of items checked, if that is informative.
        advice: what a run does about it, and what the user can do, in a few words; may be empty.
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
        """The number of rows."""
        return self.rows.height

    @property
    def studies(self) -> int | None:
        """The number of studies among the rows; None if rows have no study."""
        if "study_id" not in self.rows.columns:
            return None
        return self.rows["study_id"].drop_nulls().n_unique()

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as a dict for JSON."""
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


@dataclass(frozen=True)
class Report:
    """The result of an examination.

    Attributes:
        counts: the counts of an overview.
        findings: one finding per check, including empty ones.
        spelled: the tables' spelling of numbers that begin with zeros, where ids are numbers.
    """

    counts: dict[str, Any]
    findings: tuple[Finding, ...]
    spelled: Mapping[int, str] = field(default_factory=dict)

    def finding(self, name: str) -> Finding:
        """Return the finding with that name; raise KeyError if its check could not run."""
        return {finding.name: finding for finding in self.findings}[name]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"counts": self.counts, "findings": [each.as_dict() for each in self.findings]}
