"""An experiment's configuration: typed and frozen, with bounds for every setting."""

from typing import ClassVar, Self

from pydantic import model_validator

from lsdc.challenges.hemorrhage.config.augment import AugmentConfig
from lsdc.challenges.hemorrhage.config.loss import LossConfig
from lsdc.challenges.hemorrhage.config.model import ModelConfig
from lsdc.challenges.hemorrhage.config.sampling import SamplingConfig
from lsdc.challenges.hemorrhage.config.sequence import SequenceConfig
from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.config.split import SplitConfig
from lsdc.challenges.hemorrhage.config.tta import TtaConfig
from lsdc.experiments.base import BaseExperiment
from lsdc.training.settings.memory import MemorySettings
from lsdc.training.settings.training import TrainingSettings


class Experiment(BaseExperiment):
    """Everything that determines a result, except for the data, the seed and the folds."""

    memory: ClassVar[MemorySettings] = MemorySettings(("model.backbone", "slices.size_px"))

    split: SplitConfig = SplitConfig()
    slices: SlicesConfig = SlicesConfig()
    sampling: SamplingConfig = SamplingConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingSettings = TrainingSettings()
    sequence: SequenceConfig = SequenceConfig()
    tta: TtaConfig = TtaConfig()

    @property
    def channels(self) -> int:
        """The number of channels of the image of a slice."""
        shown = 1 if self.model.neighbour_weights else len(self.model.neighbours)
        return self.slices.channels * shown

    @property
    def pretrained_backbones(self) -> tuple[str, ...]:
        """The backbones that start from pretrained weights, by their names in timm."""
        return (self.model.backbone,) if self.model.pretrained else ()

    def has_effect(self, setting: str) -> bool:
        """Return whether a setting, by its dotted name, has an effect beside the others."""
        section, _, name = setting.partition(".")
        return section != "sequence" or self.sequence.has_effect(name)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sequence.kind != "none" and self.tta.has_views:
            raise ValueError(
                f"tta: the sequence model {self.sequence.kind!r} reads each slice as it is: "
                "expected no views, or sequence.kind 'none'"
            )
        single = self.training.batch_by == "sample" and self.training.batch_size == 1
        if "batch_norm" in self.model.head and single:
            raise ValueError(
                "model.head: 'batch_norm' cannot train on a single slice: expected 'layer_norm' "
                "instead, or training.batch_size above 1"
            )
        if self.needs.labels is not None:
            raise ValueError(
                "needs.labels: every slice has its labels: expected none, got "
                f"{self.needs.labels!r}"
            )
        if self.members:
            raise ValueError(
                "members: ensembles of this challenge are not built: expected none, got "
                f"{', '.join(self.members)}"
            )
        return self
