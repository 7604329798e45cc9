"""The words of the catalog are those of the tables there are, and of the page about it."""

from itertools import groupby
from pathlib import Path

import pytest

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.coordinates.landmarks import LANDMARKS
from lsdc.challenges.lumbar.coordinates.point_tables import POINTS
from lsdc.challenges.lumbar.coordinates.spines import SPINES
from lsdc.challenges.lumbar.crops.motion import MOTION
from lsdc.challenges.lumbar.quality.corrections import CORRECTIONS
from lsdc.dicom_index.instances import INSTANCES
from lsdc.dicom_index.other_files import OTHER_FILES
from lsdc.dicom_index.quarantine import QUARANTINE
from lsdc.dicom_index.series import SERIES
from lsdc.dicom_index.twins import TWINS
from lsdc.store.catalog import RUNS, SOURCES, CatalogTable

PAGE = Path(__file__).parents[3] / "docs" / "catalog.md"


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
