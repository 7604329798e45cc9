"""The model: an encoder of the layers, what joins its groups, and a decoder."""

from lsdc.training.settings.dense import DenseModelSettings


class ModelConfig(DenseModelSettings):
    """From the layers of a tile to logits, one a cell of `stride` pixels."""
