"""An experiment's configuration: typed, frozen, every setting with its bounds."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.challenges.lumbar.config.augment import AugmentConfig
from lsdc.challenges.lumbar.config.loss import LabelsConfig, LossConfig
from lsdc.challenges.lumbar.config.model import ModelConfig
from lsdc.challenges.lumbar.config.training import TrainingConfig
from lsdc.experiments.base import BaseExperiment, Config


class CoordinatesConfig(Config):
    """Where level points come from, and the small network that learns them."""

    source: Literal["predicted", "annotated"] = Field(
        default="predicted",
        description="of training studies' points; test studies have predicted ones alone",
    )
    method: Literal["soft-argmax", "heatmap", "regression"] = Field(
        default="soft-argmax",
        description="how a point is found: the centre of mass of a heatmap over the whole series; "
        "or, as in the lab log, of a segmented ball, or as coordinates outright",
    )
    image_size: int = Field(
        default=96, ge=32, description="side of the square that the sagittal net sees, px"
    )
    field_mm: float = Field(
        default=256.0, gt=0, description="side of that square; a larger image gets a larger one"
    )
    axial_image_size: int = Field(default=80, ge=32, description="the same for the axial net, px")
    axial_field_mm: float = Field(default=200.0, gt=0, description="the same for the axial net")
    width: int = Field(default=16, ge=4, description="channels of the net's first layer")
    epochs: int = Field(default=12, ge=1, description="how often a net sees each series")
    min_steps: int = Field(
        default=120, ge=1, description="of a net; few series are gone through for more epochs"
    )
    batch_size: int = Field(default=8, ge=1, description="series a step")
    slices_per_series: int = Field(default=4, ge=1, description="slices of a series seen a step")
    learning_rate: float = Field(default=1e-2, gt=0, description="at its peak")
    shift_along: float = Field(
        default=0.35,
        ge=0,
        le=0.5,
        description="of the square: how far training moves images up or down, so that levels leave "
        "it as they do where a field of view lies off",
    )


class SlicesConfig(Config):
    """Which slices a level gets, in which order; docs/slices.md has the lab log's words for it.

    Both sagittal series give a left, a middle and a right part, axial series one of their own. What
    nothing fills is masked. In the ways by distance, instance numbers count for nothing.
    """

    side_slices: int = Field(default=3, ge=0, description="of each side of a sagittal series")
    middle_slices: int = Field(default=5, ge=0, description="of a sagittal series' middle")
    axial_slices: int = Field(default=3, ge=0, description="of all axial series")
    t1_middle: bool = Field(default=True, description="whether T1 has a middle part")
    t2_sides: bool = Field(default=True, description="whether T2 has side parts")
    group_by: Literal["series", "side"] = Field(
        default="series",
        description="T1 whole, then T2; or both series' left, then middle, then right parts",
    )

    sagittal: Literal["distance", "landmark", "argmin", "quantiles", "even"] = Field(
        default="distance",
        description="'distance': the slices nearest to the canal, and to side_distance_mm beside "
        "it; 'landmark': sides nearest to the foramina's landmarks; 'argmin': the one nearest "
        "slice and its neighbours; 'quantiles' of the series and their neighbours; 'even': "
        "middle_slices evenly over the series",
    )
    origin: Literal["canal", "scan"] = Field(
        default="canal", description="of distances: the level point, or the middle of the series"
    )
    side_distance_mm: float = Field(
        default=17.0, gt=0, description="foramina lie 16 to 18 mm beside the canal"
    )
    side_tolerance_mm: float = Field(
        default=9.0, gt=0, description="a side slice farther from its place is masked"
    )
    middle_tolerance_mm: float = Field(
        default=14.0, gt=0, description="a middle slice farther from the canal is masked"
    )
    stack_order: Literal["position", "instances"] = Field(
        default="position",
        description="of slices where they are counted: from the patient's left to the right and "
        "from top to bottom, or by instance number",
    )
    argmin_offset: int = Field(
        default=0,
        description="slices from the nearest one to the one that a side is taken around: outwards, "
        "or up in instance numbers where stack_order says so",
    )
    side_quantile: float = Field(
        default=0.25, ge=0, le=0.5, description="where the first side lies; the other is opposite"
    )
    even_quantiles: tuple[float, float] = Field(
        default=(0.05, 0.95), description="where the first and the last of even slices lie"
    )

    axial: Literal["distance", "argmin", "height", "proportion"] = Field(
        default="distance",
        description="'distance': the slices nearest to the level point over all series and "
        "orientation groups; 'argmin': the nearest and its neighbours; 'height': nearest by the z "
        "of ImagePositionPatient; 'proportion': as far down the series as the level is down the T2",
    )
    axial_tolerance_mm: float = Field(
        default=12.0, gt=0, description="an axial slice farther from the level point is masked"
    )

    @property
    def count(self) -> int:
        """Slices of a sample."""
        sides = (1 + self.t2_sides) * 2 * self.side_slices
        return sides + (1 + self.t1_middle) * self.middle_slices + self.axial_slices

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.count:
            raise ValueError("no slice at all: expected one of the counts above 0")
        if self.side_tolerance_mm >= self.side_distance_mm:
            raise ValueError(
                f"side_tolerance_mm {self.side_tolerance_mm} reaches over the canal: expected less "
                f"than side_distance_mm, {self.side_distance_mm}"
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
                    f"{setting} changes nothing here: expected it left out, or one of "
                    f"{', '.join(sorted(ways))}"
                )
        return self


# Settings that some ways of choice alone look at; with the others a change would be a mistake.
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
    """What is cut out of a level's slices: squares in the slices' planes, of a size in mm."""

    sagittal_window: float = Field(
        default=0.12, gt=0, le=1, description="of the image's longer side"
    )
    axial_window: float = Field(default=0.35, gt=0, le=1, description="of the image's longer side")
    sagittal_window_mm: float | None = Field(
        default=None, gt=0, description="the same size whatever the image's: then it alone counts"
    )
    axial_window_mm: float | None = Field(default=None, gt=0, description="likewise")
    size_px: int = Field(default=128, ge=16, description="side of the square that is cut out")
    sagittal_centre: Literal["level", "landmark", "image"] = Field(
        default="level",
        description="the level point, the level's landmark nearest to the slice, or the image's",
    )
    axial_centre: Literal["level", "landmark", "image"] = Field(
        default="level",
        description="the level point, its side's subarticular landmark by_side, or the image's",
    )
    sagittal_offset: tuple[float, float] = Field(
        default=(0.0, 0.0), description="of the window to the right and down, in shares of its side"
    )
    tilt: bool = Field(
        default=False, description="turn sagittal windows, so that the level's disc lies level"
    )
    border: Literal["edge", "constant"] = Field(
        default="edge", description="beyond the image: its edges go on, or all is dark"
    )
    motion: Literal["ignore", "find", "correct"] = Field(
        default="ignore", description="shifts between a series' slices: write them down, undo them"
    )
    dtype: Literal["uint8", "uint16"] = Field(
        default="uint8", description="as which crops are stored"
    )
    by_side: bool = Field(
        default=False,
        description="a sample a side, the right one as its mirror image with its labels: each is "
        "asked for the canal and its own side",
    )


class Experiment(BaseExperiment):
    """Everything that shapes a result, the data, the seed and the folds apart."""

    coordinates: CoordinatesConfig = CoordinatesConfig()
    slices: SlicesConfig = SlicesConfig()
    crops: CropsConfig = CropsConfig()
    labels: LabelsConfig = LabelsConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()

    @property
    def pretrained_backbones(self) -> tuple[str, ...]:
        """The backbones that start from pretrained weights, by their names in timm."""
        return self.model.backbones if self.model.pretrained else ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        slices, model = self.slices, self.model
        if model.axial_backbone and not 0 < slices.axial_slices < slices.count:
            raise ValueError(
                "model.axial_backbone: expected axial slices and others, got "
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
                "augment.mirror makes right sides of left ones, which crops.by_side has made one: "
                f"expected 0 with it, got {self.augment.mirror}"
            )
        mirrored = {_mirrored(condition) for condition in self.labels.conditions}
        if self.augment.mirror and mirrored != set(self.labels.conditions):
            raise ValueError(
                "augment.mirror exchanges left and right: expected it 0, or both sides of each of "
                f"labels.conditions, got {', '.join(self.labels.conditions)}"
            )
        if "batch_norm" in model.head and self.training.batch_size == 1:
            raise ValueError(
                "model.head: 'batch_norm' learns nothing of a single sample: expected 'layer_norm' "
                "there, or training.batch_size above 1"
            )
        return self


def _mirrored(condition: str) -> str:
    side, _, rest = condition.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, condition)
