"""Temperature and shift of the prior: planted ones are found, and they are off by default."""

import numpy as np
from scipy.special import softmax

from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.calibration import Calibration
from lsdc.challenges.lumbar.ensemble.grid import logits_of
from lsdc.challenges.lumbar.ensemble.model import Ensemble
from lsdc.challenges.lumbar.scoring.metric import POOLED
from tests.challenges.lumbar.ensemble.made import kind_loss, make_grades, make_values

GRADES = make_grades(300)


def calibrated() -> np.ndarray:
    """Return predictions that no calibration makes much better."""
    values = make_values(GRADES, 1.5, 1)
    fitted = Calibration.fit(values, GRADES, temperature=True, prior_shift=True)
    return fitted.predict(values)


def test_planted_temperature_is_found() -> None:
    sharp = softmax(logits_of(calibrated()) * 2.5, axis=-1)
    fitted = Calibration.fit(sharp, GRADES, temperature=True, prior_shift=False)
    for name in ("foraminal", "subarticular"):  # the canal's counts any_severe, too
        np.testing.assert_allclose(fitted.temperature[name], 2.5, rtol=0.1)
    assert set(fitted.shift.values()) == {(0.0, 0.0, 0.0)}


def test_planted_shift_is_found_and_undone() -> None:
    plain = calibrated()
    shifted = softmax(logits_of(plain) + np.array([0, 0.7, -1.0]), axis=-1)
    fitted = Calibration.fit(shifted, GRADES, temperature=False, prior_shift=True)
    assert set(fitted.temperature.values()) == {1.0}
    for name in ("foraminal", "subarticular"):
        np.testing.assert_allclose(fitted.shift[name], [0, -0.7, 1.0], atol=0.1)
    kind = POOLED.index("foraminal")
    undone = kind_loss(kind, fitted.predict(shifted), GRADES)
    assert undone < kind_loss(kind, shifted, GRADES) - 0.05
    np.testing.assert_allclose(undone, kind_loss(kind, plain, GRADES), atol=1e-3)


def test_rows_without_a_prediction_stay_so() -> None:
    values = calibrated()
    values[0] = np.nan
    fitted = Calibration.fit(values, GRADES, temperature=True, prior_shift=True)
    assert np.isnan(fitted.predict(values)[0]).all()
    assert not np.isnan(fitted.predict(values)[1:]).any()


def test_nothing_is_calibrated_by_default() -> None:
    values = make_values(GRADES, 1.5, 1)[None]
    fitted = Ensemble.fit(EnsembleConfig(), ["one"], values, GRADES)
    assert fitted.calibration is None
    np.testing.assert_array_equal(fitted.predict(values), values[0])
