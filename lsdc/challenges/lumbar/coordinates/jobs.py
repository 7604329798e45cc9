"""Jobs of the coordinates stage's child process."""

from pathlib import Path
from typing import Any, Literal

from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.training.process import Job


class LocateJob(Job):
    """The fields that both jobs share.

    Attributes:
        work: a folder with a subfolder per family, which holds `images.npy` and `stacks.npz`
            (planes_mm, starts, keys, studies: the row of each stack's study, and series: the row
            of each slice's series).
        families: names of the families of views, in order.
        studies: number of studies.
        series: number of series, in order of precedence where views contradict each other.
        device: torch's device.
        threads: number of torch's threads.
        found: the `.npz` file to write the result to.
    """

    work: Path
    families: tuple[str, ...]
    studies: int
    series: int
    device: str
    threads: int
    found: Path


class LearnJob(LocateJob):
    """A job that trains a net per fold and family, and predicts the studies out of fold.

    `work` also holds `folds.npy` (by study); the families' folders hold `targets.npy` (by stack)
    and `taught.npy` (planes_mm for training). A fold's nets are trained on the other folds and
    predict the studies of their own fold and those in no fold.

    Attributes:
        config: the settings of the nets and their training.
        folds: the folds whose nets are trained.
        seed: random seed of the training.
        metadata: metadata of the nets' files, by family.
        models: the folder to write these files to.
    """

    kind: Literal["learn"] = "learn"
    config: CoordinatesConfig
    folds: tuple[int, ...]
    seed: int
    metadata: dict[str, dict[str, Any]]
    models: Path


class PredictPointsJob(LocateJob):
    """A job that predicts every study with trained nets.

    Attributes:
        models: for each model, the files of its nets by family.
    """

    kind: Literal["ask"] = "ask"
    models: tuple[dict[str, Path], ...]
