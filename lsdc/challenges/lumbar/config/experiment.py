"""An experiment's configuration: typed and frozen, with bounds for every setting."""

from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from lsdc.challenges.lumbar.config.augment import AugmentConfig
from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.config.heads import check_auxiliary_heads, check_study_context
from lsdc.challenges.lumbar.config.loss import LabelsConfig, LossConfig
from lsdc.challenges.lumbar.config.model import ModelConfig
from lsdc.challenges.lumbar.config.tta import TtaConfig
from lsdc.challenges.lumbar.vocabulary import Condition
from lsdc.experiments.base import BaseExperiment, Config
from lsdc.experiments.settings import changed_settings
from lsdc.training.settings.memory import MemorySettings
from lsdc.training.settings.training import TrainingSettings

# Sagittal slices are chosen by their distances in mm, or counted along the series.
SagittalByDistance = Literal["distance", "landmark"]
SagittalCounted = Literal["argmin", "quantiles", "even"]
Sagittal = Literal[SagittalByDistance, SagittalCounted]
Axial = Literal["distance", "argmin", "height", "proportion"]


class SlicesConfig(Config):
    """The slices of a level and their order.

    docs/reference/slices.md relates them to the lab log's terms.

    Both sagittal series have a left, a middle and a right part, axial series a single one. Empty
    slots are masked. Choices by distance ignore instance numbers.
    """

    side_slices: int = Field(
        default=3,
        ge=0,
        description="Number of slices on each side (left, right), per sagittal series.",
    )
    middle_slices: int = Field(
        default=5, ge=0, description="Number of middle slices, per sagittal series."
    )
    axial_slices: int = Field(
        default=3, ge=0, description="Number of axial slices, from all axial series together."
    )
    spare_slices: int = Field(
        default=0,
        ge=0,
        description=(
            "Number of further slices of training studies that are stored at each end of each part "
            "for augment.point_slices. Each adds two slices for every part: the default 25 slices "
            "of 7 parts become 39 with 1, and 53 with 2."
        ),
    )
    t1_middle: bool = Field(
        default=True, description="Whether the T1 series contributes middle slices."
    )
    t2_sides: bool = Field(
        default=True, description="Whether the T2 series contributes side slices."
    )
    group_by: Literal["series", "side"] = Field(
        default="series",
        description=(
            "Order of the slices. 'series': all slices of T1, then all of T2; 'side': the left "
            "parts of both, then the middle parts, then the right parts. Axial slices come last."
        ),
    )

    sagittal: Sagittal = Field(
        default="distance",
        description=(
            "How sagittal slices are chosen. 'distance': middle slices nearest to the origin, side "
            "slices nearest to side_distance_mm left and right of it; 'landmark': as 'distance', "
            "but side slices nearest to the landmarks of the foramina; 'argmin': the nearest slice "
            "and its neighbours in the series; 'quantiles': slices at quantiles of the series, and "
            "their neighbours; 'even': middle_slices slices at equal steps over the series."
        ),
    )
    origin: Literal["canal", "scan"] = Field(
        default="canal",
        description=(
            "Origin of the distances. 'canal': the level point; 'scan': the middle of the series."
        ),
    )
    side_distance_mm: float = Field(
        default=17.0,
        gt=0,
        description=(
            "Distance of the side slices from the origin in mm; the foramina are 16 to 18 mm from "
            "the canal."
        ),
    )
    side_tolerance_mm: float = Field(
        default=9.0,
        gt=0,
        description=(
            "Largest distance of a side slice from its expected position in mm; slices farther "
            "away are masked."
        ),
    )
    middle_tolerance_mm: float = Field(
        default=14.0,
        gt=0,
        description=(
            "Largest distance of a middle slice from the origin in mm; slices farther away are "
            "masked."
        ),
    )
    stack_order: Literal["position", "instances"] = Field(
        default="position",
        description=(
            "Order in which slices are counted. 'position': from the patient's left to right, and "
            "from top to bottom; 'instances': by instance number."
        ),
    )
    argmin_offset: int = Field(
        default=0,
        description=(
            "For 'argmin': number of slices by which the centre of a side is moved away from the "
            "nearest slice. The direction is outwards; with stack_order 'instances' it is towards "
            "higher instance numbers."
        ),
    )
    side_quantile: float = Field(
        default=0.25,
        ge=0,
        le=0.5,
        description=(
            "For 'quantiles': the first side is at this quantile of the series, the other side at "
            "1 minus it."
        ),
    )
    even_quantiles: tuple[float, float] = Field(
        default=(0.05, 0.95),
        description="For 'even': quantiles of the first and of the last slice in the series.",
    )

    axial: Axial = Field(
        default="distance",
        description=(
            "How axial slices are chosen. 'distance': nearest to the level point over all series "
            "and stacks; 'argmin': the nearest slice and its neighbours; 'height': slices whose "
            "ImagePositionPatient z is nearest to that of the level point; 'proportion': slices of "
            "the longest axial series, at the relative height of the level in the sagittal image "
            "(T2 if there is one)."
        ),
    )
    axial_tolerance_mm: float = Field(
        default=12.0,
        gt=0,
        description=(
            "Largest distance of an axial slice from the level point in mm; slices farther away "
            "are masked."
        ),
    )

    @property
    def count(self) -> int:
        """The number of slices of a sample."""
        sides = (1 + self.t2_sides) * 2 * self.side_slices
        return sides + (1 + self.t1_middle) * self.middle_slices + self.axial_slices

    @property
    def by_distance(self) -> bool:
        """Whether sagittal slices are chosen by their distance in mm, not counted."""
        return self.sagittal in get_args(SagittalByDistance)

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
        if self.spare_slices and self.sagittal == "even":
            raise ValueError(
                "sagittal 'even' does not choose by points: expected spare_slices 0, got "
                f"{self.spare_slices}"
            )
        for setting, ways in _USED_BY.items():
            changed = getattr(self, setting) != type(self).model_fields[setting].default
            if changed and not {("sagittal", self.sagittal), ("axial", self.axial)} & ways:
                raise ValueError(
                    f"{setting} has no effect here: expected its default value, or one of "
                    f"{', '.join(sorted(map(' '.join, ways)))}"
                )
        return self


# Settings used only by some ways of choosing slices; changing them for others is an error.
_USED_BY: dict[str, set[tuple[Literal["sagittal"], Sagittal] | tuple[Literal["axial"], Axial]]] = {
    "origin": {("sagittal", "distance"), ("sagittal", "argmin")},
    "stack_order": {
        ("sagittal", "argmin"),
        ("sagittal", "quantiles"),
        ("sagittal", "even"),
        ("axial", "argmin"),
        ("axial", "proportion"),
    },
    "argmin_offset": {("sagittal", "argmin")},
    "side_quantile": {("sagittal", "quantiles")},
    "even_quantiles": {("sagittal", "even")},
}


# What an ensemble takes from the sections of experiments that train models.
_OF_BOTH = ("labels.conditions", "labels.levels")


class Experiment(BaseExperiment):
    """Everything that determines a result, except for the data, the seed and the folds.

    With `members` it is an ensemble: only its conditions, its levels and `ensemble` have an effect.
    """

    memory: ClassVar[MemorySettings] = MemorySettings(("model.backbone", "crops.size_px"))

    coordinates: CoordinatesConfig = CoordinatesConfig()
    slices: SlicesConfig = SlicesConfig()
    crops: CropsConfig = CropsConfig()
    labels: LabelsConfig = LabelsConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingSettings = TrainingSettings()
    tta: TtaConfig = TtaConfig()
    ensemble: EnsembleConfig = EnsembleConfig()

    @property
    def pretrained_backbones(self) -> tuple[str, ...]:
        """The backbones that start from pretrained weights, by their names in timm."""
        return self.model.backbones if self.model.pretrained and not self.members else ()

    @property
    def libraries(self) -> tuple[str, ...]:
        """The libraries that the model is built from, besides those of every model."""
        return ("monai",) if self.model.encoder == "volume" else ()

    def has_effect(self, setting: str) -> bool:
        """Return whether a setting, by its dotted name, has an effect beside the others."""
        of_ensemble = setting.partition(".")[0] in ("members", "ensemble")
        return of_ensemble == bool(self.members) or setting in _OF_BOTH

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_effects()
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
        if places := [each for each in self.tta.slice_shift if abs(each) >= max(counts)]:
            raise ValueError(
                f"tta.slice_shift {places[0]} moves no slice: expected less than the largest part "
                f"has, {max(counts)}"
            )
        self._check_mirrors()
        self._check_any_severe()
        self._check_points()
        if self.crops.by_side and (self.augment.half_cutmix or self.augment.half_mixup):
            raise ValueError(
                "augment.half_cutmix and half_mixup mix left and right halves, but with "
                "crops.by_side a sample is graded on one side: expected both to be 0"
            )
        if self.labels.distrust and self.training.keep != "last":
            raise ValueError(
                "labels.distrust: its judges may not choose an epoch by the labels that they "
                f"judge: expected training.keep 'last', got '{self.training.keep}'"
            )
        check_auxiliary_heads(self.loss, model)
        check_study_context(model, self.training, self.augment)
        single = self.training.batch_by == "sample" and self.training.batch_size == 1
        if "batch_norm" in model.head and single:
            raise ValueError(
                "model.head: 'batch_norm' cannot train on a single sample: expected 'layer_norm' "
                "instead, or training.batch_size above 1"
            )
        return self

    def _check_effects(self) -> None:
        """Refuse settings of models in an ensemble, and those of an ensemble without members."""
        for setting, value in changed_settings(self).items():
            if not self.has_effect(setting):
                where = (
                    "in an ensemble, which trains no model (its members do)"
                    if self.members
                    else "without members"
                )
                raise ValueError(
                    f"{setting} has no effect {where}: expected its default value, got {value}; "
                    "leave it out, and leave out based_on if that sets it"
                )

    def _check_mirrors(self) -> None:
        """Refuse to exchange left and right where samples or labels have only one of them."""
        conditions = self.labels.conditions
        mirrored = {Condition(name).mirrored for name in conditions}
        for setting, given, off in (
            ("augment.mirror", self.augment.mirror, "0"),
            ("tta.mirror", self.tta.mirror, "false"),
        ):
            if given and self.crops.by_side:
                raise ValueError(
                    f"{setting} exchanges left and right, but crops.by_side already mirrors right "
                    f"sides: expected {setting} {off}, got {str(given).lower()}"
                )
            if given and mirrored != set(conditions):
                raise ValueError(
                    f"{setting} exchanges left and right: expected {off}, or labels.conditions "
                    f"with both sides of each condition, got {', '.join(conditions)}"
                )

    def _check_any_severe(self) -> None:
        """Refuse the term of any_severe without whole studies or without canal labels."""
        if not self.loss.any_weight:
            return
        if self.training.batch_by != "study":
            raise ValueError(
                f"loss.any_weight {self.loss.any_weight} scores whole studies: expected "
                "training.batch_by 'study', or loss.any_weight 0; training.batch_size then is the "
                "number of studies in a batch"
            )
        if Condition.SPINAL_CANAL_STENOSIS not in self.labels.conditions:
            raise ValueError(
                "loss.any_weight is for canal labels: expected 0, or labels.conditions with "
                f"{Condition.SPINAL_CANAL_STENOSIS}, got {', '.join(self.labels.conditions)}"
            )

    def _check_points(self) -> None:
        """Require room for the errors of points."""
        if self.augment.point_mm and self.crops.margins == (0, 0):
            raise ValueError(
                "augment.point_mm moves windows within their margin: expected crops.margin above "
                f"0, such as 0.25, got {self.crops.margin}"
            )
        if self.augment.point_slices and not self.slices.spare_slices:
            raise ValueError(
                "augment.point_slices exchanges slices for their neighbours: expected "
                "slices.spare_slices above 0, such as 1"
            )
