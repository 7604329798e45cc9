"""Random crops and tables of an experiment, as the stages before training write them."""

from pathlib import Path

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.coordinates.errors import PointErrors
from lsdc.challenges.lumbar.crops.frames import ERRORS, FRAMES, frame_table, has_frames, write_frame
from lsdc.challenges.lumbar.slices.slots import list_places, list_stored, stored_places
from lsdc.challenges.lumbar.training.network import marked_places
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS, Condition


def write_random_fold(folder: Path, experiment: Experiment, studies: int, seed: int = 0) -> None:
    """Write crops of random pixels with random grades: `studies` to train fold 0 on, one in it."""
    random = np.random.default_rng(seed)
    ids = range(studies + 1)
    samples = pl.DataFrame({"study_id": ids}).join(
        pl.DataFrame({"level": [str(level) for level in LEVELS]}), how="cross"
    )
    places = list_places(experiment.slices)
    samples = samples.with_columns(
        row=pl.int_range(pl.len(), dtype=pl.Int32),
        split=pl.lit("train"),
        side=pl.lit(None, dtype=pl.String),
        mask=pl.lit([True] * len(places)),
    )
    _write_crops(folder, experiment, len(samples), random)
    samples.write_parquet(folder / "samples.parquet")
    conditions = pl.DataFrame({"condition": [str(condition) for condition in CONDITIONS]})
    labels = samples.select("row", "study_id", "level").join(conditions, how="cross")
    grades = pl.Series(random.integers(0, len(GRADES), len(labels)), dtype=pl.Int8)
    labels.drop("row").with_columns(grade=grades).write_parquet(folder / "labels.parquet")
    marked = {name: marked_places(name, places) for name in CONDITIONS}
    stored = stored_places(experiment.slices)
    marks = [stored[random.choice(marked[Condition(name)])] for name in labels["condition"]]
    labels.select("row", "condition", place=pl.Series(marks, dtype=pl.Int32)).write_parquet(
        folder / "marks.parquet"
    )
    folds = pl.DataFrame({"study_id": ids}).with_columns(
        fold=pl.when(pl.col("study_id") == 0).then(0).otherwise(1).cast(pl.Int32)
    )
    folds.write_parquet(folder / "folds.parquet")


def _write_crops(
    folder: Path, experiment: Experiment, count: int, random: np.random.Generator
) -> None:
    """Write crops.npy, with margins and spare slices if the experiment has them."""
    has_frame = has_frames(experiment.slices, experiment.crops)
    slots = len(list_stored(experiment.slices) if has_frame else list_places(experiment.slices))
    shape = (slots, *(experiment.crops.stored_shape if has_frame else experiment.crops.shape))
    crops = np.lib.format.open_memmap(
        folder / "crops.npy", mode="w+", dtype=np.uint8, shape=(count, *shape)
    )
    for row in range(count):
        crops[row] = np.frombuffer(random.bytes(int(np.prod(shape))), np.uint8).reshape(shape)
    crops.flush()
    if not has_frame:
        return
    kept = np.ones((count, slots), dtype=bool)
    pixels_mm = np.full((count, slots, 2), 0.4, dtype=np.float32)
    frame_table(kept, pixels_mm).write_parquet(folder / FRAMES)
    write_frame(experiment.slices, experiment.crops, folder)
    errors = [
        (study, str(condition), str(LEVELS[0]), *random.normal(0, 2, 5))
        for study in range(count // len(LEVELS))
        for condition in CONDITIONS
    ]
    table = pl.DataFrame(errors, schema=pl.Schema(PointErrors), orient="row")
    table.write_parquet(folder / ERRORS)


def job_of(
    folder: Path, experiment: Experiment, out: Path, *, device: str, threads: int, workers: int = 0
) -> FoldJob:
    """Return the job to train fold 0 of what `write_random_fold` wrote."""
    return FoldJob(
        experiment=experiment,
        fold=0,
        crops=folder,
        labels=folder / "labels.parquet",
        folds=folder / "folds.parquet",
        marks=folder / "marks.parquet" if experiment.loss.slice_weight else None,
        out=out,
        identity="benchmark",
        seed=0,
        device=device,
        threads=threads,
        workers=workers,
    )
