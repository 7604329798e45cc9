"""What `lsdc suspects` prints: the labels that predictions contradict."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.report.fitted_tables import Column, FittedTable

_SHOWN = 15  # rows, so that the table fits on a screen of 24 lines


@dataclass(frozen=True)
class PrintedSuspects:
    """The doubtful labels of a run or of a table of predictions.

    Attributes:
        name: the name of the run or the table.
        labels: the number of all labels.
        doubt: the doubt from which labels are listed.
        found: the doubtful labels, of `scoring.doubt.list_suspects`.
        out: the file that they were written to, if any.
    """

    name: str
    labels: int
    doubt: float
    found: pl.DataFrame
    out: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"labels": self.labels, "doubt": self.doubt, "suspects": self.found.to_dicts()}

    def show(self, console: Console) -> None:
        """Print the first of them, and how many more there are."""
        found = self.found
        console.print(
            f"{self.name}: {len(found):,} of {self.labels:,} labels "
            f"({len(found) / self.labels:.1%}) with a doubt of {self.doubt} or more",
            soft_wrap=True,
        )
        if len(found):
            console.print(_as_table(found.head(_SHOWN)))
        if len(found) > _SHOWN and self.out is None:
            more = len(found) - _SHOWN
            console.print(f"and {more:,} more; --out FILE.csv writes all", style="dim")


def _as_table(found: pl.DataFrame) -> FittedTable:
    words = {
        name: [str(each).replace("_", " ") for each in found[name]]
        for name in ("label", "likeliest")
    }
    return FittedTable(
        [
            Column("study", [str(study) for study in found["study_id"]]),
            Column(
                "condition", [each.replace("_", " ") for each in found["condition"]], is_text=True
            ),
            Column("level", [each.upper().replace("_", "/") for each in found["level"]]),
            Column("label", words["label"]),
            Column("predicted", words["likeliest"]),
            Column("doubt", [f"{each:.3f}" for each in found["doubt"]]),
        ]
    )
