"""What a fold holds out."""

from typing import Literal

from pydantic import Field

from lsdc.experiments.base import Config

By = Literal["patient", "image"]


class SplitConfig(Config):
    """What a fold holds out of training."""

    by: By = Field(
        default="patient",
        description=(
            "What a fold holds out. 'patient': all images of a patient; 'image': single images, as "
            "in the notes. Then a model has seen other slices of the patients that it is scored "
            "on, and scores are marked leaky: they are better than those on new patients."
        ),
    )
