"""Settings of 3-D encoders, which models with one answer a sample and dense models share."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import Field

VOLUME_BACKBONES = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101")

EncoderWidth = Annotated[
    int,
    Field(
        ge=4,
        description="Number of channels of the first stage of a 3-D encoder; it doubles per stage.",
    ),
]


class HasEncoder(Protocol):
    """Settings of a model whose encoder may be in three dimensions."""

    @property
    def encoder(self) -> str: ...

    @property
    def backbone(self) -> str: ...

    @property
    def pretrained(self) -> bool: ...

    @property
    def pixels(self) -> str: ...

    def changed(self, setting: str) -> bool: ...


def check_encoder(settings: HasEncoder, *, unused: Sequence[str]) -> None:
    """Refuse settings that do not go with the encoder.

    Args:
        settings: the settings of the model.
        unused: the settings without effect on a 3-D encoder.

    Raises:
        ValueError: names the setting, and what is possible.
    """
    if settings.encoder != "volume":
        if settings.changed("encoder_width"):
            raise ValueError("encoder_width has no effect: expected encoder 'volume'")
        return
    if settings.backbone not in VOLUME_BACKBONES:
        raise ValueError(
            f"backbone {settings.backbone!r}: expected one of {', '.join(VOLUME_BACKBONES)} with "
            "encoder 'volume'"
        )
    for setting in unused:
        if settings.changed(setting):
            raise ValueError(f"{setting} has no effect with encoder 'volume': expected none set")
    if settings.pretrained or settings.pixels == "pretraining":
        raise ValueError(
            "encoder 'volume' has no pretrained weights: expected pretrained false, and pixels "
            "other than 'pretraining'"
        )
