"""Residual networks in three dimensions, MONAI's: Hara et al. 2018, arXiv:1711.09577."""

from collections.abc import Sequence

from monai.networks.nets import ResNet
from torch import Tensor, nn

STRIDES = [2, 4, 8, 16, 32]  # of the maps of the stages, in the plane
_BASIC, _BOTTLENECK = "basic", "bottleneck"
_RESNETS: dict[str, tuple[str, list[int]]] = {
    "resnet10": (_BASIC, [1, 1, 1, 1]),
    "resnet18": (_BASIC, [2, 2, 2, 2]),
    "resnet34": (_BASIC, [3, 4, 6, 3]),
    "resnet50": (_BOTTLENECK, [3, 4, 6, 3]),
    "resnet101": (_BOTTLENECK, [3, 4, 23, 3]),
}


class VolumeBackbone(nn.Module):
    """The maps of some stages of a 3-D ResNet, from volumes (n, channels, depth, h, w).

    The first convolution keeps the depth; each later stage halves it, until it is 1.

    Args:
        name: one of `lsdc.training.settings.volume.VOLUME_BACKBONES`.
        width: number of features of the first stage.
        stages: the stages whose maps are returned, counted from 0.
        channels: number of channels of a place in depth.
        keeps_depth: whether all stages keep the depth.

    Attributes:
        channels: the features of each map.
    """

    def __init__(
        self,
        name: str,
        width: int,
        stages: Sequence[int],
        *,
        channels: int = 1,
        keeps_depth: bool = False,
    ) -> None:
        super().__init__()
        kind, blocks = _RESNETS[name]
        planes = [width * 2**stage for stage in range(4)]
        whole = ResNet(
            kind,
            blocks,
            planes,
            n_input_channels=channels,
            conv1_t_size=(3, 7, 7),
            conv1_t_stride=(1, 2, 2),
            feed_forward=False,
        )
        if keeps_depth:
            _keep_depth(whole)
        wider = 1 if kind == _BASIC else 4
        of_stages = [planes[0]] + [wider * each for each in planes]
        self.channels = [of_stages[stage] for stage in stages]
        self._returned = set(stages)
        parts = [
            nn.Sequential(whole.conv1, whole.bn1, whole.act),
            nn.Sequential(whole.maxpool, whole.layer1),
            whole.layer2,
            whole.layer3,
            whole.layer4,
        ]
        self.stages = nn.ModuleList(parts[: max(stages) + 1])

    def forward(self, volumes: Tensor) -> list[Tensor]:
        """Return the maps (n, features, depth', h', w')."""
        maps = []
        for number, stage in enumerate(self.stages):
            volumes = stage(volumes)
            if number in self._returned:
                maps.append(volumes)
        return maps


def _keep_depth(network: nn.Module) -> None:
    """Set the stride along the depth to 1, everywhere."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.MaxPool3d):
            stride = module.stride
            rows, columns = (stride, stride) if isinstance(stride, int) else stride[1:]
            module.stride = (1, rows, columns)
