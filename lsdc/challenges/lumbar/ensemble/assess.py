"""What an ensemble scores, what each member scores, and what each adds: with paired intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.competition.row_ids import row_id
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.grid import grades_grid, predictions_grid, predictions_table
from lsdc.challenges.lumbar.ensemble.members import Member, require_rows
from lsdc.challenges.lumbar.ensemble.model import Ensemble, cross_fit
from lsdc.challenges.lumbar.scoring.compared import compare
from lsdc.challenges.lumbar.scoring.scored import Scored, scored
from lsdc.errors import SettingsError
from lsdc.tables.resampling import Difference, Interval


@dataclass(frozen=True)
class Assessed:
    """Scored predictions, with an interval for the score and each part; None without rows."""

    scored: Scored
    intervals: Mapping[str, Interval | None]


@dataclass(frozen=True)
class MemberScore:
    """What a member scores, and what it adds to the ensemble.

    Attributes:
        own: its own predictions; None if it has no labelled row.
        adds: the score without it minus the score with it, on the rows that the others have;
            above zero, the ensemble is better with it. None if the others have none.
    """

    name: str
    own: Assessed | None
    adds: Difference | None


@dataclass(frozen=True)
class Assessment:
    """An ensemble's predictions, and how good they are.

    Attributes:
        predictions: row_id and the three probabilities, also of rows without a grade.
        ensemble: the ensemble.
        mean: the plain mean of the members.
        gain: the score of the mean minus that of the ensemble.
        members: each member.
    """

    predictions: pl.DataFrame
    ensemble: Assessed
    mean: Assessed
    gain: Difference
    members: tuple[MemberScore, ...]


def predict(
    config: EnsembleConfig,
    members: Sequence[Member],
    labels: pl.DataFrame,
    folds: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return the ensemble's predictions of the members' rows; none of a fold's labels is used.

    Args:
        config: how they are made.
        members: predictions by models that were not trained on what they predict.
        labels: study_id, condition, level, grade.
        folds: study_id, fold of each study with a grade; only needed if something is fitted.

    Returns:
        row_id and the three probabilities, in the labels' order of studies.

    Raises:
        SettingsError: something is fitted, and there are no folds.
    """
    studies = labels["study_id"].unique(maintain_order=True)
    names = [each.name for each in members]
    values = np.stack([predictions_grid(each.predictions, studies) for each in members])
    grades = grades_grid(labels, studies)
    if not config.is_fitted:
        found = Ensemble.fit(config, names, values, grades).predict(values)
    elif folds is None:
        raise SettingsError(
            "ensemble: no folds, expected the fold of each study, as something is fitted to "
            "labels; give them"
        )
    else:
        dealt = studies.to_frame().join(folds, on="study_id", how="left", maintain_order="left")
        # A study without a fold has no grade, so all folds may judge it: it is one more fold.
        fold = dealt["fold"].cast(pl.Int64).fill_null(-1).to_numpy()
        found = cross_fit(config, names, values, grades, fold)
    return predictions_table(found, studies)


def assess(
    config: EnsembleConfig,
    members: Sequence[Member],
    labels: pl.DataFrame,
    folds: pl.DataFrame | None,
) -> Assessment:
    """Make an ensemble and score it, each member, and the ensemble without each member.

    Args:
        config: how it is made.
        members: predictions by models that were not trained on what they predict.
        labels: study_id, condition, level, grade.
        folds: study_id, fold; only needed if something is fitted.

    Raises:
        DataError: a labelled row is predicted by no member.
        SettingsError: as `predict`.
    """
    require_rows(members, labels)
    predictions = predict(config, members, labels, folds)
    ensemble = scored("ensemble", labels, predictions)
    mean = scored("mean", labels, predict(EnsembleConfig(), members, labels, None))
    both = compare([ensemble, mean])
    return Assessment(
        predictions=predictions,
        ensemble=Assessed(ensemble, both.intervals[0]),
        mean=Assessed(mean, both.intervals[1]),
        gain=both.differences[0]["score"],
        members=tuple(_judge(config, members, each, labels, folds, ensemble) for each in members),
    )


def _judge(
    config: EnsembleConfig,
    members: Sequence[Member],
    member: Member,
    labels: pl.DataFrame,
    folds: pl.DataFrame | None,
    ensemble: Scored,
) -> MemberScore:
    own = _scored(member.name, member.predictions, labels)
    assessed = None if own is None else Assessed(own, compare([own]).intervals[0])
    others = [each for each in members if each is not member]
    if not others:
        return MemberScore(member.name, assessed, None)
    without = _scored("the others", predict(config, others, labels, folds), labels)
    if without is None:
        return MemberScore(member.name, assessed, None)
    adds = compare([ensemble, without]).differences[0]["score"]
    return MemberScore(member.name, assessed, adds)


def _scored(name: str, predictions: pl.DataFrame, labels: pl.DataFrame) -> Scored | None:
    """Score the labelled rows that are predicted; None if there are none."""
    rows = labels.with_columns(row_id()).join(
        predictions, on="row_id", how="semi", maintain_order="left"
    )
    return scored(name, rows.drop("row_id"), predictions) if rows["grade"].count() else None
