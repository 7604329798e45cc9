"""Which tiles an epoch of training shows."""

from pydantic import Field

from lsdc.experiments.base import Config


class SamplingConfig(Config):
    """The tiles of an epoch: drawn anew for each, from a grid over what is trained on."""

    stride_px: int = Field(
        default=32, ge=1, description="Step of the grid of the tiles' corners in pixels."
    )
    min_mask: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Smallest share of pixels inside the mask; tiles with less are not used.",
    )
    tiles_an_epoch: int | None = Field(
        default=25_000,
        ge=1,
        description="Number of tiles of an epoch; none shows every tile of the grid.",
    )
    empty_per_inked: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Number of tiles without ink for each tile with ink; none draws tiles evenly. Needs "
            "tiles_an_epoch."
        ),
    )
