"""Settings for targets that are images: the network that predicts them, and the loss per pixel."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config
from lsdc.training.settings.volume import EncoderWidth, check_encoder

Encoder = Literal["groups", "volume"]
DensePixels = Literal["pretraining", "sample", "layer", "plain"]
DepthPool = Literal["mean", "max", "mean_max", "attention"]
Norm = Literal["batch", "layer"]
Stride = Literal[1, 2, 4, 8, 16, 32]


class DenseModelSettings(Config):
    """An encoder over groups of layers or over the volume, pooling over depth, and a decoder."""

    encoder: Encoder = Field(
        default="groups",
        description=(
            "How layers are read. 'groups': each group is an image of a 2-D timm encoder, and "
            "residual 3-D blocks join the groups; 'volume': the layers are the volume of a 3-D "
            "encoder."
        ),
    )
    backbone: str = Field(
        default="resnetrs50.tf_in1k",
        description=(
            "Backbone: the name of a timm model, with its tag; of the 3-D encoder 'volume', "
            "resnet10, resnet18, resnet34, resnet50 or resnet101 of MONAI."
        ),
    )
    pretrained: bool = Field(
        default=True,
        description="Whether backbones start from pretrained weights; 3-D encoders have none.",
    )
    drop_path: float = Field(
        default=0.0, ge=0, lt=1, description="Probability of dropping a block (stochastic depth)."
    )
    pixels: DensePixels = Field(
        default="sample",
        description=(
            "Normalization of pixel values. 'pretraining': mean and standard deviation of the "
            "backbone's pretraining; 'sample': mean and standard deviation of the sample, over all "
            "its layers; 'layer': those of each layer of the sample; 'plain': values from 0 to 1."
        ),
    )
    encoder_width: EncoderWidth = 64
    width: int = Field(
        default=512, ge=8, description="Number of features of each group after the encoder."
    )
    blocks: int = Field(
        default=3, ge=0, le=24, description="Number of residual 3-D blocks over the groups."
    )
    norm: Norm = Field(
        default="batch",
        description="Normalization layers of the 3-D blocks and of the head.",
    )
    depth_pool: DepthPool = Field(
        default="mean_max",
        description=(
            "How depth becomes one map. 'mean_max': mean and max concatenated; 'attention': a mean "
            "whose weights are learnt."
        ),
    )
    decoder: Literal["none", "unet"] = Field(
        default="none",
        description=(
            "'none': logits at the encoder's last stride, 1/32; 'unet': a U-Net decoder that also "
            "reads its earlier stages, pooled over depth."
        ),
    )
    decoder_width: int = Field(
        default=64,
        ge=8,
        description=(
            "Number of channels of the U-Net decoder at its largest map; it doubles with each "
            "smaller one, up to 512."
        ),
    )
    stride: Stride = Field(
        default=32, description="Edge length in pixels of the cell that a logit stands for."
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
        if self.decoder == "none" and self.changed("decoder_width"):
            raise ValueError("decoder_width has no effect: expected decoder 'unet'")
        return self

    @model_validator(mode="after")
    def _check_encoder(self) -> Self:
        check_encoder(self, unused=("blocks", "drop_path"))
        return self


class DenseLossSettings(Config):
    """A weighted sum of losses over the pixels."""

    bce: float = Field(
        default=1.0, ge=0, description="Weight of the binary cross-entropy, the mean over pixels."
    )
    dice: float = Field(
        default=0.0,
        ge=0,
        description="Weight of 1 - soft Dice, of all pixels of a batch together.",
    )
    fbeta: float = Field(
        default=0.0,
        ge=0,
        description="Weight of 1 - soft F-beta, of all pixels of a batch together.",
    )
    beta: float = Field(
        default=0.5,
        gt=0,
        description="Beta of the soft F-beta; below 1, precision counts more than recall.",
    )
    positive_weight: float = Field(
        default=1.0,
        gt=0,
        description="Factor of the cross-entropy of positive pixels: PyTorch's pos_weight.",
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Label smoothing: fraction of the target that is moved to one half.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.bce or self.dice or self.fbeta):
            raise ValueError("expected a weight above 0 for bce, dice or fbeta, got none")
        for setting, term in (("beta", "fbeta"), ("positive_weight", "bce")):
            if not getattr(self, term) and self.changed(setting):
                raise ValueError(f"{setting} has no effect: expected {term} above 0")
        return self
