"""How a map of probabilities becomes a mask of ink."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Share = Annotated[float, Field(ge=0, le=1)]


class MaskConfig(Config):
    """The threshold, and the regions that are removed.

    What is 'fitted' is fitted on out-of-fold maps: for the scores of a fold on the other folds'
    maps, for the test set on all.
    """

    by: Literal["value", "quantile"] = Field(
        default="quantile",
        description=(
            "What the threshold is. 'value': a probability; 'quantile': the share of the pixels "
            "inside the mask that are below it. Equal probabilities are never separated: the "
            "share nearest to it is taken."
        ),
    )
    threshold: Share | Literal["fitted"] = Field(
        default="fitted", description="The threshold, or that it is fitted."
    )
    block_px: int | None = Field(
        default=None,
        ge=32,
        description=(
            "Side length of the squares within which the quantile is taken; none takes it over the "
            "whole region."
        ),
    )
    top: Share | Literal["fitted"] | None = Field(
        default=None,
        description=(
            "Double threshold: a connected region is kept only where it has a pixel of at least "
            "this, by value or by quantile as the threshold; none keeps all."
        ),
    )
    min_region_px: int | Literal["fitted"] = Field(
        default=0,
        description=(
            "Smallest area of a connected region in pixels at full resolution; smaller ones are "
            "removed."
        ),
    )
    shrink: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description=(
            "Factor by which the map is reduced before all this; the mask is enlarged again at the "
            "end. 32 is that of the notes."
        ),
    )

    @property
    def fitted(self) -> tuple[str, ...]:
        """The names of what is fitted."""
        names = ("threshold", "top", "min_region_px")
        return tuple(name for name in names if getattr(self, name) == "fitted")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.block_px is not None and self.by != "quantile":
            raise ValueError("block_px has no effect: expected by 'quantile'")
        if isinstance(self.min_region_px, int) and self.min_region_px < 0:
            raise ValueError(f"min_region_px: expected 0 or more, got {self.min_region_px}")
        fixed = isinstance(self.top, float) and isinstance(self.threshold, float)
        if fixed and float(self.top or 0) <= float(self.threshold):
            raise ValueError(
                f"top {self.top}: expected more than the threshold, {self.threshold}; none means "
                "no double threshold"
            )
        return self
