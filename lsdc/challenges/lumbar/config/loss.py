"""The labels that an experiment learns, and its loss."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from lsdc.experiments.base import Config
from lsdc.training.settings.loss import LossSettings

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
    """The labels to learn; except for subsets, they do not affect which labels are scored."""

    conditions: tuple[ConditionName, ...] = Field(
        default=get_args(ConditionName),
        min_length=1,
        description=(
            "Conditions to train and predict. A condition that is not listed gets no prediction."
        ),
    )
    levels: tuple[LevelName, ...] = Field(
        default=get_args(LevelName),
        min_length=1,
        description="Levels to train and predict. A level that is not listed gets no prediction.",
    )
    empty: Literal["ignore", "drop", "normal_mild"] = Field(
        default="ignore",
        description=(
            "What to do with empty training labels that needs.labels does not fill. 'ignore': no "
            "loss for the label; 'drop': leave the whole level out of training; 'normal_mild': "
            "treat the label as normal/mild."
        ),
    )
    oversample: tuple[Times, Times, Times] = Field(
        default=(1, 1, 1),
        description=(
            "Oversampling: how many times a level is used per epoch, by its worst grade "
            "(normal/mild, moderate, severe). Each repeat is augmented differently."
        ),
    )
    distrust: float | None = Field(
        default=None,
        gt=0.5,
        lt=1,
        description=(
            "Leave a label out of training if a judge gives all other grades together at least "
            "this probability. A judge is a model that was trained without the label's fold and "
            "without the fold to predict, so K folds need K(K-1)/2 of them. Every label is scored."
        ),
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for setting in ("conditions", "levels"):
            given, known = getattr(self, setting), type(self).model_fields[setting].default
            ordered = tuple(name for name in known if name in given)
            if given != ordered:
                raise ValueError(f"{setting}: expected each once, in order: {list(ordered)}")
        return self


class LossConfig(LossSettings):
    """The loss, with the weights of the grades, of the conditions, of any_severe and of the level.

    The competition's metric is the loss with average "conditions", any_weight 1, and the default
    weights of grades and conditions.
    """

    grade_weights: tuple[float, float, float] = Field(
        default=(1.0, 2.0, 4.0), description="Loss weights of normal/mild, moderate and severe."
    )
    condition_weights: tuple[float, float, float] = Field(
        default=(1.0, 1.0, 1.0),
        description=(
            "Loss weights of canal, foraminal and subarticular labels. A label has the weight of "
            "its grade times that of its condition. With crops.by_side a canal label counts twice, "
            "once for each side."
        ),
    )
    average: Literal["labels", "conditions"] = Field(
        default="labels",
        description=(
            "What the loss is the mean of. 'labels': all labels; 'conditions': the mean losses of "
            "canal, foraminal and subarticular labels, by condition_weights, and of any_severe, by "
            "any_weight. The competition's metric is 'conditions' with any_weight 1."
        ),
    )
    any_weight: float = Field(
        default=0.0,
        ge=0,
        description=(
            "Loss weight of any_severe, as in the competition's metric: the log loss of a study's "
            "largest severe probability over its canal labels, against whether one of them is "
            "severe. It needs training.batch_by 'study'. With average 'labels' it is added to the "
            "mean of the labels."
        ),
    )
    level_weight: float = Field(
        default=0.0,
        ge=0,
        description=(
            "Loss weight of an auxiliary head that predicts the level; with 0 there is no such "
            "head."
        ),
    )

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        for setting in ("grade_weights", "condition_weights"):
            weights = getattr(self, setting)
            if min(weights) <= 0:
                raise ValueError(f"{setting}: expected all above 0, got {weights}")
        return self
