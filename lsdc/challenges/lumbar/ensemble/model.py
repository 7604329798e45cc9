"""An ensemble that is fitted to labels once, kept in a file, and applied to other predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import split_row_ids
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.calibration import Calibration
from lsdc.challenges.lumbar.ensemble.grid import (
    Floats,
    Grades,
    predictions_grid,
    predictions_table,
)
from lsdc.challenges.lumbar.ensemble.second_level import SecondLevel
from lsdc.challenges.lumbar.ensemble.weights import Weights
from lsdc.errors import DataError
from lsdc.store.files import write_text


class Ensemble(BaseModel):
    """A fitted ensemble.

    Attributes:
        members: the names of the members, in the order of the predictions.
        combine: what makes one prediction of theirs.
        calibration: what follows; None if nothing does.
    """

    model_config = ConfigDict(frozen=True)

    members: tuple[str, ...]
    combine: Weights | SecondLevel
    calibration: Calibration | None = None

    @classmethod
    def fit(
        cls, config: EnsembleConfig, members: Sequence[str], values: Floats, grades: Grades
    ) -> "Ensemble":
        """Fit to labelled rows, which the members must not have been trained on.

        For a test set, fit on the out-of-fold predictions of all folds; for out-of-fold
        predictions of the ensemble itself, see `cross_fit`.

        Args:
            config: what to fit.
            members: (m,) names.
            values: (m, s, c, l, g); NaN where a member has no row.
            grades: (s, c, l); -1 where there is none.
        """
        combine: Weights | SecondLevel
        if config.second_level:
            combine = SecondLevel.fit(values, grades, config.strength)
        elif config.weights == "fitted":
            combine = Weights.fit(values, grades)
        else:
            combine = Weights.equal(len(members))
        if not (config.temperature or config.prior_shift):
            return cls(members=tuple(members), combine=combine)
        calibration = Calibration.fit(
            combine.predict(values),
            grades,
            temperature=config.temperature,
            prior_shift=config.prior_shift,
        )
        return cls(members=tuple(members), combine=combine, calibration=calibration)

    def predict(self, values: Floats) -> Floats:
        """Return (s, c, l, g) of the members' (m, s, c, l, g); NaN where no member has the row."""
        found = self.combine.predict(values)
        return found if self.calibration is None else self.calibration.predict(found)

    def save(self, path: Path) -> None:
        """Write the ensemble as JSON, from which it is read again to the bit."""
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Ensemble":
        """Read an ensemble.

        Raises:
            DataError: the file is missing, or no ensemble.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: cannot be read as an ensemble ({str(error).splitlines()[0]}); fit it "
                "again"
            ) from error


def cross_fit(
    config: EnsembleConfig,
    members: Sequence[str],
    values: Floats,
    grades: Grades,
    fold: NDArray[np.int64],
) -> Floats:
    """Return out-of-fold predictions: each fold's by an ensemble fitted on the other folds.

    Args:
        config: what to fit.
        members: (m,) names.
        values: (m, s, c, l, g); NaN where a member has no row.
        grades: (s, c, l); -1 where there is none.
        fold: (s,) the fold of each study.

    Returns:
        (s, c, l, g); NaN where no member has the row.
    """
    found = np.full(values.shape[1:], np.nan)
    for each in np.unique(fold):
        held_out = fold == each
        fitted = Ensemble.fit(config, members, values[:, ~held_out], grades[~held_out])
        found[held_out] = fitted.predict(values[:, held_out])
    return found


def combine(ensemble: Ensemble, predictions: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return an ensemble's predictions of all rows that a member has, study by study.

    The predictions of a study do not depend on the other studies, to the bit.

    Args:
        ensemble: the ensemble.
        predictions: row_id and the three probabilities of each member; a table may be empty.

    Returns:
        row_id, study_id, condition, level and the three probabilities.
    """
    schema = {"row_id": pl.String, **dict.fromkeys(PROBABILITIES, pl.Float64)}
    own = [
        predictions[name].select(*schema) if len(predictions[name]) else pl.DataFrame(schema=schema)
        for name in ensemble.members
    ]
    rows = pl.concat(own, how="vertical_relaxed")
    studies = split_row_ids(rows["row_id"], "members")["study_id"].unique().sort()
    if len(studies):
        values = np.stack([predictions_grid(each, studies) for each in own])
        rows = predictions_table(ensemble.predict(values), studies)
    return (
        rows.select("row_id")
        .hstack(split_row_ids(rows["row_id"], "members"))
        .hstack(rows.select(PROBABILITIES))
    )
