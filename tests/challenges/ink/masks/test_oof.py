"""Out-of-fold maps scored: whole numbers by region, the competition's metric, and the rules."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.ink.masks.oof import read_labelled
from lsdc.challenges.ink.masks.rule import make_mask
from lsdc.challenges.ink.masks.rules import Rules
from lsdc.challenges.ink.masks.variants import CHOSEN
from lsdc.challenges.ink.scoring.metric import f_beta
from lsdc.errors import StageError
from tests.challenges.ink.made_run import (
    draw,
    folds_table,
    regions_table,
    write_maps,
    write_run,
    write_volumes,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = write_run(tmp_path_factory.mktemp("home"))
    return home.run("ink-demo")


def mask_of(run: Path, fragment: str) -> np.ndarray:
    """Return the mask of a fragment, of its regions by the rules of their folds."""
    rules, parts = Rules.read(run), []
    _, inside, _ = draw(fragment)
    regions = regions_table().join(folds_table(), on="region", how="left", maintain_order="left")
    for row in regions.filter(fragment=fragment).iter_rows(named=True):
        values = np.load(run / f"maps-{row['fold']}" / f"{row['region']}.npy")
        rule = rules.of(row["fold"])
        parts.append(make_mask(values, inside[row["first_row"] : row["end_row"]], rule))
    return np.concatenate(parts)


def test_the_score_is_the_metric_of_masks_made_by_the_rules_of_the_folds(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    for fragment in ("1", "2"):
        _, _, ink = draw(fragment)
        assert scores[fragment] == pytest.approx(f_beta(mask_of(run, fragment), ink), abs=1e-12)
    assert scores["score"] == pytest.approx((scores["1"] + scores["2"]) / 2, abs=1e-12)
    assert scores["score"] > scores["weighted_prior"]["score"] > 0
    assert (scores["partial"], scores["selected"], scores["leaky"]) == (False, False, False)


def test_each_region_is_scored_once_and_a_fold_has_its_own(run: Path) -> None:
    oof = pl.read_parquet(run / "oof.parquet")
    assert oof["region"].to_list() == ["1", "2-0", "2-1"]
    scores = json.loads((run / "scores.json").read_text())
    assert scores["folds"]["1"]["1"] is None
    first = oof.filter(region="2-0")["f_beta"][0]
    assert scores["folds"]["1"]["2"] == scores["folds"]["1"]["score"] == pytest.approx(first)


def test_the_prior_is_everything_inside_the_outline(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    _, inside, ink = draw("1")
    assert scores["weighted_prior"]["1"] == pytest.approx(f_beta(inside, ink), abs=1e-12)


def test_rules_come_back_as_they_were_written(run: Path) -> None:
    rules = Rules.read(run)
    assert set(rules.folds) == {0, 1, 2}
    assert rules.of(None) == rules.final
    rules.write(run.parent)
    assert Rules.read(run.parent) == rules


def test_each_way_to_make_masks_is_scored_and_none_is_better_where_it_is_not_fitted(
    run: Path,
) -> None:
    variants = pl.read_parquet(run / "masks.parquet")
    scores = json.loads((run / "scores.json").read_text())
    chosen = variants.filter(variant=CHOSEN)
    assert chosen["score"][0] == pytest.approx(scores["score"], abs=1e-12)
    assert variants.height > 5
    fitted = variants.drop_nulls("fitted")
    plain = fitted.filter(~pl.col("rule").str.contains("at 1/"))
    assert (plain["score"] <= plain["fitted"] + 1e-12).all()


def test_a_map_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_volumes(tmp_path / "volumes")
    maps = write_maps(tmp_path)
    np.save(maps[0] / "1.npy", np.zeros((5, 5), np.float16))
    with pytest.raises(StageError, match=r"a map of \(5, 5\), expected \(96, 80\)"):
        read_labelled(maps, regions_table(), folds_table(), tmp_path / "volumes")


def test_without_a_fold_there_is_nothing_to_score(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no fold has been trained"):
        read_labelled([], regions_table(), folds_table(), tmp_path)
