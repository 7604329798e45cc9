"""Pictures of cases, as reports show them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """What a model saw of a case, as one WebP image.

    Attributes:
        image: the bytes of the file.
        width, height: its size in px.
        seen: a line about each part.
    """

    image: bytes
    width: int
    height: int
    seen: tuple[str, ...] = ()


Pictures = Mapping[str, Picture]
"""Pictures by the ids of the rows that cases are of."""
