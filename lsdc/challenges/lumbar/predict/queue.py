"""The queue of crops: samples wait until they fill batches as they do in a run.

A batch of other samples changes the last bits of a prediction. So blocks of studies are predicted
in the same batches as all studies at once.
"""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.challenges.lumbar.training.predict import PredictJob
from lsdc.challenges.lumbar.vocabulary import Side
from lsdc.jobs.predict import predict
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_atomic
from lsdc.store.npy_file import join_files

_CROPS, _SAMPLES = "crops.npy", "samples.parquet"
_MEAN, _BY_FOLD = "mean.parquet", "by-fold.parquet"
_WAITING = "waiting-"


class SampleQueue:
    """Samples in the order of their studies, predicted in whole batches.

    Args:
        models: the models that predict.
        at: the workplace.
    """

    def __init__(self, models: TrainedModels, at: Workplace) -> None:
        self._models, self._at = models, at
        self._folder = at.folder / "queue"
        shutil.rmtree(self._folder, ignore_errors=True)  # of a process that was killed
        self._folder.mkdir()
        self._mean: list[pl.DataFrame] = []
        self._by_fold: list[pl.DataFrame] = []
        self._saved = 0  # parts of these two that are in a folder of `save`

    @property
    def predicted(self) -> pl.DataFrame:
        """The mean predictions so far, as `finish` returns them."""
        return pl.concat(self._mean) if self._mean else pl.DataFrame()

    def add(self, folder: Path) -> None:
        """Take the crops of a block."""
        waiting = self._folder / _SAMPLES
        if waiting.is_file():
            parts = [self._folder, folder]
            joined = self._folder / "joined.npy"
            samples = pl.concat([read_parquet(part / _SAMPLES) for part in parts])
            join_files([part / _CROPS for part in parts], joined)
            joined.replace(self._folder / _CROPS)
        else:
            samples = read_parquet(folder / _SAMPLES)
            (folder / _CROPS).replace(self._folder / _CROPS)
        samples = samples.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int32))
        self._write(keep_graded(samples, self._models.experiment.labels))

    def predict_whole(self) -> None:
        """Predict the samples that fill whole batches, and that are whole levels."""
        waiting = self._folder / _SAMPLES
        if waiting.is_file():
            experiment, samples = self._models.experiment, read_parquet(waiting)
            sides = len(Side) if experiment.crops.by_side else 1
            whole = math.lcm(experiment.training.batch_size, sides)
            if count := len(samples) // whole * whole:
                self._predict(samples.head(count))
                self._keep(samples.slice(count))

    def predict_rest(self) -> None:
        """Predict all samples that wait."""
        waiting = self._folder / _SAMPLES
        if waiting.is_file():
            self._predict(read_parquet(waiting))
            waiting.unlink()

    def save(self, folder: Path) -> None:
        """Write the predictions since the last call, and the samples that wait, into a folder."""
        for name, parts in ((_MEAN, self._mean), (_BY_FOLD, self._by_fold)):
            if new := parts[self._saved :]:
                pl.concat(new).write_parquet(folder / name)
        self._saved = len(self._mean)
        if (self._folder / _SAMPLES).is_file():
            for name in (_CROPS, _SAMPLES):
                shutil.copyfile(self._folder / name, folder / f"{_WAITING}{name}")

    def restore(self, folders: Sequence[Path]) -> None:
        """Take up, in a new queue, what `save` wrote into these folders one after the other."""
        for folder in folders:
            if (folder / _MEAN).is_file():
                self._mean.append(read_parquet(folder / _MEAN))
                self._by_fold.append(read_parquet(folder / _BY_FOLD))
        self._saved = len(self._mean)
        if folders and (folders[-1] / f"{_WAITING}{_SAMPLES}").is_file():
            for name in (_CROPS, _SAMPLES):
                shutil.copyfile(folders[-1] / f"{_WAITING}{name}", self._folder / name)

    def finish(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Predict all that is left; return all predictions: their mean, and those of each fold.

        Returns:
            row_id, study_id, condition, level and the three probabilities; the second table has
            `fold` as well. Both have no columns if there was no sample.
        """
        self.predict_rest()
        shutil.rmtree(self._folder)
        if not self._mean:
            return pl.DataFrame(), pl.DataFrame()
        return pl.concat(self._mean), pl.concat(self._by_fold)

    def _predict(self, samples: pl.DataFrame) -> None:
        if samples.is_empty():
            return
        self._write(samples)
        mean, by_fold = (self._at.folder / name for name in (_MEAN, _BY_FOLD))
        job = PredictJob(
            experiment=self._models.experiment,
            models=tuple(self._models.folds.values()),
            crops=self._folder,
            out=mean,
            by_fold=by_fold,
            device=self._at.device,
            threads=self._at.threads,
        )
        predict(job, log=self._at.log, on_event=self._at.on_event)
        folds = dict(enumerate(self._models.folds))
        self._mean.append(read_parquet(mean))
        fold = pl.col("model").replace_strict(folds, return_dtype=pl.Int32)
        self._by_fold.append(read_parquet(by_fold).with_columns(fold=fold).drop("model"))

    def _keep(self, rest: pl.DataFrame) -> None:
        """Keep the crops of the samples that are not predicted yet."""
        crops = np.load(self._folder / _CROPS, mmap_mode="r")[rest["row"].to_numpy()]
        with write_atomic(self._folder / _CROPS) as temporary:
            np.save(temporary, crops)
        self._write(rest.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int32)))

    def _write(self, samples: pl.DataFrame) -> None:
        with write_atomic(self._folder / _SAMPLES) as temporary:
            samples.write_parquet(temporary)
