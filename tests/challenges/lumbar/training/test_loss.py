"""The loss of an experiment: the weights of the conditions."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.training.network import build_loss
from lsdc.challenges.lumbar.training.samples import as_samples
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition
from lsdc.training.samples import Samples

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


def make_samples(folder: Path, labels: pl.DataFrame, *, by_side: bool = False) -> Samples:
    """Return a sample of two blank slices for each level, or for each of its sides."""
    places = labels.select("study_id", "level").unique(maintain_order=True)
    table = places.join(pl.DataFrame({"side": SIDES[by_side]}), how="cross").with_columns(
        side=pl.col("side").cast(pl.String), row=pl.int_range(pl.len()), mask=[True, True]
    )
    np.save(folder / "crops.npy", np.zeros((len(table), 2, 4, 4), np.uint8))
    return as_samples(folder, table, labels)


def gradient(experiment: Experiment, logits: Tensor, labels: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    build_loss(experiment)(logits, labels).backward()
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
    samples = make_samples(tmp_path, labels, by_side=by_side)
    logits = torch.zeros(len(samples), 5, 3, dtype=torch.float64)  # all are equally wrong
    found = gradient(experiment, logits, torch.tensor(samples.labels)).abs().sum(dim=(0, 2))

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
