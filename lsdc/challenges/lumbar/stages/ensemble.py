"""Ensemble: the predictions of other experiments, made into one."""

import shutil
from collections.abc import Mapping, Sequence

from lsdc.challenges.lumbar.ensemble.fitted import FITTED, FOLDER
from lsdc.challenges.lumbar.ensemble.model import Ensemble, combine
from lsdc.challenges.lumbar.ensemble.trained import FILES, LabelledStudies, fit_trained
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.submission import MADE_OF, PREDICTED, PREDICTED_FILES, MadeOf
from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.challenges.lumbar.training.train_fold import RESULTS
from lsdc.errors import StageError
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import digest_file, write_atomic, write_folder
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.training.trained_fold import FACTS, read_trained
from tasks.identity import needed_run, training_command
from tasks.stage import stage

_LIBRARIES = ("numpy", "polars", "scikit-learn", "scipy")


def find_members(run: LumbarRun, folds: Manifest) -> dict[str, list[Manifest]]:
    """Return the trained folds of each member.

    Raises:
        StageError: a fold is missing, or was trained on another split.
    """
    split = digest_file(folds.file(run.root, "folds.parquet"))
    return {
        member: [_find_fold(run, member, fold, split) for fold in range(run.folds)]
        for member in run.experiment.members
    }


def _find_fold(run: LumbarRun, member: str, fold: int, split: str) -> Manifest:
    folder = run.home.fold(needed_run(run, member), fold)
    facts = read_trained(folder, "members")
    advice = f"run '{training_command(run, member)}' again"
    if facts["folds"] != split:
        raise StageError(
            f"{folder}: trained on another split, so that {member} may have seen studies that it "
            f"predicts here, expected the folds of this run; {advice}"
        )
    try:
        return make_manifest(
            run.root, "train", folder, rows=1, names=RESULTS, key=facts["identity"], notes=[FACTS]
        )
    except FileNotFoundError as error:
        raise StageError(f"{error.filename}: missing, expected a trained fold; {advice}") from error


def find_predictions(
    run: LumbarRun, members: Mapping[str, Sequence[Manifest]], test: Manifest
) -> dict[str, Manifest]:
    """Return the predictions of the test studies by each member.

    Raises:
        StageError: a member has not predicted these test studies with its present models.
    """
    found = {}
    for member, trained in members.items():
        folder = trained[0].folder(run.root).parent
        try:
            made_of = MadeOf.model_validate_json((folder / MADE_OF).read_bytes())
        except (OSError, ValueError):
            made_of = None
        if made_of != MadeOf.of(test, trained):
            raise StageError(
                f"{folder / PREDICTED}: not of the test studies in {run.data} by the present "
                f"models of {member}, which {run.experiment.name} combines; predict them first "
                f"with '{training_command(run, member)}', which trains nothing again"
            )
        found[member] = make_manifest(
            run.root, "predict", folder, rows=test.rows, names=PREDICTED_FILES
        )
    return found


@stage(
    "ensemble",
    code=("lsdc.challenges.lumbar.ensemble.trained", "lsdc.challenges.lumbar.training.labels"),
    libraries=_LIBRARIES,
    uses=lambda inputs: inputs["run"].parts("name", "members", "ensemble", "labels"),
    run_name="ensemble",
    timeout_hours=12,
)
def fit_ensemble(
    run: LumbarRun, folds: Manifest, members: Mapping[str, Sequence[Manifest]]
) -> Manifest:
    """Combine the members' predictions out of fold, and fit what combines those of new studies."""
    labels, held_out = (
        read_parquet(folds.file(run.root, name)) for name in ("labels.parquet", "holdout.parquet")
    )
    studies = LabelledStudies(
        labels=labels,
        graded=keep_graded(labels, run.experiment.labels),
        folds=read_parquet(folds.file(run.root, "folds.parquet")),
        held_out=keep_graded(held_out, run.experiment.labels),
    )
    folders = {name: [fold.folder(run.root) for fold in own] for name, own in members.items()}
    target = run.folder / FOLDER
    with write_folder(run.folder) as out:
        rows = fit_trained(run.experiment.ensemble, folders, studies, out)
        shutil.rmtree(target, ignore_errors=True)
        out.rename(target)
    return make_manifest(run.root, "ensemble", target, rows=rows, names=FILES)


@stage(
    "predict",
    code=(
        "lsdc.challenges.lumbar.ensemble.fitted",
        "lsdc.challenges.lumbar.ensemble.model",
        "lsdc.challenges.lumbar.training.labels",
    ),
    libraries=_LIBRARIES,
    uses=lambda inputs: inputs["run"].parts("name", "members", "labels"),
    run_name="predict",
    timeout_hours=1,
)
def combine_predictions(
    run: LumbarRun, ensemble: Manifest, predictions: Mapping[str, Manifest]
) -> Manifest:
    """Combine the members' predictions of the test studies."""
    out = run.folder / "predictions.parquet"
    fitted = Ensemble.load(run.at_home(ensemble).file(run.root, FITTED))
    tables = {name: run.table(own, "predictions") for name, own in predictions.items()}
    rows = keep_graded(combine(fitted, tables), run.experiment.labels)
    with write_atomic(out) as temporary:
        rows.write_parquet(temporary)
    return make_manifest(run.root, "predict", run.folder, rows=rows.height, names=[out.name])
