"""The loss of an experiment: the weights of the conditions, and the competition's metric."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES, read_predictions
from lsdc.challenges.lumbar.competition.row_ids import with_row_id
from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.scoring.metric import Score, score
from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.challenges.lumbar.training.network import build_loss, read_grades
from lsdc.challenges.lumbar.training.samples import as_rows, as_samples
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition
from lsdc.training.models.outputs import Outputs
from lsdc.training.samples import Labels, Samples

SIDES = {False: [None], True: ["left", "right"]}


def experiment_with(**parts: dict[str, Any]) -> Experiment:
    return Experiment.model_validate({"name": "x", **parts})


def make_labels(studies: int, *, seed: int = 0, empty: float = 0.2) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    rows = [
        (7 + study, str(condition), str(level), int(random.choice(3, p=[0.6, 0.25, 0.15])))
        for study in range(studies)
        for condition in CONDITIONS
        for level in LEVELS
    ]
    schema = {"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    there = pl.Series(random.random(len(rows)) >= empty)
    return table.with_columns(grade=pl.when(there).then("grade"))


def make_table(labels: pl.DataFrame, *, by_side: bool) -> pl.DataFrame:
    """Return a sample for each level, or for each of its sides."""
    places = labels.select("study_id", "level").unique(maintain_order=True)
    sides = pl.DataFrame({"side": SIDES[by_side]}, schema={"side": pl.String})
    return places.join(sides, how="cross").with_columns(
        row=pl.int_range(pl.len()), mask=pl.lit([True, True])
    )


def make_samples(folder: Path, table: pl.DataFrame, labels: pl.DataFrame) -> Samples:
    """Return the samples of a table, each of two blank slices."""
    np.save(folder / "crops.npy", np.zeros((len(table), 2, 4, 4), np.uint8))
    return as_samples(folder, table, labels)


def gradient(experiment: Experiment, logits: Tensor, labels: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    build_loss(experiment)(Outputs(logits), Labels(labels)).backward()
    assert logits.grad is not None
    return logits.grad


@pytest.mark.parametrize("by_side", [False, True])
def test_condition_has_its_share_of_the_weights_in_the_gradient(
    by_side: bool, tmp_path: Path
) -> None:
    """A sample of the right side is a mirror image: its left heads grade the right side."""
    given = {"spinal": 2.75, "foraminal": 0.64, "subarticular": 0.58}
    experiment = experiment_with(
        loss={"condition_weights": list(given.values())}, crops={"by_side": by_side}
    )
    labels = make_labels(20)
    samples = make_samples(tmp_path, make_table(labels, by_side=by_side), labels)
    logits = torch.zeros(len(samples), 5, 3, dtype=torch.float64)  # all are equally wrong
    found = gradient(experiment, logits, torch.tensor(samples.labels.grades)).abs().sum(dim=(0, 2))

    rows = labels.drop_nulls("grade").with_columns(
        pooled=pl.col("condition").map_elements(lambda name: Condition(name).pooled, pl.String)
    )
    # Each label is learnt once; that of the canal once for each side.
    expected = {
        name: weight * float((2.0 ** rows.filter(pooled=name)["grade"].cast(pl.Float64)).sum())
        for name, weight in given.items()
    }
    expected["spinal"] *= 1 + by_side
    for name in given:
        heads = [head for head, each in enumerate(CONDITIONS) if each.pooled == name]
        share = float(found[heads].sum() / found.sum())
        assert share == pytest.approx(expected[name] / sum(expected.values()))


METRIC = {"average": "conditions", "any_weight": 1.0}
BY_STUDY = {"batch_by": "study"}


def labels_with_gaps(seed: int) -> pl.DataFrame:
    """Return labels of 30 studies, one without canal labels, another without any."""
    labels = make_labels(30, seed=seed, empty=0.3)
    canal = pl.col("condition") == "spinal_canal_stenosis"
    none = ((pl.col("study_id") == 7) & canal) | (pl.col("study_id") == 8)
    return labels.with_columns(grade=pl.when(~none).then("grade"))


def terms_and_score(
    experiment: Experiment, labels: pl.DataFrame, folder: Path
) -> tuple[list[float], Score]:
    """Return the terms of the loss of random answers to all studies at once, and their score."""
    labels = keep_graded(labels, experiment.labels)
    table = make_table(labels, by_side=experiment.crops.by_side)
    samples = make_samples(folder, table, labels)
    torch.manual_seed(1)
    logits = 2 * torch.randn(len(samples), 5, 3, dtype=torch.float64)
    members = samples.members_of(range(len(samples)))
    terms = build_loss(experiment).terms(Outputs(logits), samples.labels.map(torch.tensor), members)
    found = as_rows(table, read_grades(experiment, logits).numpy())
    return terms.tolist(), score(labels, keep_graded(found, experiment.labels))


@pytest.mark.parametrize("seed", range(3))
def test_loss_by_conditions_with_any_severe_is_the_competitions_metric(
    seed: int, tmp_path: Path
) -> None:
    experiment = experiment_with(loss=METRIC, training=BY_STUDY)
    terms, metric = terms_and_score(experiment, labels_with_gaps(seed), tmp_path)
    assert metric.unscored_parts == ()
    parts = [metric.spinal, metric.foraminal, metric.subarticular, metric.any_severe_spinal]
    assert [4 * term for term in terms] == pytest.approx(parts, abs=1e-6)
    assert sum(terms) == pytest.approx(metric.score, abs=1e-6)


@pytest.mark.parametrize(
    "conditions",
    [
        ["spinal_canal_stenosis"],
        ["spinal_canal_stenosis", "left_neural_foraminal_narrowing"],
    ],
    ids=len,
)
def test_loss_of_some_conditions_is_the_metric_of_their_rows(
    conditions: list[str], tmp_path: Path
) -> None:
    experiment = experiment_with(loss=METRIC, training=BY_STUDY, labels={"conditions": conditions})
    terms, metric = terms_and_score(experiment, labels_with_gaps(0), tmp_path)
    assert len(metric.unscored_parts) == 3 - len(conditions)
    assert sum(terms) == pytest.approx(metric.score, abs=1e-6)


@pytest.mark.parametrize("by_side", [False, True])
def test_term_of_any_severe_is_that_of_the_metric(by_side: bool, tmp_path: Path) -> None:
    """With a sample for each side, the answer for a level is the mean of both, as in a run."""
    experiment = experiment_with(
        loss={"any_weight": 0.5}, training=BY_STUDY, crops={"by_side": by_side}
    )
    (_, term), metric = terms_and_score(experiment, labels_with_gaps(0), tmp_path)
    assert term == pytest.approx(0.5 * metric.any_severe_spinal, abs=1e-6)


def test_loss_of_one_side_by_mirrored_samples_is_learnt(tmp_path: Path) -> None:
    """Left heads answer for the right side of mirrored samples."""
    experiment = experiment_with(
        loss={"average": "conditions"},
        labels={"conditions": ["right_subarticular_stenosis"]},
        crops={"by_side": True},
    )
    terms, metric = terms_and_score(experiment, labels_with_gaps(0), tmp_path)
    assert terms == pytest.approx([metric.subarticular], abs=1e-6)


def test_loss_of_published_predictions_is_their_known_score(
    real_data: Path, tmp_path: Path
) -> None:
    labels = read_labels(real_data / "competition")
    oof = read_predictions(real_data / "oof" / "fourth_place_swin_t_oof.csv")
    known = json.loads((real_data / "oof" / "expected_scores.json").read_text())
    table = make_table(labels, by_side=False)
    rows = table.join(pl.DataFrame({"condition": [*map(str, CONDITIONS)]}), how="cross")
    beside = with_row_id(rows).join(oof, on="row_id", how="left", maintain_order="left")
    shares = (
        beside.select(pl.col(PROBABILITIES).cast(pl.Float64).fill_null(1.0))
        .to_numpy()
        .reshape(-1, 5, 3)
    )
    experiment = experiment_with(loss=METRIC, training=BY_STUDY)
    samples = make_samples(tmp_path, table, labels)
    terms = build_loss(experiment).terms(
        Outputs(torch.tensor(np.log(shares))),
        samples.labels.map(torch.tensor),
        samples.members_of(range(len(samples))),
    )
    assert float(terms.sum()) == pytest.approx(known["fourth_place_swin_t_oof"]["score"], abs=1e-6)
