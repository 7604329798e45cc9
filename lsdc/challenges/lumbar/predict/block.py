"""A block: some studies, from their images to crops, by the code of a run's stages."""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.coordinates.learn import locate_points
from lsdc.challenges.lumbar.coordinates.moves import moved_back
from lsdc.challenges.lumbar.crops.cut import cut_shard
from lsdc.challenges.lumbar.crops.frames import without_frames
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.sources import Studies
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_atomic

BY_MODEL = "points_by_model"
# The tables that later steps read, each in NAME.parquet.
TABLES = ("points", "landmarks", "spines", "moves", "slices", BY_MODEL)


@dataclass(frozen=True)
class Prepared:
    """A block whose crops are cut.

    Attributes:
        studies: the studies, their series and the files that cannot be used, those whose pixels
            cannot be read included.
        folder: a folder with `instances.parquet`, `TABLES`, and `crops.npy` with `samples.parquet`;
            it lacks all but the first if there is no image to use.
    """

    studies: Studies
    folder: Path

    @property
    def has_crops(self) -> bool:
        """Whether there is any sample."""
        return (self.folder / "crops.npy").is_file()

    def table(self, name: str) -> pl.DataFrame:
        """Return one of `TABLES`; without columns if there is no image to use."""
        path = self.folder / f"{name}.parquet"
        return read_parquet(path) if path.is_file() else pl.DataFrame()


def prepare(studies: Studies, models: TrainedModels, folder: Path, at: Workplace) -> Prepared:
    """Find the levels of some studies and cut their crops, as the stages of a run do.

    Args:
        studies: the studies.
        models: the models of the run.
        folder: a folder that does not exist yet, for the tables and crops.
        at: the workplace.

    Raises:
        StageError: a child process died.
    """
    folder.mkdir()
    with write_atomic(folder / "instances.parquet") as temporary:
        studies.instances.write_parquet(temporary)
    if not studies.instances["used_as"].count():
        return Prepared(studies, folder)
    unreadable = locate_points(
        instances=studies.instances,
        models=models.points,
        out=folder,
        device=at.device,
        threads=at.threads,
        processes=at.threads,
        log=at.log,
        on_event=at.on_event,
        by_model=folder / f"{BY_MODEL}.parquet",
    )
    points, landmarks, moves = (
        read_parquet(folder / f"{name}.parquet") for name in ("points", "landmarks", "moves")
    )
    instances = moved_back(studies.instances, moves)
    measure_offsets(instances, points, None, folder, landmarks=landmarks)
    choice, config = without_frames(models.experiment.slices, models.experiment.crops)
    cut_shard(
        instances,
        read_parquet(folder / "slices.parquet"),
        choice,
        config,
        folder,
        landmarks=landmarks,
        processes=at.threads,
    )
    bad = [unreadable, read_parquet(folder / "quarantine.parquet")]
    return Prepared(_with_unreadable(studies, bad), folder)


def _with_unreadable(studies: Studies, bad: list[pl.DataFrame]) -> Studies:
    """Add the files whose pixels cannot be read, each once, with their ids."""
    ids = ["study_id", "series_id", "instance_number"]
    own = studies.instances.select("path", *ids).unique("path", keep="first")
    unread = (
        pl.concat(bad)
        .unique("path", keep="first", maintain_order=True)
        .drop(ids)
        .join(own, on="path", how="left", maintain_order="left")
        .select(Quarantine.column_names())
    )
    quarantine = pl.concat([studies.quarantine, unread])
    return replace(studies, quarantine=quarantine)
