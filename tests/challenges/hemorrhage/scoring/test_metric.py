"""The metric against known values, scikit-learn and published predictions; refusals."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss

from lsdc.challenges.hemorrhage.competition.tables import read_labels
from lsdc.challenges.hemorrhage.scoring.metric import PARTS, losses, score, score_arrays
from lsdc.challenges.hemorrhage.scoring.prior import constant_prior, label_shares
from lsdc.errors import DataError
from tests.challenges.hemorrhage.made_images import as_long, make_images, make_labels, predict

# Positives of each label among the images of the first stage, and the log loss of their shares.
STAGE_1_IMAGES = 674_258
STAGE_1 = {
    "epidural": (2_761, 0.0266001622),
    "intraparenchymal": (32_564, 0.1934671778),
    "intraventricular": (23_766, 0.1525349247),
    "subarachnoid": (32_122, 0.1915083947),
    "subdural": (42_496, 0.2352146001),
    "any": (97_103, 0.4121847550),
}


def constant(labels: pl.DataFrame, value: float) -> pl.DataFrame:
    return labels.select("image_id", *(pl.lit(value).alias(part) for part in PARTS))


def labels_with(images: int, ones: dict[str, int]) -> pl.DataFrame:
    """Return labels in which the first images have each label, as many as said."""
    number = pl.int_range(images, eager=True)
    columns = [(number < ones[part]).cast(pl.Int8).alias(part) for part in PARTS]
    return pl.DataFrame([number.cast(pl.String).alias("image_id"), *columns])


@pytest.fixture(scope="module")
def labels() -> pl.DataFrame:
    return make_labels(make_images(12))


def refusal(labels: pl.DataFrame, predictions: pl.DataFrame) -> str:
    with pytest.raises(DataError) as caught:
        score(labels, predictions, "mine.csv")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_one_image_with_a_quarter_everywhere_has_the_known_score() -> None:
    labels = pl.DataFrame(
        [{"image_id": "ID_1", **dict.fromkeys(PARTS, 0), "subdural": 1, "any": 1}]
    )
    found = score(labels, constant(labels, 0.25)).score
    assert found == pytest.approx(0.7585159104523994, abs=1e-12, rel=0)
    assert found == pytest.approx((3 * math.log(4) + 4 * math.log(4 / 3)) / 7, abs=1e-12, rel=0)


def test_half_everywhere_scores_the_logarithm_of_two(labels: pl.DataFrame) -> None:
    found = score(labels, constant(labels, 0.5)).as_dict()
    assert found == pytest.approx(dict.fromkeys(["score", *PARTS], math.log(2)), abs=1e-12, rel=0)


def test_constants_have_the_known_scores_of_a_table_with_289_weighted_positives() -> None:
    """Constant predictions depend only on the weighted sum of positives: here 2 x 100 + 89."""
    ones = {"any": 100, "subdural": 40, "subarachnoid": 20, "intraparenchymal": 20}
    labels = labels_with(1045, ones | {"intraventricular": 9, "epidural": 0})
    for value, known in {
        0.0: 1.3645531617401494,
        1.0: 33.174991240216954,
        0.1: 0.19216815787931196,
    }.items():
        found = score(labels, constant(labels, value)).score
        assert found == pytest.approx(known, abs=1e-12, rel=0)


def test_shares_of_the_first_stage_have_the_known_score() -> None:
    labels = labels_with(STAGE_1_IMAGES, {part: ones for part, (ones, _) in STAGE_1.items()})
    found = score(labels, constant_prior(labels)).as_dict()
    assert found.pop("score") == pytest.approx(0.23195639565728746, abs=1e-12, rel=0)
    assert found == pytest.approx({part: loss for part, (_, loss) in STAGE_1.items()}, abs=1e-10)
    assert label_shares(labels)["any"] == STAGE_1["any"][0] / STAGE_1_IMAGES


@pytest.mark.parametrize("seed", range(3))
def test_metric_equals_scikit_learns_log_loss(seed: int) -> None:
    labels = make_labels(make_images(10, seed), seed, bleeding=0.8)
    predictions = predict(labels, seed)
    own = {part: log_loss(labels[part], predictions[part], labels=[0, 1]) for part in PARTS}
    expected = (2 * own["any"] + sum(own[part] for part in PARTS if part != "any")) / 7
    found = score(labels, predictions).as_dict()
    assert found == pytest.approx({"score": expected, **own}, abs=1e-12, rel=0)


def test_small_probabilities_keep_their_digits() -> None:
    tiny = np.full((1, 6), 3e-13)
    assert losses(np.zeros((1, 6), np.int8), tiny) == pytest.approx(tiny + tiny**2 / 2, rel=1e-14)


def test_certain_errors_are_clipped() -> None:
    ones, zeros = np.ones((1, 6), np.int8), np.zeros((1, 6), np.int8)
    assert score_arrays(ones, np.zeros((1, 6))).score == pytest.approx(15 * math.log(10), abs=1e-12)
    # 1 - 1e-15 is rounded to a multiple of 2^-53.
    assert score_arrays(zeros, np.ones((1, 6))).score == pytest.approx(
        -math.log(1 - (1 - 1e-15)), abs=1e-12
    )
    assert score_arrays(ones, np.ones((1, 6))).score == pytest.approx(1e-15, abs=2e-16)


def test_row_order_and_form_do_not_matter(labels: pl.DataFrame) -> None:
    predictions = predict(labels)
    expected = score(labels, predictions).as_dict()
    shuffled = predictions.sample(fraction=1, shuffle=True, seed=3)
    mixed = labels.sample(fraction=1, shuffle=True, seed=4)
    long = as_long(predictions).sample(fraction=1, shuffle=True, seed=5)
    for own, given in ((labels, shuffled), (mixed, shuffled), (labels, long)):
        assert score(own, given).as_dict() == pytest.approx(expected, abs=1e-14)


def test_missing_images_are_counted_and_named(labels: pl.DataFrame) -> None:
    message = refusal(labels, predict(labels).slice(2))
    one, two = labels["image_id"][:2]
    assert f"mine.csv: 2 images ({one}, {two}) missing of {labels.height} labelled" in message


def test_surplus_images_are_counted_and_named(labels: pl.DataFrame) -> None:
    message = refusal(labels.slice(1), predict(labels))
    assert f"mine.csv: 1 image ({labels['image_id'][0]}) not among the labelled ones" in message


def test_invalid_predictions_are_refused(labels: pl.DataFrame) -> None:
    predictions = predict(labels)
    assert "repeated" in refusal(labels, pl.concat([predictions, predictions.head(1)]))
    assert "with NaN" in refusal(labels, predictions.with_columns(any=pl.lit(math.nan)))
    assert "no column 'any'" in refusal(labels, predictions.drop("any"))


def test_nothing_to_score_is_refused(labels: pl.DataFrame) -> None:
    assert "there is no image" in refusal(labels.clear(), predict(labels).clear())


@pytest.mark.parametrize("number", range(3))
def test_metric_equals_the_published_validations(real_data: Path, number: int) -> None:
    folder = real_data / "hemorrhage" / "oof"
    name = f"model_base_fold{number}_tta{number}"
    expected = json.loads((folder / "expected_logloss.json").read_text(encoding="utf-8"))[name]
    table = pl.read_csv(folder / f"{name}.csv").rename({"ID": "image_id"})
    labels, predictions = (
        table.select("image_id", *(pl.col(f"{kind}_{part}").alias(part) for part in PARTS))
        for kind in "yp"
    )
    found = score(labels, predictions.sample(fraction=1, shuffle=True, seed=0)).score
    assert found == pytest.approx(expected["logloss_ours"], abs=1e-12, rel=0)
    assert found == pytest.approx(expected["logloss_theirs"], abs=2.3e-9, rel=0)  # of float32


def test_constants_on_real_labels_follow_from_their_positives(real_data: Path) -> None:
    labels = read_labels(real_data / "hemorrhage")
    weighted = (2 * 36 + 20 + 3 + 14 + 6) / (7 * labels.height)
    found = score(labels, constant(labels, 0.1)).score
    expected = weighted * math.log(10) - (1 - weighted) * math.log(0.9)
    assert found == pytest.approx(expected, abs=1e-12, rel=0)
