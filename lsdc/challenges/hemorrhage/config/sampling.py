"""Which slices an epoch of training shows, and how often."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Times = Annotated[int, Field(ge=1)]


class SamplingConfig(Config):
    """The slices of an epoch; whatever these say, every slice is predicted and scored."""

    min_content: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description=(
            "Slices with a smaller share of pixels from 0 to 80 HU are too empty to show "
            "anything: they are predicted, and not trained on."
        ),
    )
    oversample: tuple[Times, Times, Times, Times, Times, Times] = Field(
        default=(1, 1, 1, 1, 1, 1),
        description=(
            "Oversampling: how many times a slice is used per epoch, by its labels (epidural, "
            "intraparenchymal, intraventricular, subarachnoid, subdural, any), of which the "
            "largest number counts. Each repeat is augmented differently. With slices_a_study: how "
            "many times as likely it is to be drawn."
        ),
    )
    slices_a_study: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Number of slices of each study that an epoch shows, drawn anew for each epoch; none "
            "shows all."
        ),
    )
    middle: float = Field(
        default=1.0,
        ge=1,
        description=(
            "How many times as likely the middle slice of a study is to be drawn as its ends; "
            "between them it changes evenly."
        ),
    )

    @model_validator(mode="after")
    def _check_middle(self) -> Self:
        if self.slices_a_study is None and self.changed("middle"):
            raise ValueError(
                "middle has no effect where all slices are shown: expected 1, or slices_a_study"
            )
        return self
