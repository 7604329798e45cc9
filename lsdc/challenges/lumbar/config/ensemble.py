"""Settings of ensembles: how the predictions of several members are made into one."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config


class EnsembleConfig(Config):
    """How the predictions of several members are made into one.

    All but equal weights are fitted on the other folds, and applied to the fold they have not seen.
    """

    weights: Literal["equal", "fitted"] = Field(
        default="equal",
        description=(
            "Weights of the members' mean. 'fitted': those with the best score, for canal, "
            "foraminal and subarticular rows apart."
        ),
    )
    second_level: bool = Field(
        default=False,
        description=(
            "Whether a logistic regression judges a row by all members' logits for it and for the "
            "other conditions of its level, instead of the mean."
        ),
    )
    strength: float = Field(
        default=0.01,
        gt=0,
        description="Weight of the data against the penalty of the second level: scikit-learn's C.",
    )
    temperature: bool = Field(
        default=False, description="Whether the logits are then divided by a fitted temperature."
    )
    prior_shift: bool = Field(
        default=False,
        description="Whether the logits are then shifted by grade, to fit the labels.",
    )

    @property
    def is_fitted(self) -> bool:
        """Whether anything is fitted to labels, so that folds are needed."""
        return self.weights == "fitted" or self.second_level or self.temperature or self.prior_shift

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.second_level and self.weights == "fitted":
            raise ValueError(
                "second_level takes the place of the mean: expected weights 'equal' with it, got "
                "'fitted'"
            )
        return self
