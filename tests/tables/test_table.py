"""A table refuses an invalid frame with a message that says what is wrong and where."""

import math
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from lsdc.errors import StageError
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table, one_of


class Planets(Table):
    """One row per planet
    of a star.

    More about it.
    """

    name = dy.String(primary_key=True, description="Its name.")
    moons = dy.Int32(min=0, description="Number of moons.")
    kind = dy.String(nullable=True, check=one_of(["rock", "gas"]), description="What it is.")
    share = dy.Float64(max=1.0, description="Share of the light.")
    columns_ = dy.Float64(
        alias="columns", nullable=True, allow_nan=True, description="Named like a method."
    )
    tilt = dy.Array(dy.Float64(), 2, description="Two angles.")


GOOD = [("earth", 1, "rock", 0.5, math.nan, [1.0, 2.0]), ("x", 0, None, 0.1, None, [1.0, 2.0])]


def planets(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=pl.Schema(Planets), orient="row")


def refusal(frame: pl.DataFrame) -> str:
    with pytest.raises(StageError) as caught:
        Planets.check(frame)
    return str(caught.value)


def test_valid_frame_is_accepted() -> None:
    Planets.check(planets(*GOOD))
    Planets.check(Planets.create_empty())


def test_row_is_described_by_the_first_paragraph() -> None:
    assert Planets.about() == "One row per planet of a star."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": None}, "column name is None (in 1 of 3 rows), expected a value"),
        ({"moons": -1}, "column moons is -1 (in 1 of 3 rows), expected at least 0"),
        ({"kind": "ice"}, "column kind is 'ice' (in 1 of 3 rows), expected one of rock, gas"),
        ({"share": 1.5}, "column share is 1.5 (in 1 of 3 rows), expected at most 1.0"),
        ({"share": -math.inf}, "column share is -inf (in 1 of 3 rows), expected a finite number"),
        ({"name": "x"}, "name x is repeated (in 2 of 3 rows), expected one row per key"),
    ],
)
def test_invalid_value_is_refused(changed: dict[str, object], said: str) -> None:
    row = dict(zip(Planets.column_names(), ("mars", *GOOD[0][1:]), strict=True)) | changed
    assert f"table Planets: {said}; " in refusal(planets(*GOOD, tuple(row.values())))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (planets(*GOOD).drop("moons"), "no column moons, found name, kind,"),
        (planets(*GOOD).with_columns(age=1), "found column age, expected only name, moons,"),
        (planets(*GOOD).cast({"moons": pl.Int64}), "column moons is Int64, expected Int32"),
        (
            planets(*GOOD).select("moons", pl.exclude("moons")),
            "found columns in the order moons, name, kind,",
        ),
    ],
)
def test_other_columns_are_refused(frame: pl.DataFrame, said: str) -> None:
    assert refusal(frame).startswith(f"table Planets: {said}")


def test_only_a_valid_table_is_written(tmp_path: Path) -> None:
    path = tmp_path / "planets.parquet"
    with pytest.raises(StageError, match="table Planets: column moons is -1"):
        write_table(Planets, planets(("mars", -1, *GOOD[0][2:])), path)
    assert not path.exists()
    write_table(Planets, planets(*GOOD), path)
    assert pl.read_parquet(path).equals(planets(*GOOD))
