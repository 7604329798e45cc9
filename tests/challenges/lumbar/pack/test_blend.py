"""The submission of a packed ensemble, of what its members have predicted so far."""

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.loss import LabelsConfig
from lsdc.challenges.lumbar.ensemble.model import Ensemble
from lsdc.challenges.lumbar.ensemble.weights import Weights
from lsdc.challenges.lumbar.pack.blend import join
from lsdc.challenges.lumbar.predict.models import EnsembleModels
from lsdc.challenges.lumbar.scoring.prior import prior_table

CELL = "spinal_canal_stenosis_l4_l5"
NO_LABELS = pl.DataFrame(
    schema={"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8}
)
THIRDS = pytest.approx((1 / 3, 1 / 3, 1 / 3))  # the prior without labels
ROWS = pl.DataFrame(
    [
        (f"007_{CELL}", True, 0.9, 0.05, 0.05),
        (f"8_{CELL}", True, 0.9, 0.05, 0.05),
        (f"9_{CELL}", True, 0.9, 0.05, 0.05),
        ("unknown", False, 0.2, 0.2, 0.6),
    ],
    schema=["row_id", "known", *PROBABILITIES],
    orient="row",
)


@pytest.fixture
def models() -> EnsembleModels:
    members: Any = {"a": None, "b": None}
    ensemble = Ensemble(members=("a", "b"), combine=Weights.equal(2))
    return EnsembleModels("both", members, ensemble, LabelsConfig(), prior_table(NO_LABELS))


def attempt(**studies: tuple[float, float, float]) -> Any:
    """Return an attempt that has predicted some studies, named `s7`."""
    rows = [(f"{name[1:]}_{CELL}", *values) for name, values in studies.items()]
    if not rows:
        return SimpleNamespace(predictions=pl.DataFrame())
    table = pl.DataFrame(rows, schema=["row_id", *PROBABILITIES], orient="row")
    return SimpleNamespace(predictions=table)


def test_rows_are_joined_from_the_members_that_have_them(models: EnsembleModels) -> None:
    attempts = [attempt(s7=(0.2, 0.2, 0.6), s8=(0.5, 0.25, 0.25)), attempt(s7=(0.6, 0.2, 0.2))]
    found = join(ROWS, attempts, models)
    assert found["row_id"].to_list() == ROWS["row_id"].to_list()
    both, one, none, unknown = found.select(PROBABILITIES).rows()
    assert both == pytest.approx((0.4, 0.2, 0.4))
    assert one == pytest.approx((0.5, 0.25, 0.25))
    assert none == THIRDS
    assert unknown == (0.2, 0.2, 0.6)


def test_before_any_prediction_all_known_rows_have_the_prior(models: EnsembleModels) -> None:
    found = join(ROWS, [attempt(), attempt()], models)
    assert found.select(PROBABILITIES).head(3).rows() == [THIRDS] * 3
    unknown = ROWS.filter(~pl.col("known"))
    assert join(unknown, [attempt(), attempt()], models).height == 1
