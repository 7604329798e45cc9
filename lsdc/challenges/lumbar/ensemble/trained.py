"""An ensemble of trained experiments: fitted out of fold, and once on all folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import row_id, split_row_ids
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.assess import predict
from lsdc.challenges.lumbar.ensemble.fitted import FITTED, MEMBERS, FittedOn
from lsdc.challenges.lumbar.ensemble.grid import grades_grid, predictions_grid
from lsdc.challenges.lumbar.ensemble.members import Member, folds_of, labels_of, read_trained
from lsdc.challenges.lumbar.ensemble.model import Ensemble, combine
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet
from lsdc.training.trained_fold import FACTS

FILES = (FITTED, MEMBERS, "oof.parquet", "holdout.parquet", FACTS)
_ROWS = ["row_id", *PROBABILITIES]


@dataclass(frozen=True)
class LabelledStudies:
    """The studies of a run.

    Attributes:
        labels: study_id, condition, level, grade of the folds' studies.
        graded: those of them that the ensemble predicts.
        folds: study_id, fold.
        held_out: as `graded`, of the studies in no fold; may be empty.
    """

    labels: pl.DataFrame
    graded: pl.DataFrame
    folds: pl.DataFrame
    held_out: pl.DataFrame


def fit_trained(
    config: EnsembleConfig,
    members: Mapping[str, Sequence[Path]],
    studies: LabelledStudies,
    out: Path,
) -> int:
    """Fit an ensemble to the out-of-fold predictions of trained experiments.

    `out` then holds ensemble.json, fitted once on all folds; members.parquet, the members'
    predictions; and, as the folder of a trained fold does, oof.parquet, where the ensemble that
    predicts a fold was fitted on the other folds, holdout.parquet, by the means of the members'
    models, and fit.json.

    Args:
        config: how it is fitted.
        members: the folders of all folds of each member.
        studies: the studies of the run.
        out: an existing folder.

    Returns:
        Number of out-of-fold rows.

    Raises:
        DataError: a member has other folds or labels, or no member has a condition at a level.
    """
    read = [read_trained(name, folders) for name, folders in members.items()]
    labels_of(read, studies.labels)
    folds = studies.folds.cast({"fold": pl.Int64})
    folds_of(read, folds, "this run")
    _require_cells(read, studies.graded)
    wanted = studies.graded.with_columns(row_id())
    oof = predict(config, read, studies.graded, folds)
    oof = (
        oof.join(wanted.select("row_id", "study_id"), on="row_id", maintain_order="left")
        .join(folds, on="study_id", maintain_order="left")
        .select("row_id", "fold", *PROBABILITIES)
    )
    ensemble = fit_once(config, read, studies.graded)
    ensemble.save(out / FITTED)
    held_out = combine(ensemble, {name: _mean(folders) for name, folders in members.items()})
    held_out = held_out.join(studies.held_out.select(row_id()), on="row_id", how="semi")
    named = [each.predictions.select(pl.lit(each.name).alias("member"), *_ROWS) for each in read]
    pl.concat(named).write_parquet(out / MEMBERS)
    oof.write_parquet(out / "oof.parquet")
    held_out.write_parquet(out / "holdout.parquet")
    FittedOn.of(members).save(out / FACTS)
    return oof.height


def fit_once(config: EnsembleConfig, members: Sequence[Member], labels: pl.DataFrame) -> Ensemble:
    """Return the ensemble fitted to all out-of-fold rows of its members, for other studies."""
    studies = labels["study_id"].unique(maintain_order=True)
    values = np.stack([predictions_grid(each.predictions, studies) for each in members])
    grades = grades_grid(labels, studies)
    return Ensemble.fit(config, [each.name for each in members], values, grades)


def _mean(folders: Sequence[Path]) -> pl.DataFrame:
    """Return the means of the folds' models for the studies in no fold."""
    rows = pl.concat([read_parquet(folder / "holdout.parquet").select(_ROWS) for folder in folders])
    return rows.group_by("row_id", maintain_order=True).agg(pl.col(PROBABILITIES).mean())


def _require_cells(members: Sequence[Member], graded: pl.DataFrame) -> None:
    """Refuse members none of which predicts a condition at a level.

    Raises:
        DataError: there is such a condition and level.
    """
    cells = ["condition", "level"]
    found = pl.concat(
        [split_row_ids(each.predictions["row_id"], each.name).select(cells) for each in members]
    )
    missing = graded.select(cells).unique(maintain_order=True).join(found, on=cells, how="anti")
    if missing.height:
        condition, level = missing.row(0)
        raise DataError(
            f"{', '.join(each.name for each in members)}: none of them predicts {condition} at "
            f"{level}, expected a member for each condition and level of the ensemble; add one, or "
            "set labels.conditions and labels.levels"
        )
