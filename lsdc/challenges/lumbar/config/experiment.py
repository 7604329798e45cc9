"""An experiment's configuration: typed and frozen, with bounds for every setting."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.challenges.lumbar.config.augment import AugmentConfig
from lsdc.challenges.lumbar.config.loss import LabelsConfig, LossConfig
from lsdc.challenges.lumbar.config.model import ModelConfig
from lsdc.experiments.base import BaseExperiment, Config
from lsdc.training.settings.keypoints import KeypointSettings
from lsdc.training.settings.training import TrainingSettings


class CoordinatesConfig(KeypointSettings):
    """The source of level points, and the small network that learns them."""

    source: Literal["predicted", "annotated"] = Field(
        default="predicted",
        description=(
            "Where level points of training studies come from; test studies always have "
            "predicted ones."
        ),
    )
    image_size: int = Field(
        default=96,
        ge=32,
        description="Edge of the square that the sagittal network sees, in pixels.",
    )
    field_mm: float = Field(
        default=256.0,
        gt=0,
        description="Edge of that square in mm; larger images get a larger square.",
    )
    axial_image_size: int = Field(
        default=80, ge=32, description="Edge of the square that the axial network sees, in pixels."
    )
    axial_field_mm: float = Field(
        default=200.0,
        gt=0,
        description="Edge of that square in mm; larger images get a larger square.",
    )
    shift_along: float = Field(
        default=0.35,
        ge=0,
        le=0.5,
        description=(
            "Largest random shift of images up or down in training, as a fraction of the "
            "square, so that some levels lie outside, as in shifted fields of view."
        ),
    )


class SlicesConfig(Config):
    """The slices of a level and their order; docs/slices.md relates them to the lab log's terms.

    Both sagittal series have a left, a middle and a right part, axial series a single one. Empty
    slots are masked. Choices by distance ignore instance numbers.
    """

    side_slices: int = Field(
        default=3, ge=0, description="Slices of each side of a sagittal series."
    )
    middle_slices: int = Field(
        default=5, ge=0, description="Slices of the middle of a sagittal series."
    )
    axial_slices: int = Field(default=3, ge=0, description="Slices of all axial series together.")
    t1_middle: bool = Field(default=True, description="Whether T1 contributes middle slices.")
    t2_sides: bool = Field(default=True, description="Whether T2 contributes side slices.")
    group_by: Literal["series", "side"] = Field(
        default="series",
        description=(
            "Order of the slices: 'series', T1 as a whole, then T2; 'side', the left parts "
            "of both, then the middle, then the right parts."
        ),
    )

    sagittal: Literal["distance", "landmark", "argmin", "quantiles", "even"] = Field(
        default="distance",
        description=(
            "How sagittal slices are chosen. 'distance': nearest to the canal, and to "
            "side_distance_mm beside it; 'landmark': sides nearest to the foramina's "
            "landmarks; 'argmin': the nearest slice and its neighbours; 'quantiles': at "
            "quantiles of the series, with neighbours; 'even': middle_slices evenly over "
            "the series."
        ),
    )
    origin: Literal["canal", "scan"] = Field(
        default="canal",
        description=(
            "Where distances start: 'canal', the level point; 'scan', the middle of the series."
        ),
    )
    side_distance_mm: float = Field(
        default=17.0,
        gt=0,
        description="Distance of the sides from the canal in mm; foramina are 16 to 18 mm away.",
    )
    side_tolerance_mm: float = Field(
        default=9.0, gt=0, description="A side slice farther than this from its position is masked."
    )
    middle_tolerance_mm: float = Field(
        default=14.0, gt=0, description="A middle slice farther than this from the canal is masked."
    )
    stack_order: Literal["position", "instances"] = Field(
        default="position",
        description=(
            "Order in which slices are counted: 'position', from the patient's left to "
            "right and from top to bottom; 'instances', by instance number."
        ),
    )
    argmin_offset: int = Field(
        default=0,
        description=(
            "Slices from the nearest slice to the centre of a side: outwards, or with "
            "stack_order 'instances' towards higher instance numbers."
        ),
    )
    side_quantile: float = Field(
        default=0.25,
        ge=0,
        le=0.5,
        description="Quantile of the series at which the first side lies; the other is opposite.",
    )
    even_quantiles: tuple[float, float] = Field(
        default=(0.05, 0.95),
        description="Quantiles of the series at which the first and the last even slice lie.",
    )

    axial: Literal["distance", "argmin", "height", "proportion"] = Field(
        default="distance",
        description=(
            "How axial slices are chosen. 'distance': nearest to the level point over all "
            "series and stacks; 'argmin': the nearest slice and its neighbours; 'height': "
            "nearest by the z of ImagePositionPatient; 'proportion': at the level's "
            "relative height in the T2 image."
        ),
    )
    axial_tolerance_mm: float = Field(
        default=12.0,
        gt=0,
        description="An axial slice farther than this from the level point is masked.",
    )

    @property
    def count(self) -> int:
        """The number of slices of a sample."""
        sides = (1 + self.t2_sides) * 2 * self.side_slices
        return sides + (1 + self.t1_middle) * self.middle_slices + self.axial_slices

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.count:
            raise ValueError(
                "a sample has no slices: expected side_slices, middle_slices or axial_slices "
                "above 0"
            )
        if self.side_tolerance_mm >= self.side_distance_mm:
            raise ValueError(
                f"side_tolerance_mm {self.side_tolerance_mm} reaches across the canal: expected "
                f"less than side_distance_mm, {self.side_distance_mm}"
            )
        low, high = self.even_quantiles
        if not 0 <= low <= high <= 1:
            raise ValueError(f"even_quantiles: expected 0 <= first <= last <= 1, got {low}, {high}")
        if self.sagittal == "even" and self.side_slices:
            raise ValueError("sagittal 'even' has no sides: expected side_slices 0")
        for setting, ways in _USED_BY.items():
            changed = getattr(self, setting) != type(self).model_fields[setting].default
            if changed and not {f"sagittal {self.sagittal}", f"axial {self.axial}"} & ways:
                raise ValueError(
                    f"{setting} has no effect here: expected its default value, or one of "
                    f"{', '.join(sorted(ways))}"
                )
        return self


# Settings used only by some ways of choosing slices; changing them for others is an error.
_USED_BY = {
    "origin": {"sagittal distance", "sagittal argmin"},
    "stack_order": {
        "sagittal argmin",
        "sagittal quantiles",
        "sagittal even",
        "axial argmin",
        "axial proportion",
    },
    "argmin_offset": {"sagittal argmin"},
    "side_quantile": {"sagittal quantiles"},
    "even_quantiles": {"sagittal even"},
}


class CropsConfig(Config):
    """The crops of a level's slices: squares in the slices' planes, with a size in mm."""

    sagittal_window: float = Field(
        default=0.12,
        gt=0,
        le=1,
        description="Edge of sagittal crops, as a fraction of the image's longer edge.",
    )
    axial_window: float = Field(
        default=0.35,
        gt=0,
        le=1,
        description="Edge of axial crops, as a fraction of the image's longer edge.",
    )
    sagittal_window_mm: float | None = Field(
        default=None, gt=0, description="Edge of sagittal crops in mm, instead of sagittal_window."
    )
    axial_window_mm: float | None = Field(
        default=None, gt=0, description="Edge of axial crops in mm, instead of axial_window."
    )
    size_px: int = Field(default=128, ge=16, description="Edge of the crops in pixels.")
    sagittal_centre: Literal["level", "landmark", "image"] = Field(
        default="level",
        description=(
            "Centre of sagittal crops: the level point, the level's landmark nearest to the"
            " slice, or the middle of the image."
        ),
    )
    axial_centre: Literal["level", "landmark", "image"] = Field(
        default="level",
        description=(
            "Centre of axial crops: the level point, with by_side the side's subarticular "
            "landmark, or the middle of the image."
        ),
    )
    sagittal_offset: tuple[float, float] = Field(
        default=(0.0, 0.0),
        description="Offset of sagittal crops to the right and down, as fractions of their edge.",
    )
    tilt: bool = Field(
        default=False,
        description="Whether sagittal crops are turned so that the disc lies horizontally.",
    )
    border: Literal["edge", "constant"] = Field(
        default="edge",
        description="What lies beyond the image: 'edge' repeats its edge, 'constant' is black.",
    )
    motion: Literal["ignore", "find", "correct"] = Field(
        default="ignore",
        description=(
            "Whether motion between the slices of a series is ignored, recorded (find), or "
            "corrected."
        ),
    )
    dtype: Literal["uint8", "uint16"] = Field(
        default="uint8", description="Data type of stored crops."
    )
    by_side: bool = Field(
        default=False,
        description=(
            "Whether each side is a separate sample, with the right one mirrored; each "
            "predicts the canal and its own side."
        ),
    )


class Experiment(BaseExperiment):
    """Everything that determines a result, except for the data, the seed and the folds."""

    coordinates: CoordinatesConfig = CoordinatesConfig()
    slices: SlicesConfig = SlicesConfig()
    crops: CropsConfig = CropsConfig()
    labels: LabelsConfig = LabelsConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingSettings = TrainingSettings()

    @property
    def pretrained_backbones(self) -> tuple[str, ...]:
        """The backbones that start from pretrained weights, by their names in timm."""
        return self.model.backbones if self.model.pretrained else ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        slices, model = self.slices, self.model
        if model.axial_backbone and not 0 < slices.axial_slices < slices.count:
            raise ValueError(
                "model.axial_backbone: expected axial and sagittal slices, got "
                f"slices.axial_slices {slices.axial_slices} of {slices.count}"
            )
        counts = (slices.side_slices, slices.middle_slices, slices.axial_slices)
        if model.slices_as == "threes" and any(count % 3 for count in counts):
            raise ValueError(
                "model.slices_as 'threes' needs parts of 3 slices, or 6: expected "
                "slices.side_slices, middle_slices and axial_slices to be multiples of 3, got "
                f"{', '.join(map(str, counts))}"
            )
        if self.crops.by_side and self.augment.mirror:
            raise ValueError(
                "augment.mirror exchanges left and right, but crops.by_side already mirrors right "
                f"sides: expected augment.mirror 0, got {self.augment.mirror}"
            )
        mirrored = {_mirrored(condition) for condition in self.labels.conditions}
        if self.augment.mirror and mirrored != set(self.labels.conditions):
            raise ValueError(
                "augment.mirror exchanges left and right: expected 0, or labels.conditions with "
                f"both sides of each condition, got {', '.join(self.labels.conditions)}"
            )
        if "batch_norm" in model.head and self.training.batch_size == 1:
            raise ValueError(
                "model.head: 'batch_norm' cannot train on a single sample: expected 'layer_norm' "
                "instead, or training.batch_size above 1"
            )
        return self


def _mirrored(condition: str) -> str:
    side, _, rest = condition.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, condition)
