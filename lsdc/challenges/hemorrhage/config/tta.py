"""Test-time augmentation: the views of a slice whose predictions are averaged."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lsdc.training.settings.views import PlaneViewSettings


class TtaConfig(PlaneViewSettings):
    """Test-time augmentation (TTA): a prediction is a mean over the unchanged slice and views.

    It applies to the predictions of a trained slice model, but not to the validation after each
    epoch, and not with a sequence model.
    """

    horizontal_flip: bool = Field(
        default=False, description="Whether there is a view of the slice flipped left to right."
    )
    corners: Annotated[float, Field(gt=1, le=2)] | None = Field(
        default=None,
        description=(
            "Zoom factor of eight views: magnified towards each corner, each as it is and flipped "
            "left to right."
        ),
    )
    plain_share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=(
            "Weight of the unchanged slice in the mean, the rest being shared by the views; none "
            "means that all weigh the same."
        ),
    )

    @property
    def has_views(self) -> bool:
        """Whether there is any view beside the unchanged slice."""
        return bool(self.rotate or self.zoom or self.horizontal_flip or self.corners)

    @model_validator(mode="after")
    def _check_share(self) -> Self:
        if self.plain_share is not None and not self.has_views:
            raise ValueError(
                "plain_share has no effect without views: expected none, or rotate, zoom, "
                "horizontal_flip or corners"
            )
        return self
