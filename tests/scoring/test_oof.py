"""Folds' predictions in one table, and the form of scores.json."""

import json
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from lsdc.errors import StageError
from lsdc.scoring.oof import (
    join_folds,
    mean_of_models,
    read_predictions,
    require_apart,
    require_own_fold,
    scores_of_folds,
    scores_of_holdout,
    were_selected,
    write_scores,
)
from lsdc.tables.table import Table

DEALT = pl.DataFrame({"row": ["a", "b", "c"], "fold": [0, 0, 1]})


class Joined(Table):
    """Rows of a made-up challenge."""

    row = dy.String(primary_key=True, description="Name of the row.")
    value = dy.Float64(description="Prediction.")


def mean(rows: pl.DataFrame) -> dict[str, Any]:
    return {"score": rows["value"].mean(), "weighted_prior": {"score": 0.0}}


def test_folds_are_read_and_joined_in_order(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("1", "0")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        table = pl.DataFrame({"row": [folder.name], "value": [0.5]})
        table.write_parquet(folder / "oof.parquet")
        (folder / "fit.json").write_text(json.dumps({"selected": number == 1}))
    joined = join_folds(read_predictions(folders, "oof.parquet", Joined), ["row"])
    assert joined["row"].to_list() == ["1", "0"]
    assert [were_selected(folders), were_selected(folders[:1])] == [True, False]


def test_column_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"row": ["a"], "doubt": [1]}).write_parquet(tmp_path / "oof.parquet")
    with pytest.raises(StageError, match=r"oof\.parquet: found column doubt, .* row, value"):
        read_predictions([tmp_path], "oof.parquet", Joined)


def test_no_fold_is_refused() -> None:
    with pytest.raises(StageError, match="no fold has been trained"):
        join_folds([], ["row"])


def test_prediction_of_what_a_fold_has_seen_is_refused() -> None:
    def require(row: str, by: int) -> None:
        predicted = pl.DataFrame({"row": [row], "by": [by], "fold": [by]})
        require_own_fold(predicted, DEALT, "row", of="tile", held_out="study")

    require("c", 1)
    with pytest.raises(StageError, match=r"1 tile \(a\) .* by fold 1, the study is in fold 0"):
        require("a", 1)
    with pytest.raises(StageError, match="the study is in none of the given folds"):
        require("z", 1)


def test_what_all_folds_hold_out_gets_the_mean_of_their_models() -> None:
    tables = [pl.DataFrame({"row": ["x", "y"], "value": [v, v + 0.5]}) for v in (0.0, 0.25, 0.5)]
    means = mean_of_models(
        [tables[0], *(each[::-1] for each in tables[1:])], "row", ["value"], of="tile"
    )
    assert means.to_dict(as_series=False) == {"row": ["x", "y"], "value": [0.25, 0.75]}
    with pytest.raises(StageError, match=r"1 tile \(y\) not predicted by all of 2 folds"):
        mean_of_models([tables[0], tables[1].head(1)], "row", ["value"], of="tile")


def test_what_is_held_out_and_in_a_fold_is_named_once() -> None:
    held_out = pl.DataFrame({"study": [7, 7, 8]})
    require_apart(held_out, pl.DataFrame({"study": [1]}), "study", of="study")
    with pytest.raises(StageError, match=r"1 held-out study \(7\) also in folds"):
        require_apart(held_out, pl.DataFrame({"study": [1, 7]}), "study", of="study")


def test_scores_have_those_of_each_fold_and_say_what_is_missing(tmp_path: Path) -> None:
    oof = pl.DataFrame({"fold": [1, 0, 0], "value": [4.0, 1.0, 2.0]})
    scores = scores_of_folds(oof, oof, mean, selected=True)
    assert scores["score"] == pytest.approx(7 / 3)
    assert {fold: each["score"] for fold, each in scores["folds"].items()} == {"0": 1.5, "1": 4.0}
    assert (scores["partial"], scores["selected"]) == (False, True)
    assert scores_of_folds(oof.head(1), oof, mean, selected=False)["partial"] is True
    write_scores(scores, tmp_path)
    assert json.loads((tmp_path / "scores.json").read_text()) == scores


def test_held_out_scores_count_studies_and_are_none_without_any() -> None:
    rows = pl.DataFrame({"study_id": [1, 1, 2], "value": [0.0, 0.0, 3.0]})
    found = scores_of_holdout(rows, mean, models=4)
    assert found == {"score": 1.0, "weighted_prior": {"score": 0.0}, "studies": 2, "models": 4}
    assert scores_of_holdout(rows.clear(), mean, models=4) is None
