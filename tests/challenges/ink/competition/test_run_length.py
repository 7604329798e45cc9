"""Run-length coding: round trips, the first and the last pixel, and refusals by position."""

from pathlib import Path

import numpy as np
import pytest

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.competition.run_length import count_runs, decode, encode
from lsdc.errors import DataError


def mask(*rows: str) -> np.ndarray:
    return np.array([[sign == "x" for sign in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "cell"),
    [
        (("....", "...."), ""),
        (("xxxx", "xxxx"), "1 8"),
        (("x...", "...."), "1 1"),
        (("....", "...x"), "8 1"),
        (("x...", "...x"), "1 1 8 1"),
        ((".x..", ".x.."), "2 1 6 1"),  # row by row, not column by column
        (("...x", "x..."), "4 2"),  # a run goes on in the next row
        (("x.x.", "x.x."), "1 1 3 1 5 1 7 1"),
    ],
)
def test_runs_count_pixels_from_one_row_by_row(rows: tuple[str, ...], cell: str) -> None:
    assert encode(mask(*rows)) == cell
    assert np.array_equal(decode(cell, (2, 4)), mask(*rows))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("shape", [(1, 1), (1, 97), (61, 1), (37, 53)])
def test_any_mask_returns_as_it_was(shape: tuple[int, int], share: float) -> None:
    rng = np.random.default_rng(int(100 * share))
    for _ in range(5):
        drawn = rng.random(shape) < share
        assert np.array_equal(decode(encode(drawn), shape), drawn)
        # A view that is not contiguous, as a turned mask is.
        assert np.array_equal(decode(encode(drawn.T), shape[::-1]), drawn.T)


def test_runs_are_counted() -> None:
    assert count_runs(mask("x.xx", "x..x")) == 3
    assert count_runs(np.zeros((3, 4), dtype=bool)) == 0


def test_an_empty_cell_is_an_empty_mask() -> None:
    for cell in (None, "", " "):
        assert not decode(cell, (3, 4)).any()


def test_neighbouring_runs_may_touch() -> None:
    assert np.array_equal(decode("1 2 3 1 4 1", (2, 3)), mask("xxx", "x.."))


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("1 2 5", "3 numbers, the last of them '5', expected pairs"),
        ("7", "1 numbers, the last of them '7', expected pairs"),
        ("1 2 0 1", "run 2 (start 0, length 1) has the start 0, expected 1 or more"),
        ("1 2 5 0", "run 2 (start 5, length 0) has the length 0, expected 1 or more"),
        ("1 3 3 1", "run 2 (start 3, length 1) overlaps run 1 (start 1, length 3)"),
        ("1 1 9 2 5 1", "run 3 (start 5, length 1) begins before run 2 (start 9, length 2)"),
        ("5 1 5 1", "run 2 (start 5, length 1) overlaps run 1 (start 5, length 1)"),
        ("1 1 12 2", "run 2 (start 12, length 2) ends at pixel 13, expected 12 at most"),
        ("13 1", "run 1 (start 13, length 1) ends at pixel 13, expected 12 at most"),
        ("1 2.0", "number 2 is '2.0', expected a whole number"),
        ("1 -2", "number 2 is '-2', expected a whole number"),
        ("1 2 nan 4", "number 3 is 'nan', expected a whole number"),
        ("1,2", "number 1 is '1,2', expected a whole number"),
        ("1 \N{SUPERSCRIPT TWO}", "number 2 is '\N{SUPERSCRIPT TWO}', expected a whole number"),
        ("1 9999999999999999999", "number 2 is '9999999999999999999', expected a whole number"),
    ],
)
def test_malformed_runs_are_refused_with_their_position(cell: str, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        decode(cell, (3, 4), "mine.csv: Predicted of fragment a")
    assert str(caught.value).startswith("mine.csv: Predicted of fragment a: ")
    assert fault in str(caught.value)


def test_real_labels_have_the_runs_that_were_published(real_data: Path) -> None:
    labels = read_mask(real_data / "ink" / "inklabels-fragment1.png")
    cell = encode(labels)
    assert (count_runs(labels), len(cell)) == (27_528, 348_148)
    assert cell.startswith("606211 19 ")
    assert cell.endswith(" 49282267 10")
    assert np.array_equal(decode(cell, labels.shape), labels)
