"""Intervals of scores and differences, by drawing patients."""

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.folds import assign_folds
from lsdc.challenges.hemorrhage.report.figures.compared import compare as compare_runs
from lsdc.challenges.hemorrhage.report.figures.scored import scored
from lsdc.challenges.hemorrhage.scoring.bootstrap import bootstrap
from lsdc.challenges.hemorrhage.scoring.metric import PARTS, score_arrays
from lsdc.challenges.hemorrhage.scoring.oof import LABEL_COLUMNS, assemble_oof
from lsdc.errors import DataError
from lsdc.tables.resampling import Difference
from tests.challenges.hemorrhage.made_images import make_images, make_labels, predict


def run(seed: int, skill: float = 0.5) -> pl.DataFrame:
    """Return the out-of-fold table of a made-up run on always the same images."""
    images = make_images(20)
    labels = make_labels(images)
    folds = assign_folds(images, labels, 2, seed=0)
    predicted = predict(labels, seed, skill).join(folds.select("image_id", "fold"), on="image_id")
    oof, _ = assemble_oof([predicted], labels, folds, images)
    return oof


def compare(first: pl.DataFrame, other: pl.DataFrame) -> dict[str, Difference]:
    """Return how the losses of the second run differ from the first one's."""
    return compare_runs([scored("first", first), scored("other", other)]).differences[0]


def test_bootstrap_equals_the_metric_of_the_drawn_patients() -> None:
    oof = run(1)
    drawn = bootstrap([oof], draws=4, seed=7)[0]
    patients = oof["patient"].unique().sort().to_list()
    chosen = np.random.default_rng(7).integers(len(patients), size=(4, len(patients)))
    for draw, places in zip(drawn, chosen, strict=True):
        rows = pl.concat([oof.filter(patient=patients[place]) for place in places])
        expected = score_arrays(
            rows.select(LABEL_COLUMNS).to_numpy(), rows.select(PARTS).to_numpy()
        )
        assert draw == pytest.approx(list(expected.as_dict().values()), abs=1e-12)


def test_run_does_not_differ_from_itself_in_another_order() -> None:
    oof = run(1)
    for found in compare(oof, oof.sample(fraction=1, shuffle=True, seed=2)).values():
        assert found.value == pytest.approx(0, abs=1e-14)
        assert found.interval is not None
        assert found.interval.low == pytest.approx(0, abs=1e-14)
        assert found.interval.high == pytest.approx(0, abs=1e-14)


def test_better_run_is_found_surely_better_and_the_order_gives_the_sign() -> None:
    better, worse = run(1, skill=0.8), run(2, skill=0.2)
    found, turned = compare(better, worse), compare(worse, better)
    assert list(found) == ["score", *PARTS]
    assert found["score"].sure
    assert found["score"].value == pytest.approx(-turned["score"].value)
    assert found["score"].value > 0


def test_paired_interval_is_narrower_than_that_of_either_run() -> None:
    first = run(1)
    nudged = first.with_columns(pl.col(PARTS) * 0.98 + 0.01)
    alone = np.percentile(bootstrap([first])[0, :, 0], [2.5, 97.5])
    span = compare(first, nudged)["score"].interval
    assert span.high - span.low < 0.5 * (alone[1] - alone[0])


def test_only_common_images_are_compared() -> None:
    first, other = run(1), run(2)
    some = first.head(30)
    assert compare(some, other) == compare(some, other.head(30))


def test_runs_with_other_labels_or_images_are_refused() -> None:
    first = run(1)
    with pytest.raises(DataError, match=r"images have different labels"):
        compare(first, first.with_columns(label_any=1 - pl.col("label_any")))
    with pytest.raises(DataError, match="no image in common"):
        compare(first.head(5), first.tail(5))
