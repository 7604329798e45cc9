"""A block: some studies, from their images to probabilities, by the code of a run's stages."""

from pathlib import Path

import polars as pl

from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.sources import BAD, Studies
from lsdc.challenges.hemorrhage.slices.prepare import prepare_shard
from lsdc.challenges.hemorrhage.training.predict import PredictJob
from lsdc.jobs.predict import predict
from lsdc.messages import counted
from lsdc.predict.progress import Teller
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import read_parquet

# The tables of a block: its images, their predictions by the mean of the models and by each
# alone, and the results, which have the images that no model predicted as well.
IMAGES, MEAN, BY_FOLD, ROWS = "images.parquet", "mean.parquet", "by-fold.parquet", "rows.parquet"


def predict_block(
    studies: Studies, models: TrainedModels, folder: Path, at: Workplace, teller: Teller
) -> pl.DataFrame:
    """Prepare the slices of whole studies and predict them, as the stages of a run do.

    Args:
        studies: the studies.
        models: the models of the run.
        folder: a folder that does not exist yet, for the tables and `slices.npy`; without an image
            to use, it has only that of the images.
        at: the workplace.
        teller: of which step 0 is the preparation and step 1 the prediction.

    Returns:
        `sources.BAD` of the files whose pixels cannot be read.

    Raises:
        StageError: a child process died.
    """
    folder.mkdir()
    studies.images.write_parquet(folder / IMAGES)
    used = studies.images.filter(pl.col("left_out").is_null()).drop("left_out")
    if used.is_empty():
        return studies.quarantine.clear()

    def on_study(done: int, count: int) -> None:
        teller.share(done / count, f"{done} of {counted(count, 'study')}")

    slices = prepare_shard(
        used, models.experiment.slices, folder, processes=at.threads, on_progress=on_study
    )
    teller.step(1)
    if slices:
        _predict(models, folder, at)
    unreadable = read_parquet(folder / "quarantine.parquet", ["path", "stage", "reason"])
    return unreadable.join(used, on="path", maintain_order="left").select(BAD)


def read_predictions(folder: Path, name: str) -> pl.DataFrame:
    """Return `mean.parquet` or `by-fold.parquet` of a block; without columns if it has none."""
    path = folder / name
    return read_parquet(path) if path.is_file() else pl.DataFrame()


def _predict(models: TrainedModels, folder: Path, at: Workplace) -> None:
    job = PredictJob(
        experiment=models.experiment,
        models=tuple(models.folds.values()),
        sequences=tuple(models.sequences.values()),
        slices=folder,
        out=folder / MEAN,
        by_fold=folder / BY_FOLD,
        device=at.device,
        threads=at.threads,
    )
    predict(job, log=at.log, on_event=at.on_event)
    fold = pl.col("model").replace_strict(dict(enumerate(models.folds)), return_dtype=pl.Int32)
    by_fold = read_parquet(folder / BY_FOLD).with_columns(fold=fold).drop("model")
    by_fold.write_parquet(folder / BY_FOLD)
