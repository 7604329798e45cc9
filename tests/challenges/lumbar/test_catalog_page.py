"""The catalog's documentation page is generated from the declarations of its tables."""

from pathlib import Path

import pytest

from lsdc.challenges.lumbar.catalog_page import catalog_page
from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.quality.corrections import DESCRIPTIONS, Rule
from lsdc.store.catalog import Runs, Sources

PAGE = Path(__file__).parents[3] / "docs" / "catalog.md"


def test_catalog_page_is_up_to_date() -> None:
    made = "python -m lsdc.challenges.lumbar.catalog_page > docs/catalog.md"
    assert PAGE.read_text(encoding="utf-8") == catalog_page(), made


def test_every_rule_is_described_in_order() -> None:
    assert list(DESCRIPTIONS) == list(Rule)


@pytest.mark.parametrize("name", [*CATALOG, "runs", "sources"])
def test_every_table_and_column_is_described(name: str) -> None:
    table = {**CATALOG, "runs": Runs, "sources": Sources}[name]
    assert table.about().startswith("One row per ")
    assert all(table.descriptions().values())
