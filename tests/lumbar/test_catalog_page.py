"""The words of the catalog are those of the tables there are, and of the page about it."""

from itertools import groupby
from pathlib import Path

import pytest

from lsdc.lumbar.catalog_tables import CATALOG
from lsdc.lumbar.corrections import CORRECTIONS
from lsdc.lumbar.instances import INSTANCES
from lsdc.lumbar.landmarks import LANDMARKS
from lsdc.lumbar.motion import MOTION
from lsdc.lumbar.other_files import OTHER_FILES
from lsdc.lumbar.point_tables import POINTS
from lsdc.lumbar.quarantine import QUARANTINE
from lsdc.lumbar.series import SERIES
from lsdc.lumbar.spines import SPINES
from lsdc.lumbar.twins import TWINS
from lsdc.store.catalog import RUNS, SOURCES, CatalogTable

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("instances", INSTANCES),
        ("series", SERIES),
        ("quarantine", QUARANTINE),
        ("other_files", OTHER_FILES),
        ("twins", TWINS),
        ("corrections", CORRECTIONS),
        ("points", POINTS),
        ("landmarks", LANDMARKS),
        ("spines", SPINES),
        ("motion", MOTION),
    ],
)
def test_the_words_are_of_the_columns_there_are(table: str, columns: dict[str, object]) -> None:
    assert list(CATALOG[table].columns) == list(columns)


@pytest.mark.parametrize("name", [*CATALOG, "runs", "sources"])
def test_the_page_has_the_words_of_each_table(name: str) -> None:
    table = {**CATALOG, "runs": RUNS, "sources": SOURCES}[name]
    assert section(name, table) in PAGE.read_text(encoding="utf-8")


def section(name: str, table: CatalogTable) -> str:
    """What the page is to say of a table: neighbours of the same words share a line."""
    lines = [f"## {name}: {table.about}", "", "| column | what |", "|---|---|"]
    for words, columns in groupby(table.columns, key=lambda column: table.columns[column]):
        names = ", ".join(f"`{column}`" for column in columns)
        lines.append(f"| {names} | {words} |")
    return "\n".join(lines) + "\n"
