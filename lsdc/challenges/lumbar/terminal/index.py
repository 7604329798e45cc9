"""What `lsdc index` prints: what was found below a folder, and what cannot be used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.dicom_index.folder_index import Indexed, catalog_name, refuse_bad_tree
from lsdc.dicom_index.index import Index, series_without_images
from lsdc.dicom_index.other_files import group_others
from lsdc.dicom_index.quarantine import group_reasons
from lsdc.dicom_index.twins import describe_twins
from lsdc.messages import Spell, counted, few
from lsdc.report.file_kinds import show_unused_files
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.store.home import Home


@dataclass(frozen=True)
class PrintedIndex:
    """The index of a folder in the catalog of a home.

    Attributes:
        folder: the folder.
        home: the home.
        indexed: the counts of files.
        tables: the tables of the index.
        competition: the competition's tables, if the folder has some.
    """

    folder: Path
    home: Home
    indexed: Indexed
    tables: Index
    competition: Competition | None

    @property
    def name(self) -> str:
        """The name that marks its rows in the catalog."""
        return catalog_name(self.folder)

    @property
    def table(self) -> str:
        """The catalog's table with a row per image."""
        return "instances"

    @property
    def _spell(self) -> Spell:
        return self.competition.spell if self.competition else str

    def refuse_bad(self, *, max_bad: float) -> None:
        """Refuse too many bad files among those expected to be good."""
        refuse_bad_tree(self.tables, self.competition, max_bad=max_bad)

    def as_dict(self) -> dict[str, Any]:
        """Return what `show` prints as JSON values, without shortening its lists."""
        indexed, tables = self.indexed, self.tables
        return {
            "files": indexed.files,
            "read": indexed.read,
            "images": indexed.instances,
            "series": _kinds(tables).to_dicts(),
            "series_without_images": list(series_without_images(tables, self._spell)),
            "twins": list(describe_twins(tables.twins, self._spell)),
            "quarantined": group_reasons(tables.quarantine).to_dicts(),
            "other_files": group_others(tables.other_files).to_dicts(),
            "catalog": str(self.home.catalog),
        }

    def show(self, console: Console) -> None:
        """Print counts, series by plane and description, and the rejected files with reasons."""
        indexed, tables, spell = self.indexed, self.tables, self._spell
        console.print(
            f"{counted(indexed.files, 'file')}, {indexed.read:,} read now: "
            f"{counted(indexed.instances, 'usable image')}, {indexed.quarantined:,} quarantined, "
            f"{counted(indexed.others, 'other file')}",
            highlight=False,
        )
        kinds = _kinds(tables)
        if len(kinds):
            described, planes, series, images = kinds.get_columns()
            console.print(
                FittedTable(
                    [
                        Column("described as", [each or "-" for each in described], is_text=True),
                        Column("plane", [each or "no image" for each in planes], is_text=True),
                        Column("series", [f"{each:,}" for each in series]),
                        Column("images", [f"{each:,}" for each in images]),
                    ]
                )
            )
        if missing := series_without_images(tables, spell):
            console.print(
                f"{counted(len(missing), 'listed series')} without a usable image: {few(missing)}",
                style="yellow",
                highlight=False,
            )
        if twins := describe_twins(tables.twins, spell):
            line = f"the same images under two ids, {counted(len(twins), 'time')}: {few(twins)}"
            console.print(line, style="yellow", highlight=False)
        reasons, others = group_reasons(tables.quarantine), group_others(tables.other_files)
        show_unused_files(reasons, others, console)


def _kinds(tables: Index) -> pl.DataFrame:
    """Return the number of series and images by description and plane."""
    return (
        tables.series.group_by("series_description", "plane")
        .agg(pl.len().alias("series"), pl.col("images").sum())
        .sort("series", descending=True)
    )
