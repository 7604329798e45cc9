"""The tiles that a model reads: their size and their layers."""

from typing import Annotated

from pydantic import Field

from lsdc.experiments.base import Config


class TilesConfig(Config):
    """A square of pixels of some layers. Layers are counted from 0, the inside of the papyrus."""

    size_px: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = Field(
        default=256, description="Side length of a tile in pixels."
    )
    first_layer: int = Field(default=15, ge=0, description="The first layer of a tile.")
    groups: int = Field(
        default=7,
        ge=1,
        description="Number of groups of consecutive layers; 2-D encoders see a group an image.",
    )
    group_layers: int = Field(
        default=5, ge=1, description="Number of layers of a group, the channels of its image."
    )

    @property
    def layers(self) -> int:
        """The number of layers of a tile."""
        return self.groups * self.group_layers

    @property
    def end_layer(self) -> int:
        """The layer after the last one of a tile."""
        return self.first_layer + self.layers
