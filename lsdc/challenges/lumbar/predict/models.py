"""The models of a finished run, and all else that a prediction needs from the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.loss import LabelsConfig
from lsdc.challenges.lumbar.coordinates.learn import USUAL
from lsdc.challenges.lumbar.ensemble.fitted import FITTED, FOLDER, FittedOn
from lsdc.challenges.lumbar.ensemble.model import Ensemble, combine
from lsdc.challenges.lumbar.results import RunResults, load_run
from lsdc.challenges.lumbar.scoring.prior import prior_table
from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.errors import DataError
from lsdc.store.files import digest_file
from lsdc.training.trained_fold import FACTS, WEIGHTS


@dataclass(frozen=True)
class TrainedModels:
    """What a prediction needs from a run: weights, settings and the prior.

    Attributes:
        name: the name of the run.
        experiment: the settings of the run.
        folds: the number of each fold that was trained, with the folder of its weights.
        points: the folder of the models that find the level points, and of their `usual.json`.
        prior: the weighted prior of the training labels: condition, level, three probabilities.
    """

    name: str
    experiment: Experiment
    folds: dict[int, Path]
    points: Path
    prior: pl.DataFrame

    @property
    def each(self) -> "tuple[TrainedModels, ...]":
        """The models that find levels and cut crops in the same way: all of them."""
        return (self,)

    def join(self, predictions: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Return the predictions, those of the run."""
        (own,) = predictions
        return own

    def join_folds(self, by_fold: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Return the predictions of each fold, those of the run."""
        (own,) = by_fold
        return own


@dataclass(frozen=True)
class EnsembleModels:
    """What a prediction needs from an ensemble: its members' models, and what joins them.

    Attributes:
        name: the name of the run.
        members: the models of each member, in the order of the ensemble.
        ensemble: it makes one prediction of the members'.
        labels: the conditions and levels that it predicts.
        prior: as in `TrainedModels`.
    """

    name: str
    members: Mapping[str, TrainedModels]
    ensemble: Ensemble
    labels: LabelsConfig
    prior: pl.DataFrame

    @property
    def folds(self) -> dict[str, Path]:
        """The folders of all members' folds, by the names of member and fold."""
        return {
            f"{name} {fold}": folder
            for name, own in self.members.items()
            for fold, folder in own.folds.items()
        }

    @property
    def each(self) -> tuple[TrainedModels, ...]:
        """The models that find levels and cut crops in the same way: those of each member."""
        return tuple(self.members.values())

    def join(self, predictions: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Return one prediction of each row, of the members' in their order.

        Args:
            predictions: row_id and the three probabilities of each member; may be empty.

        Returns:
            row_id, study_id, condition, level and the three probabilities.
        """
        named = dict(zip(self.members, predictions, strict=True))
        return keep_graded(combine(self.ensemble, named), self.labels)

    def join_folds(self, by_fold: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Return the predictions of each fold of each member; `fold` then names both."""
        named = [
            own.with_columns(fold=pl.format("{} {}", pl.lit(name), "fold"))
            for name, own in zip(self.members, by_fold, strict=True)
            if len(own)
        ]
        return keep_graded(pl.concat(named), self.labels) if named else pl.DataFrame()


Models = TrainedModels | EnsembleModels


def models_of_run(home: Path, name: str) -> Models:
    """Find the models of a run, or of the members of an ensemble.

    Args:
        home: the home of the run.
        name: the name of the run.

    Raises:
        DataError: there is no home, or the run lacks something that predictions need.
        SettingsError: there is no such run.
    """
    run = load_run(home, name)
    return _members_of(run, home) if run.experiment.members else _own_models(run)


def _own_models(run: RunResults) -> TrainedModels:
    folds = {fold: run.folder / f"fold-{fold}" for fold in run.trained_folds}
    lacking = [fold for fold, folder in folds.items() if not (folder / WEIGHTS).is_file()]
    if lacking:
        raise DataError(
            f"run {run.name}: no {WEIGHTS} in {', '.join(str(folds[fold]) for fold in lacking)}, "
            "expected the weights of every scored fold; run the same command again"
        )
    return TrainedModels(run.name, run.experiment, folds, _points_of(run), prior_table(run.labels))


def _members_of(run: RunResults, home: Path) -> EnsembleModels:
    """Find the members' models.

    Raises:
        DataError: the ensemble was not fitted, or a member was trained again since.
    """
    fitted = run.folder / FOLDER
    made_of = FittedOn.load(fitted / FACTS)
    members = {}
    for member, name in made_of.runs.items():
        found = _own_models(load_run(home, name))
        now = {fold: digest_file(folder / WEIGHTS) for fold, folder in found.folds.items()}
        if now != dict(made_of.models[member]):
            raise DataError(
                f"run {run.name}: its member runs/{name} was trained again since, expected the "
                "models that it was fitted to; run the same command again"
            )
        members[member] = found
    return EnsembleModels(
        run.name,
        members,
        Ensemble.load(fitted / FITTED),
        run.experiment.labels,
        prior_table(run.labels),
    )


def _points_of(run: RunResults) -> Path:
    """Return the folder of the run's point models.

    Raises:
        DataError: the run has none, as if its points came from annotations only.
    """
    try:
        folder = run.point_models
    except DataError as error:
        raise DataError(
            f"run {run.name}: no result of the stage coordinates with {USUAL}, so the run lacks "
            "the models that find the level points on studies without annotations; run the same "
            "command again"
        ) from error
    if not any(folder.glob("fold-*-*.safetensors")):
        raise DataError(
            f"{folder}: no fold-K-VIEWS.safetensors, so run {run.name} lacks the models that find "
            "the level points on studies without annotations (its points came from annotations "
            "only); delete this folder and run the same command again"
        )
    return folder
