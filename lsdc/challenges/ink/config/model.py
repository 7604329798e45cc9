"""The model: an encoder of the layers, what joins its groups, and a decoder."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

Encoder = Literal["groups", "volume"]
Pixels = Literal["sample", "layer", "plain"]
DepthPool = Literal["mean", "max", "mean_max", "attention"]


class ModelConfig(Config):
    """From the layers of a tile to logits, one a cell of `stride` pixels."""

    encoder: Encoder = Field(
        default="groups",
        description=(
            "How layers are read. 'groups': each group is an image of a 2-D timm encoder, and "
            "residual 3-D blocks join the groups; 'volume': the tile is the volume of a 3-D "
            "encoder."
        ),
    )
    backbone: str = Field(
        default="resnetrs50.tf_in1k",
        description=(
            "Backbone: the name of a timm model, with its tag; of the 3-D encoder 'volume', "
            "resnet10, resnet18, resnet34, resnet50, resnet101, resnet152 or resnet200 of MONAI."
        ),
    )
    pretrained: bool = Field(
        default=True,
        description="Whether backbones start from pretrained weights; 3-D encoders have none.",
    )
    drop_path: float = Field(
        default=0.0, ge=0, lt=1, description="Probability of dropping a block (stochastic depth)."
    )
    pixels: Pixels = Field(
        default="sample",
        description=(
            "Normalization of pixel values. 'sample': mean and standard deviation of the tile, "
            "over all its layers; 'layer': those of each layer of the tile; 'plain': values from 0 "
            "to 1."
        ),
    )
    width: int = Field(
        default=512, ge=8, description="Number of features of each group after the encoder."
    )
    blocks: int = Field(
        default=3,
        ge=0,
        le=24,
        description="Number of residual 3-D blocks over the groups; needs encoder 'groups'.",
    )
    norm: Literal["batch", "layer"] = Field(
        default="batch", description="Normalization layers of the 3-D blocks and of the head."
    )
    depth_pool: DepthPool = Field(
        default="mean_max",
        description=(
            "How depth becomes one map. 'mean_max': mean and max concatenated; 'attention': a "
            "mean whose weights are learnt."
        ),
    )
    decoder: Literal["none", "unet"] = Field(
        default="none",
        description=(
            "'none': logits at the encoder's last stride, 1/32; 'unet': a U-Net decoder that also "
            "reads its earlier stages, pooled over depth."
        ),
    )
    stride: Literal[1, 2, 4, 8, 16, 32] = Field(
        default=32, description="Side length in pixels of the cell that a logit stands for."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout rate ahead of the head.")

    @model_validator(mode="after")
    def _check_decoder(self) -> Self:
        if self.decoder == "none" and self.stride != 32:
            raise ValueError(
                f"stride {self.stride}: without a decoder, logits are at 1/32; expected 32, or "
                "decoder 'unet'"
            )
        if self.decoder == "unet" and self.stride == 32:
            raise ValueError("stride 32: expected less with decoder 'unet', such as 4")
        return self

    @model_validator(mode="after")
    def _check_encoder(self) -> Self:
        if self.encoder == "volume" and self.changed("blocks"):
            raise ValueError("blocks has no effect with encoder 'volume': expected none set")
        return self
