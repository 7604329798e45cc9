"""Cut crops as the stage does, in one shard."""

import tempfile
from pathlib import Path

import polars as pl

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.crops.cut import cut_shard, join_crops
from lsdc.dicom_index.quarantine import count_files


def cut_crops(
    instances: pl.DataFrame,
    slices: pl.DataFrame,
    choice: SlicesConfig,
    config: CropsConfig,
    out: Path,
    *,
    landmarks: pl.DataFrame | None = None,
    processes: int = 2,
) -> int:
    """Write the crops of all studies into a folder; return the number of samples."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as name:
        shard = Path(name)
        cut_shard(
            instances, slices, choice, config, shard, landmarks=landmarks, processes=processes
        )
        return join_crops([shard], out, files=count_files(instances))
