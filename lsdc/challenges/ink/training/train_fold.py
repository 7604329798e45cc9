"""The training of one fold's network."""

from pathlib import Path
from typing import ClassVar

from lsdc.challenges.ink.config.experiment import Experiment
from lsdc.jobs.fold import BaseFoldJob


class FoldJob(BaseFoldJob):
    """The training of one fold's network; see `lsdc.jobs.fold.train_fold`.

    It predicts nothing: maps are made of tiles that overlap, by `inference`.

    Attributes:
        experiment: the experiment to train.
        volumes: the folder of the prepared fragments.
        regions: the Parquet file of all regions.
    """

    child: ClassVar[str] = "lsdc.challenges.ink.training.train_fold_child"
    predicted: ClassVar[tuple[str, ...]] = ()

    experiment: Experiment
    volumes: Path
    regions: Path
