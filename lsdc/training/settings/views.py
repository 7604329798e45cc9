"""Settings of test-time augmentation: the views of a sample that are predicted."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Angle = Annotated[float, Field(ge=-180, le=180)]
Zoom = Annotated[float, Field(ge=0.5, le=2)]

# A view with such a value equals the unchanged sample, which is always predicted.
_UNCHANGED: dict[str, Any] = {"rotate": 0, "zoom": 1, "slice_shift": 0}


class PlaneViewSettings(Config):
    """The views within the plane of the slices, in addition to the unchanged sample."""

    rotate: tuple[Angle, ...] = Field(
        default=(),
        description=(
            "Angles in degrees. For each of them, there is a view with all slices rotated by it, "
            "counter-clockwise. Corners that become empty repeat the border of the slice."
        ),
    )
    zoom: tuple[Zoom, ...] = Field(
        default=(),
        description=(
            "Zoom factors. For each of them, there is a view with all slices magnified by it: 1.1 "
            "shows a window that is 1.1 times smaller than the crop. Below 1, the border of the "
            "slice is repeated around it."
        ),
    )

    @model_validator(mode="after")
    def _check_views(self) -> Self:
        for setting, unchanged in _UNCHANGED.items():
            given = getattr(self, setting, ())
            if unchanged in given or len(set(given)) < len(given):
                raise ValueError(
                    f"{setting}: expected each value once, and not {unchanged}, as the unchanged "
                    f"sample is always predicted; got {list(given)}"
                )
        return self


class ViewSettings(PlaneViewSettings):
    """The views of a sample that are predicted in addition to the unchanged sample."""

    slice_shift: tuple[int, ...] = Field(
        default=(),
        description=(
            "Numbers of slots. For each of them, there is a view with the slices of each part "
            "shifted by it, towards the part's end, or its beginning if negative. Slots that "
            "become empty are masked; parts without more slots than that are left unchanged."
        ),
    )
