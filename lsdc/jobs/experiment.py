"""The part of an experiment that is the same in every challenge that trains."""

from typing import ClassVar, Protocol

from lsdc.experiments.base import Config, NeedsConfig
from lsdc.training.settings.memory import MemorySettings
from lsdc.training.settings.training import TrainingSettings


class TrainedExperiment(Protocol):
    """An experiment of any challenge, as the jobs read it.

    Attributes:
        pretrained_backbones: see `lsdc.experiments.base.BaseExperiment`.
        memory: the settings that decide whether the model fits into memory.
        model: the settings of the model, other than what its input and its outputs are.
        tta: the views whose predictions are averaged, on which no weight depends.
    """

    memory: ClassVar[MemorySettings]

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> NeedsConfig: ...

    @property
    def pretrained_backbones(self) -> tuple[str, ...]: ...

    @property
    def model(self) -> Config: ...

    @property
    def training(self) -> TrainingSettings: ...

    @property
    def tta(self) -> Config: ...
