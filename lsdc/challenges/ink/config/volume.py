"""The prepared volumes of the fragments."""

from typing import Literal

from pydantic import Field

from lsdc.experiments.base import Config


class VolumeConfig(Config):
    """The arrays that tiles are read from, prepared once; all layers are kept."""

    bits: Literal[8, 16] = Field(
        default=8,
        description=(
            "Bits of a voxel. 8 takes half the space, and the upper 8 of the 16 bits of the TIFF "
            "files; 16 keeps all."
        ),
    )
