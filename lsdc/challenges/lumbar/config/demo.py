"""The options of a phantom, as `lsdc demo-data` takes them."""

from typing import Literal

from pydantic import Field

from lsdc.experiments.base import Config


class DemoData(Config):
    """What phantom to write; the defaults are those of the home's phantom, but for its size."""

    studies: int = Field(default=40, description="Number of training studies.")
    test: int = Field(
        default=4, description="Number of test studies; in the first study, one series is missing."
    )
    seed: int = Field(default=0, description="Random seed; the same seed gives the same bytes.")
    grades: Literal["balanced", "real"] = Field(
        default="balanced",
        description=(
            "balanced: all grades are equally frequent; real: frequencies as in the competition."
        ),
    )
    geometry: Literal["usual", "hard"] = Field(
        default="usual",
        description=(
            "usual: easy geometry; hard: oblique slices, scoliosis, shifted images, missing series."
        ),
    )
    scatter: float = Field(
        default=0.0,
        description=(
            "Standard deviation of the random error of annotated points, in mm (real: about 1.3)."
        ),
    )
    vertebrae: int = Field(
        default=5,
        ge=4,
        le=6,
        description=(
            "Number of lumbar vertebrae: 5, 6 with an extra one, or 4 with one missing. Levels are "
            "named from the sacrum upwards."
        ),
    )
    max_size: int = Field(default=320, description="Longest side of an image in pixels.")
