"""Runs side by side: planted losses, paired intervals, and notes on what is not the same."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from lsdc.scoring.compared import Compared, Nouns, compare_scored

NOUNS = Nouns(row="tile", dealt="study", key="study_id", held_out="patients", images="studies")


@dataclass(frozen=True)
class MeanLoss:
    """The mean loss as the score; the part "rare" has no rows."""

    score: float

    def as_dict(self) -> Mapping[str, float | None]:
        """Return the score and its parts."""
        return {"score": self.score, "often": self.score, "rare": None}


@dataclass(frozen=True)
class Made:
    """Made-up predictions with given losses."""

    name: str
    rows: pl.DataFrame

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of the rows."""
        return tuple(self.rows["fold"].drop_nulls().unique().sort())

    @property
    def score(self) -> MeanLoss:
        """The mean of the losses."""
        return self.score_of(self.rows)

    @property
    def prior(self) -> MeanLoss:
        """A constant."""
        return MeanLoss(1.0)

    def score_of(self, rows: pl.DataFrame) -> MeanLoss:
        """Return the mean of some losses."""
        return MeanLoss(float(np.mean(rows["loss"].to_list())))


def made(name: str, losses: list[float], folds: list[int | None]) -> Made:
    rows = {"study_id": [*range(len(losses))], "fold": folds, "loss": losses}
    return Made(name, pl.DataFrame(rows, schema_overrides={"fold": pl.Int32}))


def compare(*given: Made, drawn: bool = True) -> Compared[Made]:
    """Compare runs, of which the rows of the shortest are common, by two draws of single rows."""
    same = [Made(each.name, each.rows.head(min(len(one.rows) for one in given))) for each in given]
    draws = np.full((len(same), 2, 3), np.nan)
    for run, each in enumerate(same):
        draws[run, :, :2] = each.rows["loss"].head(2).to_numpy()[:, None]
    return compare_scored(given, same, draws if drawn else None, NOUNS, ["first of all"])


ONE = made("one", [1.0, 3.0], [0, 1])


def test_differences_and_their_intervals_are_paired() -> None:
    found = compare(ONE, made("other", [1.5, 3.5], [0, 1]))
    (difference,) = found.differences
    assert difference["score"].value == 0.5
    assert difference["score"].sure
    assert difference["score"].interval is not None
    assert difference["score"].interval.low == difference["score"].interval.high == 0.5
    spans = [each["score"] for each in found.intervals]
    assert all(span is not None and span.high - span.low > 1 for span in spans)
    assert found.notes == ("first of all",)


def test_part_without_rows_has_neither_interval_nor_difference() -> None:
    found = compare(ONE, made("other", [1.5, 3.5], [0, 1]))
    assert [each["rare"] for each in found.intervals] == [None, None]
    assert found.differences[0]["rare"].value is None
    assert found.differences[0]["rare"].interval is None


def test_differences_have_no_interval_where_nothing_can_be_drawn() -> None:
    found = compare(ONE, made("other", [1.5, 3.5], [0, 1]), drawn=False)
    assert found.intervals[0] == {"score": None, "often": None, "rare": None}
    assert found.differences[0]["score"].value == 0.5
    assert found.differences[0]["score"].interval is None


def test_single_run_has_no_differences() -> None:
    found = compare(ONE)
    assert found.differences == ()
    assert found.scored[0].name == "one"


@pytest.mark.parametrize(
    ("other", "note"),
    [
        (made("other", [1.0, 3.0, 8.0], [0, 1, 0]),
         "other scores 1 tile that not all runs score; they are left out here. Its score over all "
         "its tiles is 4.0000."),
        (made("other", [1.0, 3.0], [0, 0]),
         "one and other have different folds: 1 of 2 studies are in another fold, so their models "
         "were trained on different studies, too."),
        (made("other", [1.0, 3.0], [None, None]),
         "one or other has no folds: make sure that neither was trained on the patients that it "
         "predicts."),
    ],
)  # fmt: skip
def test_notes_say_what_is_not_the_same(other: Made, note: str) -> None:
    assert compare(ONE, other).notes == ("first of all", note)
