"""The page that describes the catalog names every column, and no other."""

import re
from pathlib import Path

import pytest

from lsdc.lumbar.corrections import CORRECTIONS
from lsdc.lumbar.instances import INSTANCES
from lsdc.lumbar.quarantine import QUARANTINE
from lsdc.lumbar.series import SERIES

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("instances", INSTANCES),
        ("series", SERIES),
        ("quarantine", QUARANTINE),
        ("corrections", CORRECTIONS),
    ],
)
def test_the_page_describes_the_columns_there_are(table: str, columns: dict[str, object]) -> None:
    section = PAGE.read_text().split(f"## {table}:")[1].split("\n## ")[0]
    first_cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert re.findall(r"`(\w+)`", "".join(first_cells)) == list(columns)
