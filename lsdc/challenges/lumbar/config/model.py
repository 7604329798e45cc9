"""The model's part of an experiment: backbone, sequence, pooling, heads."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lsdc.experiments.base import Config

HeadLayer = Literal["linear", "batch_norm", "layer_norm", "relu", "leaky_relu", "dropout"]
SlicePool = Literal["last", "mean", "range_mean", "max", "mean_max", "attention", "mlp_attention"]


class ModelConfig(Config):
    """A timm backbone for the slices, a recurrent net over them, pooling, and the heads.

    Slices that are missing are told to the model whatever the settings.
    """

    backbone: str = Field(
        default="tf_efficientnetv2_s.in21k_ft_in1k", description="a model of timm, with its tag"
    )
    axial_backbone: str | None = Field(
        default=None, description="a second one, for axial slices alone"
    )
    pretrained: bool = Field(default=True, description="whether backbones come with their weights")
    drop_path: float = Field(
        default=0.0, ge=0, lt=1, description="stochastic depth: how often a block is left out"
    )
    slices_as: Literal["sequence", "threes", "channels"] = Field(
        default="sequence",
        description="an image a slice; an image of three channels for every three slices; or one "
        "image with a channel a slice",
    )
    pixels: Literal["pretraining", "sample", "plain"] = Field(
        default="pretraining",
        description="scaled by the mean and spread that the backbone was pretrained with, by those "
        "of the sample's own slices, or from 0 to 1",
    )
    map_pool: Literal["avg", "max", "gem"] = Field(
        default="avg", description="of a feature map; 'gem' is a generalised mean, its power learnt"
    )
    width: int = Field(
        default=256, ge=8, description="features of a slice, and of each recurrent direction"
    )
    slice_dropout: float = Field(
        default=0.2, ge=0, lt=1, description="of slices' features, also between recurrent layers"
    )
    spatial_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="of a feature in all slices of a sample at once"
    )

    rnn: Literal["none", "lstm", "gru"] = Field(
        default="lstm", description="over the slices, in both directions"
    )
    rnn_layers: int = Field(default=1, ge=1, le=4, description="one upon the other")
    rnn_per_head: bool = Field(default=False, description="one a condition, or one for all")
    rnn_init: Literal["uniform", "orthogonal"] = Field(
        default="uniform", description="weights at first: torch's own, or orthogonal matrices"
    )
    slice_pool: SlicePool = Field(
        default="attention",
        description="how slices become one: the recurrent net's last state of each direction, "
        "their mean, the mean of the condition's own slices, maximum, mean beside maximum, or a "
        "weighted mean whose weights are a linear function of the features or come of two layers",
    )

    heads: Literal["condition", "one"] = Field(
        default="condition", description="one a condition, or one that answers for all"
    )
    head: tuple[HeadLayer, ...] = Field(
        default=("dropout", "linear"), description="the layers of a head, in order"
    )
    head_width: int = Field(default=256, ge=8, description="of linear layers before the last")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="of the heads' dropout layers")

    @property
    def backbones(self) -> tuple[str, ...]:
        """One or two."""
        return (
            (self.backbone,)
            if self.axial_backbone is None
            else (self.backbone, self.axial_backbone)
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.slices_as == "channels" and (self.rnn != "none" or self.slice_pool != "mean"):
            raise ValueError(
                "slices_as 'channels' leaves no sequence: expected rnn 'none' and slice_pool "
                f"'mean', got {self.rnn!r} and {self.slice_pool!r}"
            )
        if self.rnn == "none":
            self._check_without_rnn()
        if self.heads == "one" and (self.rnn_per_head or self.slice_pool == "range_mean"):
            raise ValueError(
                "rnn_per_head and slice_pool 'range_mean' are by condition: expected heads "
                "'condition', or rnn_per_head false and slice_pool 'mean'"
            )
        if self.head[-1:] != ("linear",):
            raise ValueError(
                f"head: expected 'linear' last, got {list(self.head)}; its output are the logits"
            )
        return self

    def _check_without_rnn(self) -> None:
        for setting in ("rnn_layers", "rnn_per_head", "rnn_init"):
            if self.changed(setting):
                raise ValueError(f"{setting} changes nothing: expected rnn 'lstm' or 'gru'")
        if self.slice_pool == "last":
            raise ValueError(
                "slice_pool 'last' is a recurrent net's: expected rnn 'lstm' or 'gru', or "
                "slice_pool 'mean'"
            )
