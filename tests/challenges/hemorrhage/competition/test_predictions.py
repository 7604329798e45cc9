"""Tables of predictions, long and wide: equal content, and refusals by name."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.competition.predictions import (
    PROBABILITIES,
    check_predictions,
    read_predictions,
)
from lsdc.errors import DataError
from tests.challenges.hemorrhage.made_images import as_long, make_images, make_labels, predict


@pytest.fixture(scope="module")
def wide() -> pl.DataFrame:
    return predict(make_labels(make_images(3)))


def refusal(predictions: pl.DataFrame) -> str:
    with pytest.raises(DataError) as caught:
        check_predictions(predictions, "mine.csv")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("mine.csv: ")
    return message


def changed(table: pl.DataFrame, row: int, column: str, value: object) -> pl.DataFrame:
    """Return a table with another value in one cell, as text if it is text."""
    cells = table[column].to_list()
    cells[row] = value
    if isinstance(value, str) and column not in ("ID", "image_id"):
        cells = [str(cell) for cell in cells]
    return table.with_columns(pl.Series(column, cells))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("form", ["long", "wide"])
def test_each_form_of_file_gives_the_same_table(
    tmp_path: Path, wide: pl.DataFrame, form: str, ending: str
) -> None:
    table = as_long(wide) if form == "long" else wide.with_columns(fold=pl.lit(0))
    path = tmp_path / f"predictions.{ending}"
    table.write_csv(path) if ending == "csv" else table.write_parquet(path)
    assert check_predictions(read_predictions(path)).equals(wide)


def test_long_rows_in_any_order_give_the_same_table(wide: pl.DataFrame) -> None:
    shuffled = check_predictions(as_long(wide).sample(fraction=1, shuffle=True, seed=1))
    assert shuffled.sort("image_id").equals(wide.sort("image_id"))


def test_float32_and_whole_numbers_are_read_as_probabilities(wide: pl.DataFrame) -> None:
    single = check_predictions(wide.cast(dict.fromkeys(PROBABILITIES, pl.Float32)))
    assert single.schema == wide.schema
    np.testing.assert_allclose(
        single.select(PROBABILITIES).to_numpy(), wide.select(PROBABILITIES).to_numpy(), atol=1e-7
    )
    certain = as_long(wide).with_columns(Label=pl.lit(1, pl.Int64))
    assert check_predictions(certain)["subdural"].unique().to_list() == [1.0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "with NaN"),
        ("nan", "with NaN"),
        ("much", "with a value that is not a number"),
        (None, "with a value that is not a number"),
        (-0.1, "below 0 or above 1 (the first: -0.1), expected a probability from 0 to 1"),
        (1.01, "below 0 or above 1 (the first: 1.01)"),
        (-4.2, "if these are logits, apply the sigmoid to all of them"),
        (math.inf, "below 0 or above 1, expected"),
    ],
)
def test_value_that_is_no_probability_is_refused_with_its_row(
    wide: pl.DataFrame, value: object, said: str
) -> None:
    row_id = f"{wide['image_id'][2]}_subdural"
    for table in (
        changed(wide, 2, "subdural", value),
        changed(as_long(wide), 2 * 6 + 4, "Label", value),
    ):
        message = refusal(table)
        assert f"1 row ({row_id})" in message
        assert said in message


def test_many_bad_rows_are_counted_and_the_first_named(wide: pl.DataFrame) -> None:
    message = refusal(wide.with_columns(epidural=pl.lit(-1.0), any=pl.lit(2.0)))
    named = [f"{image}_{label}" for image in wide["image_id"][:2] for label in ("epidural", "any")]
    assert f"{2 * wide.height} rows ({', '.join(named[:3])} and {2 * wide.height - 3}" in message


def test_repeated_image_is_refused_even_with_equal_values(wide: pl.DataFrame) -> None:
    message = refusal(pl.concat([wide, wide[3:4]]))
    assert f"1 image ({wide['image_id'][3]}) repeated, expected each image once" in message


def test_repeated_row_is_refused_even_with_equal_values(wide: pl.DataFrame) -> None:
    long = as_long(wide)
    message = refusal(pl.concat([long, long[7:8]]))
    assert f"1 row ({long['ID'][7]}) repeated, expected each row id once" in message


def test_row_that_an_image_lacks_is_named(wide: pl.DataFrame) -> None:
    long = as_long(wide)
    message = refusal(long.filter(pl.int_range(pl.len()) != 8))
    assert f"1 row ({long['ID'][8]}) missing, expected a row for each label" in message


@pytest.mark.parametrize("bad", ["ID_1_subdura", "ID_1", "_any", ""])
def test_malformed_row_id_is_named(wide: pl.DataFrame, bad: str) -> None:
    message = refusal(changed(as_long(wide), 4, "ID", bad))
    assert f"1 row ({bad}): expected row ids of an image's id, '_' and one of" in message


def test_rows_without_an_id_are_counted(wide: pl.DataFrame) -> None:
    assert "1 row without a row id" in refusal(changed(as_long(wide), 4, "ID", None))
    assert "1 row without an image id" in refusal(changed(wide, 4, "image_id", None))


def test_missing_label_column_is_named(wide: pl.DataFrame, tmp_path: Path) -> None:
    message = refusal(wide.rename({"subdural": "Subdural"}))
    assert "no column 'subdural'; the closest one found is 'Subdural'" in message
    assert "no column 'Label'; the closest" in refusal(as_long(wide).rename({"Label": "label"}))
    path = tmp_path / "wide.csv"
    wide.drop("any").write_csv(path)
    with pytest.raises(DataError, match=r"wide\.csv: no column 'any'"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PAR1 and no more", "cannot be read as Parquet"),
        (b"ID;Label\nID_1_any;0.5\n", "separated by semicolons"),
        (b"image_id,any\n", "no column 'epidural'"),
        (b"study,any\n", "no column 'ID'"),
        (b"", "the file is empty"),
    ],
)
def test_file_that_is_no_table_of_predictions_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_predictions(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no mine\.csv"):
        read_predictions(tmp_path / "mine.csv")
