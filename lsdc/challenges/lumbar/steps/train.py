"""The steps from crops to trained folds and their out-of-fold score."""

from collections.abc import Mapping

from lsdc.challenges.lumbar.run import LumbarRun, Pair
from lsdc.challenges.lumbar.stages.oof import score_oof, show_scores
from lsdc.challenges.lumbar.stages.training import train_fold, train_judge
from lsdc.challenges.lumbar.steps.prepare import STAGES, Prepared
from lsdc.store.manifest import Manifest
from tasks.common.trainings import dispatch, find_trained, train_in_parallel, with_earlier_folds
from tasks.dispatch import TrainingJob, trains_on_gpu_pool

Judges = Mapping[Pair, Manifest]


def train_and_score(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the requested folds, then score all trained folds out of fold."""

    def find(whole: LumbarRun, fold: int) -> Manifest | None:
        pairs = whole.judges_of(fold)
        judges = {pair: train_judge.find(whole, pair, *prepared.for_training) for pair in pairs}
        known = {pair: judge for pair, judge in judges.items() if judge}
        complete = len(known) == len(judges)
        return find_trained(fold_job(whole, prepared, fold, known)) if complete else None

    trained = with_earlier_folds(run, dispatch_folds(run, prepared), find)
    score_oof(run, prepared.folds, trained)
    show_scores(run)
    return trained


def dispatch_folds(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the folds in one run each on other workers, or here if there are none.

    With `labels.distrust`, the judges of the labels are trained first, likewise.
    """
    if not trains_on_gpu_pool():
        return train_here(run, prepared)
    judges = dict(zip(run.judges, dispatch(run, judge_jobs(run, prepared), STAGES), strict=True))
    return dispatch(run, fold_jobs(run, prepared, judges), STAGES)


def train_here(run: LumbarRun, prepared: Prepared) -> list[Manifest]:
    """Train the folds in this flow run, and before them the judges that are missing."""
    judges = dict(zip(run.judges, train_in_parallel(run, judge_jobs(run, prepared)), strict=True))
    return train_in_parallel(run, fold_jobs(run, prepared, judges))


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


def fold_jobs(run: LumbarRun, prepared: Prepared, judges: Judges) -> list[TrainingJob]:
    """Return the trainings of the requested folds."""
    return [fold_job(run, prepared, fold, judges) for fold in run.folds_to_train]


def fold_job(run: LumbarRun, prepared: Prepared, fold: int, judges: Judges) -> TrainingJob:
    """Return the training of a fold."""
    own = [judges[pair] for pair in run.judges_of(fold)]
    inputs = (run, fold, *prepared.for_training, own)
    return TrainingJob("train-fold/default", f"fold {fold}", train_fold, inputs, {"fold": fold})
