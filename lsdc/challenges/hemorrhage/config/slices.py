"""The prepared slices of an experiment: their windows, and their pixels."""

from typing import Annotated, Literal

from pydantic import Field

from lsdc.experiments.base import Config

WindowHu = tuple[float, Annotated[float, Field(gt=0)]]
"""The centre and the width of a window in HU."""


class SlicesConfig(Config):
    """The prepared slices: each window of a slice's Hounsfield units (HU) is one grey channel."""

    windows: Annotated[tuple[WindowHu, ...], Field(min_length=1)] = Field(
        default=((40.0, 80.0), (80.0, 200.0), (600.0, 2800.0)),
        description=(
            "The windows as [centre, width] in HU, one channel each. What is half a width or more "
            "below the centre is black, above it white: [40, 80] shows 0 to 80 HU."
        ),
    )
    window: Literal["fixed", "header"] = Field(
        default="fixed",
        description=(
            "Whose windows are used. 'fixed': those of `windows`, for every slice; 'header': one "
            "channel, the first window of the file's own header, which differs between scanners "
            "(for a file that has none, the first of `windows`)."
        ),
    )
    stretch: Literal["window", "image", "none"] = Field(
        default="window",
        description=(
            "Which HU are black and white in a channel. 'window': the ends of the window, so that "
            "slices are comparable; 'image': the smallest and largest value within the window of "
            "each slice; 'none': one grey level per HU, values below 0 HU are black."
        ),
    )
    crop: Literal["none", "background"] = Field(
        default="none",
        description=(
            "What is cut off before resizing. 'none': nothing; 'background': all beyond the box "
            "around the pixels that are black in no channel. The box of each slice is its own, so "
            "neighbouring slices are scaled differently, and it includes the head holder."
        ),
    )
    size_px: Annotated[int, Field(ge=16)] = Field(
        default=256,
        description=(
            "Side length of the prepared slices in pixels. Slices that are not square are padded "
            "to a square with black."
        ),
    )

    @property
    def channels(self) -> int:
        """The number of channels of a slice."""
        return 1 if self.window == "header" else len(self.windows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The channels, rows and columns of a prepared slice."""
        return self.channels, self.size_px, self.size_px
