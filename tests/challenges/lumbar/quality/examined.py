"""Plant a fault in a patient, and count the doctor's findings."""

from dataclasses import dataclass, replace

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.dicom_index.index import Index
from lsdc.tables.findings import Report


@dataclass(frozen=True)
class Patient:
    """A competition and its index, and one study with all series to plant a fault in."""

    competition: Competition
    index: Index
    study: int

    def with_points(self, change: pl.Expr, **where: str) -> Report:
        """Change a column of some of the study's points; return the report on the tables alone."""
        return examine(self._with_points(change, where), None)

    def with_placed_points(self, change: pl.Expr, **where: str) -> Report:
        """Change points as `with_points` does; return the report on tables and index."""
        return examine(self._with_points(change, where), self.index)

    def _with_points(self, change: pl.Expr, where: dict[str, str]) -> Competition:
        there = (pl.col("study_id") == self.study) & pl.all_horizontal(
            pl.col(name) == value for name, value in where.items()
        )
        name = change.meta.output_name()
        changed = pl.when(there).then(change).otherwise(name).alias(name)
        points = self.competition.annotations.with_columns(changed)
        return replace(self.competition, annotations=points)

    def series_id(self, description: str) -> int:
        """Return the study's first series of a kind."""
        rows = self.index.series.filter(study_id=self.study, series_description=description)
        return int(rows["series_id"][0])


def counted(report: Report) -> dict[str, int]:
    return {finding.name: finding.count for finding in report.findings if finding.count}


def new(report: Report, before: Report) -> set[str]:
    """Return the checks with more findings than before."""
    old = counted(before)
    return {name for name, count in counted(report).items() if count > old.get(name, 0)}


def small_images(index: Index, series: int) -> Index:
    smaller = pl.when(pl.col("series_id") == series).then(0.3).otherwise(1.0)
    spacing = ["row_spacing_mm", "column_spacing_mm"]
    return replace(index, instances=index.instances.with_columns(pl.col(spacing) * smaller))


def undo_corrections(clean: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """Return the annotations as they were before `apply_corrections`."""
    gone = corrections.filter(pl.col("became_level").is_null())["row"]
    numbers = pl.Series("row", range(clean.height + len(gone)), dtype=pl.Int64)
    numbered = clean.with_columns(numbers.filter(~numbers.is_in(gone.implode())))
    first = corrections.unique("row", keep="first").select(*clean.columns, "row")
    untouched = numbered.join(first, on="row", how="anti")
    return pl.concat([untouched, first]).sort("row").drop("row")
