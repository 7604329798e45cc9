"""What the coordinates stage's child process is asked for."""

from pathlib import Path
from typing import Any, Literal

from lsdc.challenges.lumbar.config.experiment import CoordinatesConfig
from lsdc.training.process import Job


class LocateJob(Job):
    """What both jobs name.

    Attributes:
        work: a folder with one of each family's name, which holds `images.npy` and `stacks.npz`
            (planes_mm, starts, keys, and whose they are: studies, the row of each stack's study,
            and series, the row of each slice's series).
        families: of views, in order.
        studies: how many there are.
        series: how many there are, in the order in which their word leads where views contradict
            each other.
        device: torch's.
        threads: torch's.
        found: the file for the result.
    """

    work: Path
    families: tuple[str, ...]
    studies: int
    series: int
    device: str
    threads: int
    found: Path


class LearnJob(LocateJob):
    """To train a net a fold and family, and to ask them for studies that they were not taught.

    `folds.npy` (by study) lies in `work`, `targets.npy` (by stack) and `taught.npy` (planes_mm as
    they are taught) in the families' folders. A fold's nets are trained on the other folds and
    asked for the studies of their fold and of no fold.

    Attributes:
        config: how nets are built and trained.
        folds: whose nets are trained.
        seed: of training.
        metadata: for the files of the nets, by family.
        models: the folder for these files.
    """

    kind: Literal["learn"] = "learn"
    config: CoordinatesConfig
    folds: tuple[int, ...]
    seed: int
    metadata: dict[str, dict[str, Any]]
    models: Path


class AskJob(LocateJob):
    """To ask trained nets for every study.

    Attributes:
        models: the files of the nets by family, for one model after the other.
    """

    kind: Literal["ask"] = "ask"
    models: tuple[dict[str, Path], ...]
