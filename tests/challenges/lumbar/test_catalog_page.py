"""The catalog's documentation page is generated from the declarations of its tables."""

from pathlib import Path

import pytest

from lsdc.challenges.lumbar.catalog_page import TABLES, catalog_page
from lsdc.challenges.lumbar.quality.corrections import DESCRIPTIONS, Rule

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "catalog.md"


def test_catalog_page_is_up_to_date() -> None:
    made = "python -m lsdc.challenges.lumbar.catalog_page > docs/reference/catalog.md"
    assert PAGE.read_text(encoding="utf-8") == catalog_page(), made


def test_every_rule_is_described_in_order() -> None:
    assert list(DESCRIPTIONS) == list(Rule)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_and_column_is_described(name: str) -> None:
    assert TABLES[name].about().startswith("One row per ")
    assert all(TABLES[name].descriptions().values())
