"""Scores of an ensemble, what each member adds, and the published predictions."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.assess import assess, predict
from lsdc.challenges.lumbar.ensemble.grid import predictions_grid
from lsdc.challenges.lumbar.ensemble.members import (
    Member,
    Split,
    complete_folds,
    read_folds,
    read_member,
)
from lsdc.challenges.lumbar.ensemble.model import Ensemble
from lsdc.challenges.lumbar.scoring.compared import compare
from lsdc.challenges.lumbar.scoring.metric import score
from lsdc.challenges.lumbar.scoring.scored import scored
from lsdc.errors import DataError
from tests.challenges.lumbar.ensemble.made import (
    as_folds,
    as_labels,
    as_member,
    deal,
    ids,
    make_grades,
    make_values,
)

GRADES = make_grades(80)
LABELS, FOLDS = as_labels(GRADES), as_folds(deal(80))


def test_member_that_helps_adds_and_noise_takes_away() -> None:
    members = [
        as_member("good", make_values(GRADES, 3, 1)),
        as_member("fair", make_values(GRADES, 2, 2)),
        as_member("noise", make_values(GRADES, 0, 3)),
    ]
    good, fair, noise = assess(EnsembleConfig(), members, LABELS, None).members
    for part in (good, fair):
        assert part.adds is not None
        assert part.adds.sure
        assert part.adds.value is not None
        assert part.adds.value > 0
    assert noise.adds is not None
    assert noise.adds.interval is not None
    assert noise.adds.interval.high < 0


def test_score_is_that_of_the_predictions() -> None:
    members = [as_member(name, make_values(GRADES, 1, seed)) for seed, name in enumerate("ab")]
    result = assess(EnsembleConfig(), members, LABELS, None)
    assert result.ensemble.scored.score == score(LABELS, result.predictions)
    assert result.gain.value == 0
    span = result.ensemble.intervals["score"]
    assert span is not None
    assert span.low < result.ensemble.scored.score.score < span.high


def test_member_of_one_condition_is_scored_on_its_rows() -> None:
    canal = make_values(GRADES, 3, 1)
    canal[:, 1:] = np.nan
    members = [as_member("all", make_values(GRADES, 1, 2)), as_member("canal", canal)]
    whole, part = assess(EnsembleConfig(), members, LABELS, None).members
    assert part.own is not None
    assert part.own.scored.score.unscored_parts == ("foraminal", "subarticular")
    assert part.own.scored.rows.height == (GRADES[:, 0] >= 0).sum()
    assert whole.adds is not None  # on the rows of the canal, which the other has, too
    assert part.adds is not None
    assert part.adds.value is not None
    assert part.adds.value > 0


def test_study_without_a_grade_is_predicted_by_what_all_folds_have_taught() -> None:
    grades = GRADES.copy()
    grades[7] = -1
    members = [as_member(name, make_values(GRADES, 2, seed)) for seed, name in enumerate("ab")]
    labels = as_labels(grades)
    config = EnsembleConfig(second_level=True)
    found = predict(config, members, labels, complete_folds(Split("given", FOLDS), labels))
    assert found.height == GRADES.size
    values = np.stack([predictions_grid(each.predictions, ids(80)) for each in members])
    whole = Ensemble.fit(config, "ab", values, grades).predict(values)
    own = predictions_grid(found, ids(80))
    np.testing.assert_allclose(own[7], whole[7], atol=1e-12)
    assert np.abs(own[8] - whole[8]).max() > 1e-6  # its own fold's labels are not in


def test_row_without_a_member_is_refused() -> None:
    canal = make_values(GRADES, 3, 1)
    canal[:, 1:] = np.nan
    with pytest.raises(DataError, match=r"canal: .* predicted by none"):
        assess(EnsembleConfig(), [as_member("canal", canal)], LABELS, None)


@dataclass(frozen=True)
class Published:
    """The published members, with the labels and folds of the competition."""

    members: list[Member]
    labels: pl.DataFrame
    folds: pl.DataFrame

    def gain(self, **settings: bool | str) -> tuple[float, float, float]:
        """Return the mean's score minus that of an ensemble, and its interval."""
        config = EnsembleConfig.model_validate(settings)
        made, mean = (
            scored(each, self.labels, predict(config, self.members, self.labels, self.folds))
            for each, config in (("ensemble", config), ("mean", EnsembleConfig()))
        )
        found = compare([made, mean]).differences[0]["score"]
        assert found.value is not None
        assert found.interval is not None
        return found.value, found.interval.low, found.interval.high


@pytest.fixture(scope="module")
def published(real_data: Path) -> Published:
    labels = read_labels(real_data / "competition")
    members = [
        read_member(name, real_data / "oof" / f"fourth_place_{name}_oof.csv")
        for name in ("swin_t", "v2s")
    ]
    given = Split("split", read_folds(real_data / "oof" / "train_with_split.csv"))
    return Published(members, labels, complete_folds(given, labels))


def test_mean_of_the_published_predictions_has_its_published_score(
    real_data: Path, published: Published
) -> None:
    result = assess(EnsembleConfig(), published.members, published.labels, None)
    expected = json.loads((real_data / "oof" / "expected_scores.json").read_text())
    found = result.ensemble.scored.score.as_dict()
    assert found == pytest.approx(expected["mean_of_fourth_place_swin_t_and_v2s"], abs=1e-6)
    assert found["score"] == pytest.approx(0.395032, abs=1e-6)
    for part in result.members:  # each of the two helps the other
        assert part.adds is not None
        assert part.adds.interval is not None
        assert part.adds.interval.low > 0


@pytest.mark.slow_training
def test_second_level_gains_over_the_mean_of_the_published_predictions(
    published: Published,
) -> None:
    gain, low, high = published.gain(second_level=True)
    assert gain == pytest.approx(0.0041, abs=2e-4)
    assert 0.0005 < low < gain < high < 0.0085


@pytest.mark.parametrize("settings", [{"temperature": True}, {"prior_shift": True}], ids=str)
def test_calibration_of_the_published_predictions_gains_next_to_nothing(
    published: Published, settings: dict[str, bool]
) -> None:
    gain, *_ = published.gain(**settings)
    assert abs(gain) < 0.001


def test_fitted_weights_of_the_published_predictions_gain_next_to_nothing(
    published: Published,
) -> None:
    gain, *_ = published.gain(weights="fitted")
    assert abs(gain) < 0.0005
