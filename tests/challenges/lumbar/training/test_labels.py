import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.loss import LabelsConfig
from lsdc.challenges.lumbar.training.labels import keep_graded, labels_to_learn

CANAL, LEFT = "spinal_canal_stenosis", "left_neural_foraminal_narrowing"
LABELS = pl.DataFrame(
    {
        "study_id": [1, 1, 1, 1, 2, 2],
        "condition": [CANAL, LEFT, CANAL, LEFT, CANAL, LEFT],
        "level": ["l1_l2", "l1_l2", "l4_l5", "l4_l5", "l1_l2", "l1_l2"],
        "grade": pl.Series([0, None, 2, 1, None, None], dtype=pl.Int8),
    }
)
PREDICTED = pl.DataFrame(
    {
        "study_id": [1, 1, 2],
        "condition": [LEFT, CANAL, CANAL],
        "level": ["l1_l2", "l4_l5", "l1_l2"],
        "normal_mild": [0.2, 0.9, 0.1],
        "moderate": [0.7, 0.1, 0.3],
        "severe": [0.1, 0.0, 0.6],
    }
)


def test_only_the_configured_subset_is_kept() -> None:
    config = LabelsConfig(conditions=(LEFT,), levels=("l1_l2",))
    assert keep_graded(LABELS, config).select("study_id", "condition", "level").rows() == [
        (1, LEFT, "l1_l2"),
        (2, LEFT, "l1_l2"),
    ]
    assert keep_graded(LABELS.drop("condition"), config)["study_id"].to_list() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("empty", "grades"),
    [
        ("ignore", [0, None, 2, 1, None, None]),
        ("normal_mild", [0, 0, 2, 1, 0, 0]),
        ("drop", [2, 1]),
    ],
)
def test_missing_grades_are_handled_as_configured(empty: str, grades: list[int | None]) -> None:
    learnt = labels_to_learn(LABELS, LabelsConfig.model_validate({"empty": empty}))
    assert learnt["grade"].to_list() == grades
    assert learnt.schema["grade"] == pl.Int8
    assert learnt[PROBABILITIES[0]].null_count() == len(learnt)


def test_excluded_conditions_do_not_drop_a_level() -> None:
    config = LabelsConfig(conditions=(CANAL,), empty="drop")
    assert labels_to_learn(LABELS, config)["grade"].to_list() == [0, 2]


def test_predictions_fill_only_missing_grades() -> None:
    filled = labels_to_learn(LABELS, LabelsConfig(), PREDICTED)
    assert filled["grade"].to_list() == [0, 1, 2, 1, 2, None]
    dropped = labels_to_learn(LABELS, LabelsConfig(empty="drop"), PREDICTED)
    assert dropped["grade"].to_list() == [0, 1, 2, 1]


def test_predictions_fill_missing_grades_as_probabilities() -> None:
    filled = labels_to_learn(LABELS, LabelsConfig(empty="normal_mild"), PREDICTED, soft=True)
    assert filled["grade"].to_list() == [0, None, 2, 1, None, 0]
    assert filled["severe"].to_list() == [None, 0.1, None, None, 0.6, None]
