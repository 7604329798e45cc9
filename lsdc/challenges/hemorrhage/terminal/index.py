"""What `lsdc index` makes and prints: the images of a competition's folder, by kind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.challenges.hemorrhage.catalog_tables import CATALOG
from lsdc.challenges.hemorrhage.competition.tables import stage_of
from lsdc.challenges.hemorrhage.index.build import Index, build_index
from lsdc.dicom.names import escape_name
from lsdc.dicom_index.other_files import group_others
from lsdc.dicom_index.quarantine import count_files, group_reasons, refuse_bad_files
from lsdc.messages import counted
from lsdc.report.file_kinds import show_unused_files
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.store.catalog import publish_catalog
from lsdc.store.files import write_folder
from lsdc.store.home import Home
from lsdc.store.manifest import store_folder


@dataclass(frozen=True)
class PrintedIndex:
    """The index of a competition's folder in the catalog of a home.

    Attributes:
        name: the name that marks its rows in the catalog.
        home: the home.
        tables: the tables of the index.
    """

    name: str
    home: Home
    tables: Index

    @property
    def table(self) -> str:
        """The catalog's table with a row per image."""
        return "images"

    def refuse_bad(self, *, max_bad: float) -> None:
        """Refuse too many bad files."""
        good, bad = self.tables.images, self.tables.quarantine
        refuse_bad_files("index", bad, total=count_files(good, bad), max_bad=max_bad)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        tables = self.tables
        return {
            "images": tables.images.height,
            "series": _kinds(tables).to_dicts(),
            "quarantined": group_reasons(tables.quarantine).to_dicts(),
            "other_files": group_others(tables.other_files).to_dicts(),
            "catalog": str(self.home.catalog),
        }

    def show(self, console: Console) -> None:
        """Print counts by split and coding, and the rejected files with reasons."""
        tables = self.tables
        console.print(
            f"{counted(tables.images.height, 'usable image')}, {tables.quarantine.height:,} "
            f"quarantined, {counted(tables.other_files.height, 'other file')}",
            highlight=False,
        )
        kinds = _kinds(tables)
        if len(kinds):
            split, bits, patients, studies, series, images = kinds.get_columns()
            counts = {"patients": patients, "studies": studies, "series": series, "images": images}
            console.print(
                FittedTable(
                    [
                        Column("split", split.to_list(), is_text=True),
                        Column("stored as", bits.to_list(), is_text=True),
                        *(
                            Column(name, [f"{each:,}" for each in column])
                            for name, column in counts.items()
                        ),
                    ]
                )
            )
        reasons, others = group_reasons(tables.quarantine), group_others(tables.other_files)
        show_unused_files(reasons, others, console)


def index_into(
    home: Home, folder: Path, *, processes: int, on_progress: Callable[[int, int], None]
) -> PrintedIndex:
    """Index the images of a competition's folder into the catalog of a home.

    Headers that were read before are cached.

    Args:
        home: the home, whose lock is held.
        folder: the competition's folder.
        processes: the number of processes that read files.
        on_progress: called with the number of files read and of all files.

    Raises:
        DataError: there is no folder of images.
    """
    with write_folder(home.root / "index") as out:
        rows = build_index(
            folder,
            out,
            stage=stage_of(folder),
            processes=processes,
            headers=home.headers,
            on_progress=on_progress,
        )
        tables = Index.load(out)
        manifest = store_folder(home.root, "index", out, rows=rows)
    name = escape_name(folder.absolute())
    publish_catalog(home, name, [manifest], CATALOG, kind="folder")
    return PrintedIndex(name, home, tables)


def _kinds(tables: Index) -> pl.DataFrame:
    """Return the numbers of patients, studies, series and images by split and coding."""
    sign = pl.when(pl.col("pixel_representation") == 1).then(pl.lit("signed"))
    bits = pl.format("{} bits, {}", "bits_stored", sign.otherwise(pl.lit("unsigned")))
    return (
        tables.images.group_by("split", stored=bits.fill_null("unknown"))
        .agg(
            patients=pl.col("patient").n_unique(),
            studies=pl.col("study_id").n_unique(),
            series=pl.struct("study_id", "series_id").n_unique(),
            images=pl.len(),
        )
        .sort("split", "stored", descending=[True, False])
    )
