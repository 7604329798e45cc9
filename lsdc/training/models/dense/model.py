"""The network of targets that are images: encoder, layers over depth, decoder, output."""

from collections.abc import Sequence
from pathlib import Path

from monai.networks.blocks import UnetUpBlock
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lsdc.errors import SettingsError
from lsdc.training.models.blend import Blend
from lsdc.training.models.dense.depth import PoolDepth, ResidualBlock3d, norm_of
from lsdc.training.models.dense.encoders import Layout, build_encoder, strides_of
from lsdc.training.models.outputs import Outputs
from lsdc.training.models.pixels import Scale, as_shares
from lsdc.training.settings.dense import DenseModelSettings

_NORM = "batch"  # of the decoder's blocks
_WIDEST = 512  # channels of the decoder
_SMALLEST = 32  # stride of an encoder's smallest map


class DenseModel(nn.Module):
    """Predict an image from the layers of a sample.

    The encoder makes maps with a depth. The smallest map passes residual blocks in three
    dimensions, and each map is pooled over depth. With a U-Net decoder, the smallest map is
    enlarged step by step beside the larger ones. The output layer follows.

    Attributes:
        stride: pixels of a layer per pixel of the output, along each edge.
    """

    def __init__(
        self,
        settings: DenseModelSettings,
        layout: Layout,
        *,
        heads: int = 1,
        pretrained: bool,
        weights: Path | None = None,
    ) -> None:
        """Build the model; weights that are not pretrained are drawn from torch's seed.

        Args:
            settings: the architecture; its `pretrained` does not count here.
            layout: the layers of a sample.
            heads: number of images that are predicted.
            pretrained: whether to load pretrained weights; a trained model needs none.
            weights: see `lsdc.training.models.backbone.create_backbone`.

        Raises:
            SettingsError: the backbone or its weights do not exist, or its maps have other
                strides; or the shape of the layers is no multiple of these.
        """
        super().__init__()
        self.stride: int = settings.stride
        self._layout = layout
        strides = strides_of(settings)
        stages = _stages(settings, strides)
        _require_multiple(layout.shape, strides[stages[-1]])
        self.encoder = build_encoder(
            settings, layout, stages, pretrained=pretrained, weights=weights
        )
        backbone = self.encoder.backbone
        self._scale = (
            Scale(settings.pixels)
            if settings.encoder == "volume"
            else Scale.of(settings.pixels, backbone)
        )
        width, (*larger, smallest) = settings.width, self.encoder.channels
        self.enter = nn.Sequential(
            nn.Conv3d(smallest, width, 1, bias=False),
            norm_of(settings.norm, width, dimensions=3),
            nn.ReLU(),
        )
        blocks = settings.blocks if settings.encoder == "groups" else 0
        self.blocks = nn.Sequential(*(ResidualBlock3d(width, settings.norm) for _ in range(blocks)))
        self.pool = PoolDepth(settings.depth_pool, width)
        features = self.pool.features
        self.decoder: UNetDecoder | None = None
        if settings.decoder == "unet":
            self.decoder = UNetDecoder(settings, features, larger)
            features = self.decoder.features
        hidden = max(features // 2, 8)
        self.head = nn.Sequential(
            nn.Conv2d(features, hidden, 1),
            nn.ReLU(),
            norm_of(settings.norm, hidden, dimensions=2),
            nn.Dropout(settings.dropout),
            nn.Conv2d(hidden, heads, 1),
        )

    def forward(
        self,
        slices: Tensor,
        present: Tensor,
        members: Tensor | None = None,  # noqa: ARG002  # every sample is by itself
        blend: Blend | None = None,
    ) -> Outputs:
        """Return the logits (b, heads, h / stride, w / stride) of each pixel.

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1; s is groups x channels, in order.
            present: (b, s) bool; absent layers are set to the mean grey.
            members: not used.
            blend: how the pooled maps of the samples are blended, in training.
        """
        mean, spread = self._scale.of_each(slices, present)
        grey = (as_shares(slices) - mean) / spread
        grey = grey.masked_fill(~present[..., None, None], 0.0)
        groups = grey.view(len(grey), self._layout.groups, self._layout.channels, *grey.shape[2:])
        *larger, smallest = self.encoder(groups)
        features = self.pool(self.blocks(self.enter(smallest)))
        if self.decoder is not None:
            features = self.decoder(features, larger)
            features = enlarge(features, [length // self.stride for length in slices.shape[-2:]])
        if blend is not None:
            features = blend.of(features)
        return Outputs(self.head(features))


class UNetDecoder(nn.Module):
    """Enlarge a map step by step, each time beside the encoder's map of that size.

    The blocks are MONAI's: a transposed convolution, and two convolutions over both maps.

    Args:
        settings: decoder_width and depth_pool.
        features: number of features of the smallest map, which has no depth.
        larger: number of features of the encoder's larger maps, the largest first.

    Attributes:
        features: number of features of the enlarged map.
    """

    def __init__(self, settings: DenseModelSettings, features: int, larger: Sequence[int]) -> None:
        super().__init__()
        self.features = features
        pools, steps = [], []
        for number, channels in reversed(list(enumerate(larger))):
            width = min(settings.decoder_width * 2**number, _WIDEST)
            pool = PoolDepth(settings.depth_pool, channels)
            pools.append(nn.Sequential(pool, nn.Conv2d(pool.features, width, 1)))
            steps.append(
                UnetUpBlock(
                    2,
                    self.features,
                    width,
                    kernel_size=3,
                    stride=1,
                    upsample_kernel_size=2,
                    norm_name=_NORM,
                )
            )
            self.features = width
        self.pools, self.steps = nn.ModuleList(pools), nn.ModuleList(steps)

    def forward(self, features: Tensor, larger: Sequence[Tensor]) -> Tensor:
        """Return the map (b, self.features, h, w) of the size of the first of `larger`.

        Args:
            features: (b, features, h', w').
            larger: maps (b, channels, depth, h, w), each twice as large as the next.
        """
        for pool, step, beside in zip(self.pools, self.steps, reversed(larger), strict=True):
            features = step(features, pool(beside))
        return features


def _stages(settings: DenseModelSettings, strides: Sequence[int]) -> list[int]:
    """Return the stages of the encoder whose maps are used, the largest map first."""
    doubling = [strides[0] * 2**stage for stage in range(len(strides))]
    if list(strides) != doubling or strides[-1] != _SMALLEST:
        raise SettingsError(
            f"model.backbone: the maps of {settings.backbone} have the strides "
            f"{', '.join(map(str, strides))}, expected strides that double up to {_SMALLEST}; try "
            "a convolutional model or a hierarchical transformer, such as convnext_tiny.fb_in1k"
        )
    if settings.decoder == "none":
        return [len(strides) - 1]
    return [
        stage
        for stage, stride in enumerate(strides)
        # Below the encoder's first stride, its largest map is enlarged.
        if stride >= settings.stride
    ]


def _require_multiple(shape: tuple[int, int], stride: int) -> None:
    if any(length % stride for length in shape):
        raise SettingsError(
            f"layers of {shape[1]} x {shape[0]} px: expected multiples of {stride} px, the stride "
            "of the encoder's smallest map; use another size, or another model.backbone"
        )


def enlarge(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """Return maps (n, features, h, w) enlarged to a shape, bilinearly.

    Pixels are areas: the centre of an output pixel lies where it does in the image.
    """
    rows, columns = shape
    if maps.shape[-2:] == (rows, columns):
        return maps
    enlarged: Tensor = interpolate(maps, (rows, columns), mode="bilinear", align_corners=False)
    return enlarged
