"""Prediction and submission: process the test set with the same code, for every row id."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.scoring.submission import write_submission
from lsdc.challenges.lumbar.training.predict import PredictJob
from lsdc.jobs.predict import predict
from lsdc.store.files import digest_file, write_text
from lsdc.store.fingerprint import fingerprint_libraries
from lsdc.store.manifest import Manifest, make_manifest
from lsdc.training.trained_fold import WEIGHTS
from tasks.former import SUBMISSION_FILES, keeping_submission
from tasks.progress import event_callback
from tasks.stage import stage

PREDICTED, MADE_OF = PREDICTED_FILES = "predictions.parquet", "predicted.json"


class MadeOf(BaseModel):
    """What the predictions of the test studies were made of, `predicted.json`.

    Attributes:
        test: digest of the index of the test studies.
        models: digest of each fold's weights.
    """

    model_config = ConfigDict(frozen=True)

    test: str
    models: tuple[str, ...]

    @classmethod
    def of(cls, index: Manifest, trained: Sequence[Manifest]) -> "MadeOf":
        """Describe predictions of these test studies by these folds."""
        files = [file for fold in trained for file in fold.files if file.name == WEIGHTS]
        return cls(test=index.digest, models=tuple(file.digest for file in files))


@stage(
    "predict",
    code=("lsdc.challenges.lumbar.training.predict",),
    libraries=("numpy", "timm", "torch"),
    uses=lambda inputs: {
        **inputs["run"].parts("name", "slices", "crops", "model", "labels", "loss", "tta"),
        "precision": inputs["run"].experiment.training.precision,
        "libraries": fingerprint_libraries(inputs["run"].experiment.libraries),
    },
    run_name="predict",
    timeout_hours=12,
    retries=1,
)
def predict_test(
    run: LumbarRun, index: Manifest, crops: Manifest, trained: Sequence[Manifest]
) -> Manifest:
    """Predict the test studies by the mean over the folds' models."""
    out = run.folder
    job = PredictJob(
        experiment=run.experiment,
        models=tuple(run.at_home(fold).folder(run.root) for fold in trained),
        crops=crops.folder(run.root),
        out=out / PREDICTED,
        device=run.device,
        threads=run.threads,
    )
    predict(job, log=run.home.logs / "children.log", on_event=event_callback("predict"))
    write_text(out / MADE_OF, MadeOf.of(index, trained).model_dump_json(indent=1) + "\n")
    return make_manifest(run.root, "predict", out, rows=crops.rows, names=PREDICTED_FILES)


@stage(
    "submission",
    code=("lsdc.challenges.lumbar.scoring.submission", "lsdc.challenges.lumbar.competition.tables"),
    libraries=("polars",),
    uses=lambda inputs: {
        "name": inputs["run"].experiment.name,
        "row_ids": digest_file(inputs["run"].data / "sample_submission.csv"),
    },
    run_name="submission",
    timeout_hours=1,
)
def assemble_submission(run: LumbarRun, folds: Manifest, predictions: Manifest) -> Manifest:
    """Write the submission, with one row for every row id of the sample submission."""
    out = run.folder
    with keeping_submission(out):
        rows = write_submission(
            run.table(run.at_home(predictions), "predictions"),
            open_competition(run.data).row_ids,
            run.table(folds, "labels"),
            out / "submission.csv",
        )
    return make_manifest(run.root, "submission", out, rows=rows, names=SUBMISSION_FILES)
