"""The lumbar phantom's first stages, on which the index is tried."""

from tests.challenges.lumbar.conftest import walked

__all__ = ["walked"]
