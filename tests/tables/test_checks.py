"""Registry of checks: a check runs where its tables are, and each registry has its own names."""

import sys

import polars as pl
import pytest

from lsdc.tables.checks import Checks
from lsdc.tables.findings import Severity

CHECKS, OTHERS = Checks(), Checks()
THIS = sys.modules[__name__]


@CHECKS.check("Odd numbers", "numbers", Severity.NOTE, of=lambda numbers, **_: numbers, advice="go")
def odd(numbers: pl.DataFrame, wanted: int = 1) -> pl.DataFrame:
    return numbers.filter(pl.col("number") % 2 == wanted)


@CHECKS.check("Words", "words")
def words(texts: pl.DataFrame) -> pl.DataFrame:
    return texts


NUMBERS = pl.DataFrame({"number": [1, 2, 3]})


def test_check_runs_if_its_tables_are_given() -> None:
    (finding,) = CHECKS.find([THIS], {"numbers": NUMBERS})
    assert finding.rows["number"].to_list() == [1, 3]
    assert (finding.name, finding.severity, finding.of, finding.advice) == ("odd", "note", 3, "go")
    assert CHECKS.find([THIS], {}) == []
    assert [each.name for each in CHECKS.find([THIS], {"numbers": NUMBERS, "texts": NUMBERS})] == [
        "odd",
        "words",
    ]


def test_table_with_a_default_is_passed_if_given() -> None:
    (finding,) = CHECKS.find([THIS], {"numbers": NUMBERS, "wanted": 0})
    assert finding.rows["number"].to_list() == [2]


def test_checks_of_other_modules_do_not_run() -> None:
    assert CHECKS.find([pytest], {"numbers": NUMBERS}) == []


def test_name_is_taken_in_its_registry_alone() -> None:
    def words(texts: pl.DataFrame) -> pl.DataFrame:
        return texts

    OTHERS.check("Words", "words")(words)
    with pytest.raises(ValueError, match="already named words"):
        CHECKS.check("Words", "words")(words)
