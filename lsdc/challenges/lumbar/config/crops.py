"""The crops of an experiment: their windows in mm, and their pixels."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

_Millimetres = Annotated[float, Field(gt=0)]
_Pixels = Annotated[int, Field(ge=16)]
WindowMm = _Millimetres | tuple[_Millimetres, _Millimetres]
"""The side length of a square in mm, or the width and the height of a rectangle."""


class CropsConfig(Config):
    """The crops of a level's slices: rectangles in the slices' planes, with a size in mm."""

    sagittal_window: float = Field(
        default=0.12,
        gt=0,
        le=1,
        description="Side length of sagittal crops, as a fraction of the image's longer side.",
    )
    axial_window: float = Field(
        default=0.35,
        gt=0,
        le=1,
        description="Side length of axial crops, as a fraction of the image's longer side.",
    )
    sagittal_window_mm: WindowMm | None = Field(
        default=None,
        description=(
            "Side length of sagittal crops in mm, instead of sagittal_window; or [width, height], "
            "such as [36, 45]."
        ),
    )
    axial_window_mm: WindowMm | None = Field(
        default=None,
        description=(
            "Side length of axial crops in mm, instead of axial_window; or [width, height], such "
            "as [45, 75]."
        ),
    )
    size_px: _Pixels | tuple[_Pixels, _Pixels] = Field(
        default=128,
        description=(
            "Side length of the crops in pixels, of rectangular windows that of the longer side; "
            "or [width, height]. Sagittal and axial crops have the same number of pixels, so "
            "windows of different proportions need [width, height], and their pixels are not "
            "square."
        ),
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Margin around the windows of training studies for augment.point_mm, as a fraction of "
            "their width and height, half of it at each edge. Stored crops take (1 + margin)^2 of "
            "the space and memory: 1.56 times as much with 0.25."
        ),
    )
    sagittal_centre: Literal["level", "landmark", "image"] = Field(
        default="level",
        description=(
            "Centre of sagittal crops. 'level': the level point; 'landmark': the canal or foramen "
            "of the level, whichever is nearer to the slice; 'image': the middle of the image."
        ),
    )
    axial_centre: Literal["level", "landmark", "image"] = Field(
        default="level",
        description=(
            "Centre of axial crops. 'level': the level point; 'landmark': the subarticular "
            "landmark of the side if by_side is on, else the canal; 'image': the middle of the "
            "image."
        ),
    )
    sagittal_offset: tuple[float, float] = Field(
        default=(0.0, 0.0),
        description=(
            "Offset of sagittal crops to the right and down, as fractions of their width and "
            "height."
        ),
    )
    tilt: bool = Field(
        default=False,
        description="Whether sagittal crops are rotated so that the disc is horizontal.",
    )
    border: Literal["edge", "constant"] = Field(
        default="edge",
        description=(
            "Padding outside the image: 'edge' repeats the border pixels, 'constant' is black."
        ),
    )
    motion: Literal["ignore", "find", "correct"] = Field(
        default="ignore",
        description=(
            "What to do about patient motion between the slices of a series. 'ignore': nothing; "
            "'find': record the shifts; 'correct': also undo them in the crops."
        ),
    )
    dtype: Literal["uint8", "uint16"] = Field(
        default="uint8", description="Data type of stored crops."
    )
    by_side: bool = Field(
        default=False,
        description=(
            "Whether left and right are separate samples. The right side is mirrored. Each sample "
            "predicts the canal and its own side."
        ),
    )

    @property
    def shape(self) -> tuple[int, int]:
        """The rows and columns of a crop as the model sees it."""
        if isinstance(self.size_px, tuple):
            width, height = self.size_px
            return height, width
        proportion = self._proportions[0]  # width to height
        shorter = round(self.size_px * min(proportion, 1 / proportion))
        return (self.size_px, shorter) if proportion < 1 else (shorter, self.size_px)

    @property
    def margins(self) -> tuple[int, int]:
        """The rows above and below the window, and the columns at its left and right."""
        rows, columns = self.shape
        return round(rows * self.margin / 2), round(columns * self.margin / 2)

    @property
    def stored_shape(self) -> tuple[int, int]:
        """The rows and columns of a crop with its margin."""
        (rows, columns), (above, beside) = self.shape, self.margins
        return rows + 2 * above, columns + 2 * beside

    @property
    def _proportions(self) -> list[float]:
        """The width of sagittal and of axial windows, as a share of their height."""
        windows = (self.sagittal_window_mm, self.axial_window_mm)
        return [mm[0] / mm[1] if isinstance(mm, tuple) else 1.0 for mm in windows]

    @model_validator(mode="after")
    def _check(self) -> Self:
        sagittal, axial = self._proportions
        if not isinstance(self.size_px, tuple) and abs(sagittal / axial - 1) > _SAME_PROPORTION:
            raise ValueError(
                "sagittal and axial crops have the same number of pixels: expected windows of the "
                f"same proportions, or size_px as [width, height], got width to height "
                f"{sagittal:.3g} and {axial:.3g} and size_px {self.size_px}"
            )
        return self


_SAME_PROPORTION = 0.01  # largest relative difference of proportions that are called the same
