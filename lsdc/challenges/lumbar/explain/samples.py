"""The samples and heads that predict a condition, and their explanations by fold."""

from collections.abc import Collection

from lsdc.challenges.lumbar.explain.attention import SampleExplanation, explain_samples
from lsdc.challenges.lumbar.explain.trained import Sample, TrainedRun
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, Condition, Side
from lsdc.errors import DataError
from lsdc.training.process import OnEvent, ignore


def predicting(condition: Condition, *, by_side: bool) -> tuple[tuple[str | None, int], ...]:
    """Return the side of each sample that predicts a condition, and the head that does.

    With `by_side`, a sample of the right side is a mirror image, whose left heads predict the
    patient's right side, and both samples predict the canal. The first one returned explains it.
    """
    head = CONDITIONS.index(condition)
    if not by_side:
        return ((None, head),)
    if condition.side is None:
        return tuple((str(side), head) for side in Side)
    left = Condition(condition.mirrored) if condition.side == Side.RIGHT else condition
    return ((str(condition.side), CONDITIONS.index(left)),)


def explain_run(
    run: TrainedRun,
    samples: Collection[Sample],
    *,
    device: str = "auto",
    threads: int | None = None,
    on_event: OnEvent = ignore,
) -> dict[Sample, dict[int, SampleExplanation]]:
    """Explain samples by the folds that were not trained on them, one child process a split.

    Returns:
        For each sample, its explanations by fold.

    Raises:
        DataError: the run has no such sample, or not the model of its fold.
        StageError: the child process died.
    """
    explained: dict[Sample, dict[int, SampleExplanation]] = {each: {} for each in samples}
    for split in ("train", "test"):
        row_of = run.rows(split)
        # A study in both splits is explained as a training study.
        own = {each: row_of[each] for each in explained if each in row_of and not explained[each]}
        folds = {each: run.folds_for(each.study_id, split) for each in own}
        used = sorted({fold for some in folds.values() for fold in some})
        asked = {
            run.trained[fold]: [row for each, row in own.items() if fold in folds[each]]
            for fold in used
        }
        if asked:
            found = explain_samples(
                run.experiment,
                asked,
                crops=run.crops(split),
                split=split,
                log=run.home.logs / "children.log",
                device=device,
                threads=threads,
                on_event=on_event,
            )
            for each, row in own.items():
                explained[each] = {fold: found[run.trained[fold], row] for fold in folds[each]}
    for each, by_fold in explained.items():
        if not by_fold:
            raise _no_crops(run, each)
    return explained


def _no_crops(run: TrainedRun, sample: Sample) -> DataError:
    run.crops(run.gather(sample.study_id).split)  # raises if the study or all crops are missing
    return DataError(
        f"run {run.name}: study {sample.study_id} has no crops of {sample.level}, so no model saw "
        "that level; 'lsdc inspect' shows which levels it has"
    )
