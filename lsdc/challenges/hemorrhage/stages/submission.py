"""Prediction and submission: process the test set with the same code, for every row id."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.competition.tables import sample_submission, wanted_rows
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.scoring.submission import FILLED, write_submission
from lsdc.challenges.hemorrhage.training.predict import PredictJob
from lsdc.jobs.predict import predict
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from tasks.former import SUBMISSION_FILES, keeping_submission
from tasks.progress import event_callback
from tasks.stage import stage

PREDICTED = "predictions.parquet"


@stage(
    "predict",
    code=("lsdc.challenges.hemorrhage.training.predict",),
    libraries=("numpy", "timm", "torch"),
    uses=lambda inputs: {
        **inputs["run"].parts("name", "slices", "model", "loss", "sequence", "tta"),
        "precision": inputs["run"].experiment.training.precision,
    },
    run_name="predict",
    timeout_hours=24,
    retries=1,
)
def predict_test(
    run: HemorrhageRun,
    slices: Manifest,
    trained: Sequence[Manifest],
    sequences: Sequence[Manifest],
) -> Manifest:
    """Predict the test images by the mean over the folds' models."""
    out = run.folder
    job = PredictJob(
        experiment=run.experiment,
        models=tuple(run.at_home(fold).folder(run.root) for fold in trained),
        sequences=tuple(run.at_home(each).folder(run.root) for each in sequences),
        slices=slices.folder(run.root),
        out=out / PREDICTED,
        device=run.device,
        threads=run.threads,
    )
    predict(job, log=run.home.logs / "children.log", on_event=event_callback("predict"))
    return make_manifest(run.root, "predict", out, rows=slices.rows, names=[PREDICTED])


@stage(
    "submission",
    code=(
        "lsdc.challenges.hemorrhage.scoring.submission",
        "lsdc.challenges.hemorrhage.competition.tables",
    ),
    libraries=("polars",),
    uses=lambda inputs: {
        "name": inputs["run"].experiment.name,
        "row_ids": digest_file(sample_submission(inputs["run"].data)),
    },
    run_name="submission",
    timeout_hours=1,
)
def assemble_submission(
    run: HemorrhageRun, index: Manifest, folds: Manifest, predictions: Manifest
) -> Manifest:
    """Write the submission, with one row for every row id of the sample submission."""
    out = run.folder
    with keeping_submission(out):
        rows = write_submission(
            run.table(run.at_home(predictions), "predictions"),
            wanted_rows(run.data),
            run.table(index, "images"),
            run.table(folds, "labels"),
            out / SUBMISSION_FILES[0],
        )
    names = [*SUBMISSION_FILES, FILLED]
    return make_manifest(run.root, "submission", out, rows=rows, names=names)
