"""How a map of probabilities is predicted from tiles that overlap."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Views = Literal["flips", "flips_and_layers", "rotations", "square"]


class InferenceConfig(Config):
    """The grid of tiles, their weights, and the views of each (test-time augmentation, TTA)."""

    stride_px: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Step of the grid of tiles in pixels; none means half a tile. The grid always ends at "
            "the far edges."
        ),
    )
    edge_px: int = Field(
        default=0,
        ge=0,
        description=(
            "Pixels along the edges of a tile that do not count, except at the edges of the "
            "fragment."
        ),
    )
    weights: Literal["flat", "gaussian"] = Field(
        default="flat",
        description=(
            "Weights of a tile's pixels in the mean of overlapping tiles. 'flat': all alike; "
            "'gaussian': falling from its middle, with a sigma of an eighth of its size."
        ),
    )
    tta: Literal["none", "in_turn", "full"] = Field(
        default="none",
        description=(
            "Test-time augmentation. 'in_turn': one view a tile, the next for the next tile, at no "
            "cost; 'full': the mean of all views of every tile."
        ),
    )
    views: Views = Field(
        default="flips",
        description=(
            "The views. 'flips': 4, of rows and columns; 'flips_and_layers': 8, of the layers too; "
            "'rotations': 4, by multiples of 90 degrees; 'square': 8, flips and rotations."
        ),
    )
    layer_shifts: tuple[int, ...] = Field(
        default=(0,),
        min_length=1,
        description=(
            "Shifts of the window of layers; the mean of all is predicted. -5, 0, 5 predicts each "
            "tile three times."
        ),
    )
    batch_size: int = Field(default=32, ge=1, description="Number of tiles predicted at a time.")

    @model_validator(mode="after")
    def _check_views(self) -> Self:
        if self.tta == "none" and self.changed("views"):
            raise ValueError("views has no effect: expected tta 'in_turn' or 'full'")
        if len(set(self.layer_shifts)) < len(self.layer_shifts):
            raise ValueError(f"layer_shifts: expected each once, got {list(self.layer_shifts)}")
        return self
