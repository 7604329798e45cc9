"""An experiment's configuration: typed, frozen, every setting with its bounds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """A frozen part of an experiment; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CoordinatesConfig(Config):
    """Where level points come from, and the small network that learns them."""

    source: Literal["predicted", "annotated"] = Field(
        default="predicted",
        description="of training studies' points; test studies have predicted ones alone",
    )
    image_size: int = Field(default=96, ge=32, description="side of the square the net sees, px")
    field_mm: float = Field(
        default=256.0, gt=0, description="side of that square; a larger image gets a larger one"
    )
    width: int = Field(default=16, ge=4, description="channels of the net's first layer")
    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=8, ge=1, description="series a step")
    slices_per_series: int = Field(default=3, ge=1, description="slices of a series seen a step")
    learning_rate: float = Field(default=2e-3, gt=0)


class SlicesConfig(Config):
    """Which slices a level gets.

    A level has `2 * (2 * side_slices + middle_slices) + axial_slices` slices: T1 then T2, each from
    the patient's left to the right, then the axial ones from top to bottom.
    """

    side_slices: int = Field(default=3, ge=0)
    middle_slices: int = Field(default=5, ge=1)
    axial_slices: int = Field(default=3, ge=0)
    side_distance_mm: float = Field(
        default=17.0, gt=0, description="foramina lie 16 to 18 mm beside the canal"
    )
    side_tolerance_mm: float = Field(
        default=9.0, gt=0, description="a side slice farther from side_distance_mm is masked"
    )
    middle_tolerance_mm: float = Field(
        default=14.0, gt=0, description="a middle slice farther from the canal is masked"
    )
    axial_tolerance_mm: float = Field(
        default=12.0, gt=0, description="an axial slice farther from the level point is masked"
    )

    @property
    def sagittal_slices(self) -> int:
        """Slices of one sagittal series."""
        return 2 * self.side_slices + self.middle_slices

    @property
    def count(self) -> int:
        """Slices of a sample."""
        return 2 * self.sagittal_slices + self.axial_slices


class CropsConfig(Config):
    """What is cut out of a level's slices."""

    sagittal_window: float = Field(
        default=0.12, gt=0, le=1, description="of the image's longer side"
    )
    axial_window: float = Field(default=0.35, gt=0, le=1, description="of the image's longer side")
    size_px: int = Field(default=128, ge=16)


class ModelConfig(Config):
    """A timm backbone a slice, an LSTM over the slices, attention, one head a condition."""

    backbone: str = "tf_efficientnetv2_s.in21k_ft_in1k"
    pretrained: bool = True
    lstm_width: int = Field(default=256, ge=8)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class AugmentConfig(Config):
    """Probabilities of what happens to a training sample, the same for all slices of it.

    `mirror` exchanges left and right as a whole: labels, slice order and axial images together.
    No other flip along the patient's left-right axis exists.
    """

    mirror: float = Field(default=0.0, ge=0, le=1)
    shift_scale_rotate: float = Field(default=0.0, ge=0, le=1)
    brightness_contrast: float = Field(default=0.7, ge=0, le=1)
    blur: float = Field(default=0.2, ge=0, le=1)
    noise: float = Field(default=0.2, ge=0, le=1)
    distortion: float = Field(default=0.2, ge=0, le=1)
    cutout: float = Field(default=0.5, ge=0, le=1)


class TrainingConfig(Config):
    """How a fold is trained."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=4e-4, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup: float = Field(default=0.2, ge=0, lt=1, description="of all steps")
    grade_weights: tuple[float, float, float] = (1.0, 2.0, 4.0)
    precision: Literal["float32", "bfloat16"] = "float32"
    keep: Literal["last", "best"] = Field(
        default="last", description="'best' chooses by the scored fold and marks scores as selected"
    )
    stall_minutes: float = Field(default=15.0, gt=0, description="no line for so long is a stall")


class Experiment(Config):
    """Everything that shapes a result, the data, the seed and the folds apart."""

    name: str
    based_on: str | None = None
    note: str = ""
    coordinates: CoordinatesConfig = CoordinatesConfig()
    slices: SlicesConfig = SlicesConfig()
    crops: CropsConfig = CropsConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    training: TrainingConfig = TrainingConfig()
