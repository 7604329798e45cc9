"""What `lsdc index` makes and prints: the fragments of a folder and their layers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from lsdc.challenges.ink.catalog_tables import CATALOG
from lsdc.challenges.ink.competition.tables import open_competition
from lsdc.challenges.ink.index import write_index
from lsdc.dicom.names import escape_name
from lsdc.messages import counted
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.store.catalog import publish_catalog
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_folder
from lsdc.store.home import Home
from lsdc.store.manifest import store_folder


@dataclass(frozen=True)
class PrintedIndex:
    """The index of a competition's folder in the catalog of a home.

    Attributes:
        name: the name that marks its rows in the catalog.
        home: the home.
        fragments: `index.Fragments`.
        layers: `index.Layers`.
    """

    name: str
    home: Home
    fragments: pl.DataFrame
    layers: pl.DataFrame

    @property
    def table(self) -> str:
        """The catalog's table with a row per image."""
        return "layers"

    def refuse_bad(self, *, max_bad: float) -> None:
        """Refuse nothing more: an unusable layer was refused already, as no other replaces it."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "fragments": self._summary().to_dicts(),
            "layers": self.layers.height,
            "catalog": str(self.home.catalog),
        }

    def show(self, console: Console) -> None:
        """Print the fragments, with their sizes and how they are stored."""
        found = self._summary()
        numbers = ("height_px", "width_px", "layers", "megabytes")
        console.print(f"{counted(self.layers.height, 'layer')}", highlight=False)
        console.print(
            FittedTable(
                [
                    *(
                        Column(name, found[name].to_list(), is_text=True)
                        for name in ("fragment", "split", "stored")
                    ),
                    *(Column(name, [f"{each:,}" for each in found[name]]) for name in numbers),
                ]
            )
        )

    def _summary(self) -> pl.DataFrame:
        packed = pl.when("compressed").then(pl.lit("compressed")).otherwise(pl.lit("plain"))
        stored = pl.format("{} bits, {}", "bits", packed)
        by_fragment = self.layers.group_by("fragment").agg(
            stored=stored.unique().sort().str.join("; "),
            megabytes=(pl.col("bytes").sum() / 1e6).round(0).cast(pl.Int64),
        )
        return self.fragments.join(by_fragment, on="fragment", maintain_order="left")


def index_into(
    home: Home, folder: Path, *, on_progress: Callable[[int, int], None]
) -> PrintedIndex:
    """Index the layers of a competition's folder into the catalog of a home.

    Args:
        home: the home, whose lock is held.
        folder: the competition's folder.
        on_progress: called with the number of fragments read and of all.

    Raises:
        DataError: a fragment is incomplete, or a layer cannot be used.
    """
    with write_folder(home.root / "index") as out:
        rows = write_index(open_competition(folder), out, on_progress)
        tables = [read_parquet(out / f"{name}.parquet") for name in ("fragments", "layers")]
        manifest = store_folder(home.root, "index", out, rows=rows)
    name = escape_name(folder.absolute())
    publish_catalog(home, name, [manifest], CATALOG, kind="folder")
    return PrintedIndex(name, home, tables[0], tables[1])
