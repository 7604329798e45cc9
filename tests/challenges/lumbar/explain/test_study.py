"""Explanations of studies: predictions by fold, labels, and how levels were found."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.explain.overview import draw_overview, tile_of
from lsdc.challenges.lumbar.explain.study import StudyExplanation, explain_study, found_levels
from lsdc.challenges.lumbar.explain.trained import TrainedRun
from lsdc.challenges.lumbar.results import RunResults
from lsdc.challenges.lumbar.training.network import read_grades
from lsdc.challenges.lumbar.training.samples import as_rows, as_samples, read_table
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS
from lsdc.store.home import open_home
from lsdc.training.inference import as_array, predict_logits
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.challenges.lumbar.explain.conftest import (
    EXPERIMENT,
    SLICES,
    SmallRun,
    run_in_this_process,
    write_run,
)

pytestmark = pytest.mark.usefixtures("same_process")


def explained(run: SmallRun, study: int) -> StudyExplanation:
    return explain_study(TrainedRun(run.home, run.name), study, device="cpu")


def predicted(run: SmallRun, study: int, fold: int) -> dict[tuple[str, str], list[float]]:
    """Return a fold's probabilities by level and condition, as the stages predict them."""
    crops = TrainedRun(run.home, run.name).crops("train")
    table = read_table(crops, "train").filter(study_id=study)
    results = RunResults(run.home, run.name)
    logits = predict_logits(
        results.model(fold), as_samples(crops, table), batch_size=4, device=torch.device("cpu")
    )
    rows = as_rows(table, as_array(read_grades(results.experiment, logits.double())))
    grades = [str(grade) for grade in GRADES]
    return {
        (level, condition): list(found)
        for level, condition, *found in rows.select("level", "condition", *grades).iter_rows()
    }


def require_predictions(run: SmallRun, found: StudyExplanation) -> None:
    for fold in found.folds:
        expected = predicted(run, found.study.study_id, fold)
        assert len(expected) == len(found.cases) == 25
        for case in found.cases:
            rows = expected[case.level, str(case.condition)]
            np.testing.assert_allclose(case.by_fold[fold], rows, rtol=1e-4)


@pytest.fixture(scope="module")
def of_all_folds(made_run: SmallRun, studies: list[int]) -> StudyExplanation:
    with pytest.MonkeyPatch.context() as patch:
        run_in_this_process(patch)
        return explained(made_run, studies[-1])


def test_study_in_no_fold_has_all_folds_predictions_and_their_spread(
    made_run: SmallRun, of_all_folds: StudyExplanation
) -> None:
    assert of_all_folds.folds == (0, 1)
    assert of_all_folds.in_fold is None
    assert of_all_folds.predicted_by == "mean of folds 0, 1"
    require_predictions(made_run, of_all_folds)
    for case in of_all_folds.cases:
        one, other = case.by_fold[0], case.by_fold[1]
        np.testing.assert_allclose(case.mean, (one + other) / 2)
        assert case.spread is not None
        np.testing.assert_allclose(case.spread, np.abs(one - other) / 2)


def test_study_of_a_fold_has_its_prediction_and_labels(
    small_run: SmallRun, studies: list[int]
) -> None:
    labels = pl.DataFrame(
        {
            "study_id": [studies[1]] * 2 + [studies[0]],
            "condition": [str(CONDITIONS[0])] * 3,
            "level": ["l4_l5", "l5_s1", "l1_l2"],
            "grade": pl.Series([2, None, 1], dtype=pl.Int8),
        }
    )
    labels.write_parquet(small_run.home.root / "all/0/labels.parquet")
    found = explained(small_run, studies[1])
    assert (found.folds, found.in_fold) == ((1,), 1)
    require_predictions(small_run, found)
    graded = {(c.level, c.condition): c.label for c in found.cases if c.label is not None}
    assert graded == {("l4_l5", CONDITIONS[0]): 2}
    assert all(case.spread is None for case in found.cases)
    written = json.loads(json.dumps(found.as_dict()))
    assert written["fold"] == 1
    for case in written["cases"]:
        assert sum(slot["weight"] for slot in case["slots"]) == pytest.approx(1)
        assert sum(case["mean"].values()) == pytest.approx(1)
        maps = np.array([slot["map"] for slot in case["slots"]])
        assert maps.shape == (25, 8, 8)
        assert maps.max() == pytest.approx(case["strongest"], abs=1e-5)


def words(run: TrainedRun, study: int, in_fold: int | None) -> list[str]:
    return [level.found_by for level in found_levels(run.gather(study), in_fold)]


def test_levels_say_what_found_them(small_run: SmallRun, studies: list[int]) -> None:
    table = small_run.home.root / "all/0/points.parquet"
    points = pl.read_parquet(table)
    run = TrainedRun(small_run.home, small_run.name)
    assert words(run, studies[0], 0) == ["annotation"] * 5
    one = pl.col("study_id") == studies[0]
    planted = points.filter(~one | (pl.col("level") != "l5_s1")).with_columns(
        source=pl.when(one & (pl.col("level") == "l1_l2"))
        .then(pl.lit("filled"))
        .when(one | (pl.col("study_id") == studies[-1]))
        .then(pl.lit("predicted"))
        .otherwise(pl.lit("filled"))
    )
    planted.write_parquet(table)
    assert words(run, studies[0], 0) == [
        "places of other levels",
        *["keypoint nets of fold 0"] * 3,
        "not found in any image",
    ]
    assert words(run, studies[-1], None) == ["keypoint nets of all folds (median)"] * 5
    assert words(run, studies[1], 1) == ["typical place in the training studies"] * 5
    *_, last = found_levels(run.gather(studies[0]), 0)
    assert last.confidence is None


def test_canal_is_the_mean_of_both_samples_by_side(
    results: Path, studies: list[int], tmp_path: Path
) -> None:
    experiment = EXPERIMENT.model_copy(update={"crops": CropsConfig(size_px=16, by_side=True)})
    names = ("instances", "slices", "landmarks", "points", "spines", "annotations", "moves")
    own = {
        name: pl.read_parquet(results / f"{name}.parquet").filter(study_id=studies[1])
        for name in names
    }
    folder = tmp_path / "by-side"
    cut_crops(
        own["instances"],
        own["slices"],
        SLICES,
        experiment.crops,
        folder,
        landmarks=own["landmarks"],
    )
    for name, table in own.items():
        table.write_parquet(folder / f"{name}.parquet")
    run = write_run(open_home(tmp_path / "home"), folder, [studies[1]], experiment, folds=1)
    require_predictions(run, explained(run, studies[1]))


def test_overview_shows_the_slice_that_counts_most(of_all_folds: StudyExplanation) -> None:
    planted = []
    for number, case in enumerate(of_all_folds.cases):
        weights = np.zeros(len(case.slots))
        weights[number % len(weights)] = 1
        planted.append(replace(case, weights=weights, maps=np.zeros_like(case.maps)))
    bare = replace(of_all_folds.study, marks=of_all_folds.study.marks[:0])
    sheet = np.array(draw_overview(replace(of_all_folds, cases=tuple(planted), study=bare)))
    for case in planted:
        tile = tile_of(LEVELS.index(case.level), CONDITIONS.index(case.condition))
        shown = sheet[tile.top + 30 : tile.bottom, tile.left : tile.right, 0]
        crop = case.slots[case.most].crop
        assert crop is not None
        expected = np.array(Image.fromarray(crop).resize((tile.width, tile.height)))[30:]
        assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.9
