"""The settings that decide whether a model fits into memory, to name them where it does not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MemorySettings:
    """Settings by their dotted names.

    Attributes:
        smaller: those to lower if not even one sample fits, such as the size of images.
        batch_size: that of the number of samples at a time.
    """

    smaller: tuple[str, ...]
    batch_size: str = "training.batch_size"
