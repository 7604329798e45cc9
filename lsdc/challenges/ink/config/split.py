"""The regions that folds hold out."""

from typing import Annotated

from pydantic import Field

from lsdc.experiments.base import Config

Bands = Annotated[int, Field(ge=1, le=100)]


class SplitConfig(Config):
    """A fold holds out regions: whole fragments, or bands of rows of them."""

    bands: Annotated[tuple[Bands, ...], Field(min_length=1)] = Field(
        default=(1, 3, 1),
        description=(
            "Number of bands of rows, with mask of equal area, that each training fragment is cut "
            "into, in the order of the fragments; a single number is that of every fragment."
        ),
    )
    gap_px: int | None = Field(
        default=None,
        ge=0,
        description=(
            "Pixels between a region that is held out and the nearest that is trained on, in the "
            "same fragment; none means the size of a tile. With less, scores are marked leaky."
        ),
    )
