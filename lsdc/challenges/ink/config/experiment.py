"""An experiment's configuration: typed and frozen, with bounds for every setting."""

from typing import ClassVar, Self

from pydantic import model_validator

from lsdc.challenges.ink.config.augment import AugmentConfig
from lsdc.challenges.ink.config.inference import InferenceConfig
from lsdc.challenges.ink.config.loss import LossConfig
from lsdc.challenges.ink.config.mask import MaskConfig
from lsdc.challenges.ink.config.model import ModelConfig
from lsdc.challenges.ink.config.sampling import SamplingConfig
from lsdc.challenges.ink.config.split import SplitConfig
from lsdc.challenges.ink.config.tiles import TilesConfig
from lsdc.challenges.ink.config.volume import VolumeConfig
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.metric import Metric
from lsdc.training.settings.memory import MemorySettings
from lsdc.training.settings.training import TrainingSettings


class Experiment(BaseExperiment):
    """Everything that determines a result, except for the data, the seed and the folds."""

    metric: ClassVar[Metric] = Metric("F0.5", "F0.5", higher_is_better=True, prior="whole mask")
    memory: ClassVar[MemorySettings] = MemorySettings(("model.backbone", "tiles.size_px"))

    volume: VolumeConfig = VolumeConfig()
    split: SplitConfig = SplitConfig()
    tiles: TilesConfig = TilesConfig()
    sampling: SamplingConfig = SamplingConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingSettings = TrainingSettings()
    inference: InferenceConfig = InferenceConfig()
    mask: MaskConfig = MaskConfig()

    @property
    def gap_px(self) -> int:
        """Pixels between what a fold holds out and what it trains on, in the same fragment."""
        return self.tiles.size_px if self.split.gap_px is None else self.split.gap_px

    @property
    def stride_px(self) -> int:
        """The step of the grid of tiles that are predicted."""
        return self.inference.stride_px or self.tiles.size_px // 2

    @property
    def tta(self) -> InferenceConfig:
        """The views whose predictions are averaged, on which no weight depends."""
        return self.inference

    @property
    def pretrained_backbones(self) -> tuple[str, ...]:
        """The backbones that start from pretrained weights, by their names in timm."""
        of_timm = self.model.pretrained and self.model.encoder == "groups"
        return (self.model.backbone,) if of_timm else ()

    @model_validator(mode="after")
    def _check_tiles(self) -> Self:
        kept = self.tiles.size_px - 2 * self.inference.edge_px
        if self.stride_px > kept:
            raise ValueError(
                f"inference.stride_px {self.stride_px}: tiles of {self.tiles.size_px} px without "
                f"edges of {self.inference.edge_px} px leave gaps; expected at most {max(kept, 1)}"
            )
        if self.training.batch_by != "sample":
            raise ValueError("training.batch_by: expected 'sample': a tile belongs to no study")
        return self

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        tiles, augment = self.tiles, self.augment
        if tiles.end_layer > LAYERS:
            raise ValueError(
                f"tiles: {tiles.groups} groups of {tiles.group_layers} layers from layer "
                f"{tiles.first_layer} end at {tiles.end_layer}, expected at most {LAYERS}"
            )
        down, up = tiles.first_layer, LAYERS - tiles.end_layer
        where = (
            f"moves layers {tiles.first_layer} to {tiles.end_layer - 1} of a tile out of the "
            f"volume's layers 0 to {LAYERS - 1}: expected"
        )
        if augment.layer_shift and augment.layer_shift_layers > min(down, up):
            largest = f"at most {min(down, up)}, or " if min(down, up) else ""
            raise ValueError(
                f"augment.layer_shift_layers {augment.layer_shift_layers} {where} {largest}"
                "augment.layer_shift 0"
            )
        for shift in self.inference.layer_shifts:
            if not -down <= shift <= up:
                raise ValueError(f"inference.layer_shifts: {shift} {where} {-down} to {up}")
        return self

    @model_validator(mode="after")
    def _check_needs(self) -> Self:
        if self.needs.labels is not None:
            raise ValueError(
                "needs.labels: every pixel of a training fragment has its label: expected none, "
                f"got {self.needs.labels!r}"
            )
        if self.members:
            raise ValueError(
                "members: ensembles of this challenge are not built: expected none, got "
                f"{', '.join(self.members)}"
            )
        return self
