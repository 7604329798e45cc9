"""The second level: what it learns, what it must not, and that it can be kept."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.blend import blend
from lsdc.challenges.lumbar.ensemble.grid import KIND_OF, predictions_table
from lsdc.challenges.lumbar.ensemble.model import Ensemble, cross_fit
from lsdc.challenges.lumbar.ensemble.second_level import SecondLevel
from lsdc.challenges.lumbar.ensemble.severe import SevereOdds
from lsdc.challenges.lumbar.scoring.compared import compare
from lsdc.challenges.lumbar.scoring.metric import POOLED
from lsdc.challenges.lumbar.scoring.prior import out_of_fold_prior
from lsdc.challenges.lumbar.scoring.scored import scored
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from lsdc.errors import DataError
from tests.challenges.lumbar.ensemble.made import (
    as_folds,
    as_labels,
    deal,
    ids,
    kind_loss,
    make_grades,
    make_values,
)

STUDIES = 160
SECOND = EnsembleConfig(second_level=True)
FITTED = [
    SECOND,
    EnsembleConfig(weights="fitted"),
    EnsembleConfig(temperature=True, prior_shift=True),
    EnsembleConfig(second_level=True, temperature=True),
]
FOLD = deal(STUDIES)
NAMES = ("a", "b")


def planted(strength: float = 1.5, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return two members (m, s, c, l, g), and grades (s, c, l)."""
    grades = make_grades(STUDIES, seed)
    values = np.stack([make_values(grades, strength, seed + each) for each in (1, 2)])
    return values, grades


def gain_over(
    other: pl.DataFrame, found: NDArray[np.float64], grades: NDArray[np.int8]
) -> tuple[float, float]:
    """Return the interval of the other's score minus the one found."""
    labels = as_labels(grades)
    own = scored("own", labels, predictions_table(found, ids(len(grades))))
    span = compare([own, scored("other", labels, other)]).differences[0]["score"].interval
    assert span is not None
    return span.low, span.high


def test_noise_members_gain_nothing_over_the_prior() -> None:
    values, grades = planted(strength=0)
    found = cross_fit(SECOND, NAMES, values, grades, FOLD)
    prior = out_of_fold_prior(as_labels(grades), as_folds(FOLD))
    low, _ = gain_over(prior, found, grades)
    assert low <= 0


def test_members_that_are_informed_gain_over_the_prior() -> None:
    """The same comparison as with noise finds what there is to find."""
    values, grades = planted()
    found = cross_fit(SECOND, NAMES, values, grades, FOLD)
    prior = out_of_fold_prior(as_labels(grades), as_folds(FOLD))
    low, _ = gain_over(prior, found, grades)
    assert low > 0.1


def test_other_conditions_of_the_level_are_used() -> None:
    """The canal is predicted by noise, but its grade is that of the left subarticular row."""
    values, grades = planted()
    left = CONDITIONS.index(next(each for each in CONDITIONS if "left_sub" in each))
    grades[:, 0] = grades[:, left]
    values[:, :, 0] = make_values(grades, 0, 9)[:, 0]
    mean = blend(values, 1.0)
    found = cross_fit(SECOND, NAMES, values, grades, FOLD)
    assert kind_loss(0, found, grades) < kind_loss(0, mean, grades) - 0.2


@pytest.mark.parametrize("config", FITTED, ids=lambda each: str(each.model_dump()))
def test_labels_of_a_fold_do_not_change_its_predictions(config: EnsembleConfig) -> None:
    values, grades = planted()
    before = cross_fit(config, NAMES, values, grades, FOLD)
    held_out = FOLD == 1
    changed = grades.copy()
    changed[held_out] = (
        np.random.default_rng(3)
        .permutation(grades[held_out].reshape(-1))
        .reshape(changed[held_out].shape)
    )
    assert (changed != grades).sum() > 100
    after = cross_fit(config, NAMES, values, changed, FOLD)
    np.testing.assert_array_equal(after[held_out], before[held_out])
    assert not np.array_equal(after[~held_out], before[~held_out])


@pytest.mark.parametrize("config", FITTED, ids=lambda each: str(each.model_dump()))
def test_ensemble_is_the_same_each_time_and_when_it_is_read_again(
    config: EnsembleConfig, tmp_path: Path
) -> None:
    values, grades = planted()
    fitted = Ensemble.fit(config, NAMES, values, grades)
    assert Ensemble.fit(config, NAMES, values, grades) == fitted
    fitted.save(tmp_path / "ensemble.json")
    read = Ensemble.load(tmp_path / "ensemble.json")
    assert read == fitted
    test, _ = planted(seed=5)
    np.testing.assert_array_equal(read.predict(test), fitted.predict(test))


def test_file_that_is_no_ensemble_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"other\.json: cannot be read as an ensemble"):
        Ensemble.load(tmp_path / "other.json")


def test_left_and_right_rows_are_judged_alike() -> None:
    values, grades = planted()
    fitted = SecondLevel.fit(values, grades)
    mirror = [CONDITIONS.index(each.mirrored) for each in CONDITIONS]
    plain, mirrored = fitted.predict(values), fitted.predict(values[:, :, mirror])
    sides = POOLED.index("spinal") != KIND_OF
    np.testing.assert_allclose(mirrored[:, mirror][:, sides], plain[:, sides], atol=1e-12)


def test_rows_and_conditions_that_members_lack_are_no_obstacle() -> None:
    values, grades = planted()
    canal = POOLED.index("spinal") == KIND_OF
    values[0][:, ~canal] = np.nan  # a member of the canal alone
    values[0, ::7, 0, 3] = np.nan  # which lacks some rows
    values[:, 3, 2] = np.nan  # rows that nobody has
    found = cross_fit(SECOND, NAMES, values, grades, FOLD)
    assert np.isnan(found).all(-1).sum() == grades.shape[2]
    assert np.isnan(found[3, 2]).all()
    np.testing.assert_allclose(np.nansum(found, -1)[~np.isnan(found[..., 0])], 1)


def test_ensemble_of_the_canal_alone_can_be_fitted() -> None:
    values, grades = planted()
    values[:, :, 1:] = np.nan
    found = cross_fit(SECOND, NAMES, values, grades, FOLD)
    assert kind_loss(0, found, grades) < kind_loss(0, blend(values, 1.0), grades)
    assert np.isnan(found[:, 1:]).all()


def test_grade_without_a_label_keeps_a_probability() -> None:
    """The log loss of a probability of 0 would be that of the clip."""
    values, grades = planted()
    grades[grades == 2] = 0
    found = SecondLevel.fit(values, grades).predict(values)
    assert found.min() > 0
    assert found[..., 2].mean() < 0.05


def test_odds_of_a_severe_canal_that_are_too_high_are_lowered() -> None:
    grades = make_grades(200)
    grades[:, 0] = 0
    grades[:40, 0, 2] = 2
    values = np.tile([0.25, 0.05, 0.7], (*grades.shape, 1))
    fitted = SevereOdds.fit(values, grades)
    assert kind_loss(0, fitted.predict(values), grades) < kind_loss(0, values, grades) - 0.2
    np.testing.assert_allclose(fitted.predict(values).sum(-1), 1)
    np.testing.assert_array_equal(fitted.predict(values)[:, 1:], values[:, 1:])
    assert SevereOdds.fit(values, np.zeros_like(grades)) == SevereOdds()


def test_fitted_weights_and_the_second_level_exclude_one_another() -> None:
    with pytest.raises(ValueError, match="second_level takes the place of the mean"):
        EnsembleConfig(second_level=True, weights="fitted")
