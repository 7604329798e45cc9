"""Model settings: backbone, heads, sequence, pooling."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config
from lsdc.training.settings.volume import EncoderWidth, check_encoder

SlicesAs = Literal["sequence", "threes", "channels"]
Pixels = Literal["pretraining", "sample", "plain"]
Recurrent = Literal["lstm", "gru"]
Rnn = Literal["none", Recurrent]
RnnInit = Literal["uniform", "orthogonal"]
HeadLayer = Literal["linear", "batch_norm", "layer_norm", "relu", "leaky_relu", "dropout"]
SlicePool = Literal[
    "last",
    "mean",
    "range_mean",
    "max",
    "mean_max",
    "attention",
    "mlp_attention",
    "view_attention",
]
ContextKind = Literal["lstm", "transformer"]


class ImageSettings(Config):
    """A timm backbone for images, and the features that it leaves of each."""

    backbone: str = Field(
        default="tf_efficientnetv2_s.in21k_ft_in1k",
        description="Backbone: the name of a timm model, with its tag.",
    )
    pretrained: bool = Field(
        default=True, description="Whether backbones start from pretrained weights."
    )
    drop_path: float = Field(
        default=0.0, ge=0, lt=1, description="Probability of dropping a block (stochastic depth)."
    )
    pixels: Pixels = Field(
        default="pretraining",
        description=(
            "Normalization of pixel values. 'pretraining': mean and standard deviation of the "
            "backbone's pretraining; 'sample': mean and standard deviation of the sample; 'plain': "
            "values from 0 to 1."
        ),
    )
    map_pool: Literal["avg", "max", "gem"] = Field(
        default="avg",
        description="Pooling of feature maps; 'gem' is a generalised mean with a learnt power.",
    )
    width: int = Field(
        default=256,
        ge=8,
        description=(
            "Number of features per slice, and hidden size of each direction of the recurrent "
            "network."
        ),
    )


class HeadSettings(Config):
    """The layers of a head."""

    head: tuple[HeadLayer, ...] = Field(
        default=("dropout", "linear"), description="Layers of a head, in order."
    )
    head_width: int = Field(
        default=256, ge=8, description="Width of the hidden linear layers of a head."
    )
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="Rate of the dropout layers of the heads."
    )
    head_samples: int = Field(
        default=1,
        ge=1,
        le=32,
        description=(
            "Multi-sample dropout: number of passes through each head in training, with different "
            "dropout; their logits are averaged."
        ),
    )

    @model_validator(mode="after")
    def _check_head(self) -> Self:
        if self.changed("head_samples") and not ("dropout" in self.head and self.dropout):
            raise ValueError(
                "head_samples has no effect: expected 'dropout' in head, and dropout above 0"
            )
        if self.head[-1:] != ("linear",):
            raise ValueError(
                f"head: expected 'linear' last, got {list(self.head)}; its outputs are the logits"
            )
        return self


# Pydantic lists the fields of the last base first.
class ModelSettings(HeadSettings, ImageSettings):
    """A timm backbone for the slices, a recurrent network over them, pooling, and the heads.

    The model always receives the mask of missing slices.
    """

    encoder: Literal["slices", "volume"] = Field(
        default="slices",
        description=(
            "How slices are read. 'slices': as images of a 2-D timm backbone, see slices_as; "
            "'volume': the slices of each series are the volume of a 3-D encoder, which gives "
            "features for each of them. Its backbone is resnet10, resnet18, resnet34, resnet50 or "
            "resnet101 of MONAI, which is not pretrained."
        ),
    )
    encoder_width: EncoderWidth = 64
    slices_as: SlicesAs = Field(
        default="sequence",
        description=(
            "How slices enter the backbone. 'sequence': one image per slice; 'threes': one image "
            "with three channels for every three slices; 'channels': one image with a channel per "
            "slice."
        ),
    )
    slice_dropout: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Dropout rate of the slice features, and between the recurrent layers.",
    )
    spatial_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description=(
            "Rate of spatial dropout: a feature is dropped in all slices of a sample at once."
        ),
    )

    rnn: Rnn = Field(default="lstm", description="Bidirectional recurrent network over the slices.")
    rnn_layers: int = Field(default=1, ge=1, le=4, description="Number of recurrent layers.")
    rnn_per_head: bool = Field(
        default=False, description="Whether each condition has its own recurrent network."
    )
    rnn_init: RnnInit = Field(
        default="uniform",
        description=(
            "Initial weights of the recurrent network. 'uniform': PyTorch's default; 'orthogonal': "
            "orthogonal matrices."
        ),
    )
    slice_pool: SlicePool = Field(
        default="attention",
        description=(
            "How the slices become one vector. 'last': the last state of each direction; 'mean'; "
            "'range_mean': the mean over the slices that show the condition; 'max'; 'mean_max': "
            "mean and max concatenated; 'attention': a weighted mean whose weights come from one "
            "linear layer; 'mlp_attention': the same with two layers; 'view_attention': as "
            "'attention', over the slices of the series that show the condition alone."
        ),
    )

    heads: Literal["condition", "one"] = Field(
        default="condition", description="One head per condition, or one head for all."
    )
    head_context: Literal["none", ContextKind] = Field(
        default="none",
        description=(
            "Layer over the conditions of a sample, ahead of their heads. 'lstm': a bidirectional "
            "LSTM; 'transformer': a transformer encoder layer."
        ),
    )
    study_context: Literal["none", ContextKind] = Field(
        default="none",
        description=(
            "The same over the samples of a study, for each condition by itself. Needs "
            "training.batch_by 'study'."
        ),
    )

    @model_validator(mode="after")
    def _check_encoder(self) -> Self:
        check_encoder(self, unused=("slices_as", "drop_path"))
        return self

    @model_validator(mode="after")
    def _check_architecture(self) -> Self:
        if self.slices_as == "channels" and (self.rnn != "none" or self.slice_pool != "mean"):
            raise ValueError(
                "slices_as 'channels' leaves no sequence: expected rnn 'none' and slice_pool "
                f"'mean', got {self.rnn!r} and {self.slice_pool!r}"
            )
        if self.rnn == "none":
            self._check_without_rnn()
        per_condition = self.rnn_per_head or self.slice_pool in ("range_mean", "view_attention")
        if self.heads == "one" and (per_condition or self.head_context != "none"):
            raise ValueError(
                "rnn_per_head, head_context and slice_pool 'range_mean' and 'view_attention' are "
                "per condition: expected heads 'condition', or rnn_per_head false, head_context "
                "'none' and slice_pool 'mean'"
            )
        return self

    def _check_without_rnn(self) -> None:
        for setting in ("rnn_layers", "rnn_per_head", "rnn_init"):
            if self.changed(setting):
                raise ValueError(f"{setting} has no effect: expected rnn 'lstm' or 'gru'")
        if self.slice_pool == "last":
            raise ValueError(
                "slice_pool 'last' needs a recurrent net: expected rnn 'lstm' or 'gru', or "
                "slice_pool 'mean'"
            )
