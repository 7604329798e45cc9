"""What an experiment learns: which labels, and by which loss."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

ConditionName = Literal[
    "spinal_canal_stenosis",
    "left_neural_foraminal_narrowing",
    "right_neural_foraminal_narrowing",
    "left_subarticular_stenosis",
    "right_subarticular_stenosis",
]
Times = Annotated[int, Field(ge=1)]
LevelName = Literal["l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1"]


class LabelsConfig(Config):
    """Which labels are learnt; what is scored does not depend on it, subsets apart."""

    conditions: tuple[ConditionName, ...] = Field(
        default=get_args(ConditionName),
        min_length=1,
        description="those that are graded at all; a condition that is left out has no prediction",
    )
    levels: tuple[LevelName, ...] = Field(
        default=get_args(LevelName),
        min_length=1,
        description="those that are graded at all; a level that is left out has no prediction",
    )
    empty: Literal["ignore", "drop", "normal_mild"] = Field(
        default="ignore",
        description="training labels without a grade, and not filled by needs.labels: they count "
        "for nothing, drop their level from training, or are taken for normal or mild",
    )
    oversample: tuple[Times, Times, Times] = Field(
        default=(1, 1, 1),
        description="how often an epoch shows a level whose worst grade is normal or mild, "
        "moderate, severe; each time augmented anew",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for setting in ("conditions", "levels"):
            given, known = getattr(self, setting), type(self).model_fields[setting].default
            ordered = tuple(name for name in known if name in given)
            if given != ordered:
                raise ValueError(f"{setting}: expected each once, in order: {list(ordered)}")
        return self


class LossConfig(Config):
    """The loss, of every label with a grade."""

    kind: Literal["cross_entropy", "bce", "focal"] = Field(
        default="cross_entropy",
        description="'bce' is binary, each grade by itself; 'focal' makes little of what is known",
    )
    focal_gamma: float = Field(default=2.0, gt=0, description="how little")
    labels: Literal["hard", "soft"] = Field(
        default="hard",
        description="as torch's cross_entropy has it: of class indices, the mean weighted by "
        "grade over labels that are there; of class probabilities, the mean over all labels, "
        "empty ones as zeros, and predicted ones as probabilities",
    )
    grade_weights: tuple[float, float, float] = Field(
        default=(1.0, 2.0, 4.0), description="of normal or mild, moderate, severe"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of a label that is spread over all grades"
    )
    level_weight: float = Field(
        default=0.0,
        ge=0,
        description="of an auxiliary head's loss, which tells the level; 0 is without that head",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind != "focal" and self.changed("focal_gamma"):
            raise ValueError("focal_gamma changes nothing: expected kind 'focal'")
        if min(self.grade_weights) <= 0:
            raise ValueError(f"grade_weights: expected all above 0, got {self.grade_weights}")
        return self
