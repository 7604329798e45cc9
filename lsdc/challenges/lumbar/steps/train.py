"""The steps from crops to trained folds and their out-of-fold score."""

from collections.abc import Mapping

from lsdc.challenges.lumbar.run import LumbarRun, Pair
from lsdc.challenges.lumbar.stages.oof import score_oof, show_scores
from lsdc.challenges.lumbar.stages.training import train_fold, train_judge
from lsdc.challenges.lumbar.steps.prepare import STAGES, Prepared
from lsdc.store.manifest import Manifest
from tasks.common.trainings import (
    Train,
    find_trained,
    on_workers_or_here,
    train_in_parallel,
    training_of_fold,
    with_earlier_folds,
)
from tasks.dispatch import TrainingJob

Judges = Mapping[Pair, Manifest]


def train_and_score(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds, then score all trained folds out of fold."""

    def find(whole: LumbarRun, fold: int) -> Manifest | None:
        pairs = whole.judges_of(fold)
        judges = {pair: train_judge.find(whole, pair, *prepared.for_training) for pair in pairs}
        known = {pair: judge for pair, judge in judges.items() if judge}
        complete = len(known) == len(judges)
        return find_trained(fold_job(whole, prepared, fold, known)) if complete else None

    trained = with_earlier_folds(run, _train(run, prepared, on_workers_or_here(STAGES)), find)
    score_oof(run, prepared.folds, trained)
    show_scores(run)
    return trained


def train_here(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds in this flow run."""
    return _train(run, prepared, train_in_parallel)


def _train(run: LumbarRun, prepared: Prepared, train: Train) -> list[Manifest]:
    """Train the judges of the labels, which `labels.distrust` asks for, then the folds."""
    judges = dict(zip(run.judges, train(run, judge_jobs(run, prepared)), strict=True))
    return train(run, [fold_job(run, prepared, fold, judges) for fold in run.folds_to_train])


def judge_jobs(run: LumbarRun, prepared: Prepared) -> list[TrainingJob]:
    """Return the trainings of the judges."""
    return [
        TrainingJob(
            "train-judge/default",
            "judge {}-{}".format(*pair),
            train_judge,
            (run, pair, *prepared.for_training),
            {"pair": pair},
        )
        for pair in run.judges
    ]


def fold_job(run: LumbarRun, prepared: Prepared, fold: int, judges: Judges) -> TrainingJob:
    """Return the training of a fold."""
    own = [judges[pair] for pair in run.judges_of(fold)]
    return training_of_fold("fold", train_fold, run, fold, *prepared.for_training, own)
