"""Records of runs that are made up: of trained folds, of the run, and of what its stages cost."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.experiments.base import BaseExperiment
from lsdc.store.costs import Cost, record_cost
from lsdc.store.garbage import pin_results
from lsdc.store.home import Home
from lsdc.store.manifest import Manifest
from lsdc.store.runs import EXPERIMENT_FILE, RECORD, RunRecord


def write_training(out: Path, *, losses: Sequence[Sequence[float]], selected: bool = False) -> None:
    """Write the learning curves and the facts of a fold.

    Args:
        out: the fold's folder.
        losses: loss, validation loss and score of each of two epochs.
        selected: whether a checkpoint was selected.
    """
    names = ("loss", "validation_loss", "score")
    history = {name: [epoch[place] for epoch in losses] for place, name in enumerate(names)}
    pl.DataFrame({"epoch": [1, 2], **history}).write_parquet(out / "history.parquet")
    facts = {
        "identity": "a" * 64,
        "digests": {"model.safetensors": "b" * 64},
        "selected": selected,
        "kept": "last",
        "seed": 0,
        "epochs": 2,
        "device": "cpu",
        "threads": 1,
        "cpu": "a CPU",
        "versions": {"torch": "2.9.0"},
        "processes": [{}],
        "seconds": 12.5,
    }
    (out / "fit.json").write_text(json.dumps(facts))


def write_records(
    home: Home,
    name: str,
    experiment: BaseExperiment,
    *,
    folds: int,
    made: Sequence[Manifest],
    index: str,
    changed: dict[str, Any] | None = None,
    challenge: str | None = None,
) -> None:
    """Write the record of a run, and the costs of its index, its scores and its report.

    Args:
        home: its home.
        name: the name of its folder.
        experiment: its experiment.
        folds: its number of folds.
        made: the results of its stages, that of the index first.
        index: the name of the task run that made the index.
        changed: settings that override those of the experiment.
        challenge: the name of its challenge; None as in records of early versions.
    """
    folder, changed = home.run(name), changed or {}
    record = RunRecord(
        experiment=experiment.name,
        challenge=challenge,
        data="phantom",
        tables=None,
        settings={"folds": folds, "seed": 0, "training.epochs": 2} | changed,
        changed=changed,
        begun=datetime(2026, 11, 30, 8, 15, tzinfo=UTC),
    )
    (folder / RECORD).write_text(record.model_dump_json())
    (folder / EXPERIMENT_FILE).write_text(experiment.model_dump_json())
    pin_results(home, name, [*made])
    ended = datetime(2026, 11, 30, 8, 20, tzinfo=UTC)
    for stage, run_name, path in (
        ("index", index, made[0].path),
        ("oof", "oof", f"runs/{name}"),
        ("report", "report", f"runs/{name}"),
    ):
        cost = Cost(
            stage=stage, name=run_name, path=path, seconds=75, peak_bytes=321_000_000, ended=ended
        )
        record_cost(home.root, cost)
