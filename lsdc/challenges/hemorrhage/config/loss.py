"""The loss of the six labels."""

from typing import Annotated

from pydantic import Field

from lsdc.experiments.base import Config

Weight = Annotated[float, Field(gt=0)]
OfLabels = tuple[Weight, Weight, Weight, Weight, Weight, Weight]


class LossConfig(Config):
    """The binary cross-entropy of each label, averaged by weight.

    With the default it is the competition's metric, but for the clipping of probabilities.
    """

    weights: OfLabels = Field(
        default=(1.0, 1.0, 1.0, 1.0, 1.0, 2.0),
        description=(
            "Weights of the labels in the mean: epidural, intraparenchymal, intraventricular, "
            "subarachnoid, subdural, any."
        ),
    )
    positive_weights: OfLabels = Field(
        default=(1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        description=(
            "Factors of the loss of positive labels, in the same order: PyTorch's pos_weight. "
            "Above 1, probabilities are too high for the log loss."
        ),
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Label smoothing: fraction of the target that is moved to one half.",
    )
