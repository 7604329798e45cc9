"""The model: backbones for the slices, a recurrent net over them, pooling, and heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from lsdc.training.models.encoder import Encoder
from lsdc.training.models.heads import build_head
from lsdc.training.models.outputs import Outputs
from lsdc.training.models.pooling import PoolSlices
from lsdc.training.models.sequence import SliceSequence
from lsdc.training.settings.model import ModelSettings, SlicesAs

Image = tuple[int, ...]
"""The places of an image's channels."""

_PLACE_SPREAD = 1.0  # initial spread of place vectors; that of features is about 0.6


@dataclass(frozen=True)
class Task:
    """The shapes of a sample and of its labels.

    Attributes:
        slices: number of slices of a sample.
        size_px: edge of a slice in pixels.
        heads: number of heads, one per label.
        classes: number of classes of each head.
        groups: number of sample groups for an auxiliary head to predict; 0 for no such head.
        own: for each head the places that show its finding, for "range_mean".
        second: places encoded by the second backbone, if there are two.
    """

    slices: int
    size_px: int
    heads: int
    classes: int
    groups: int = 0
    own: tuple[tuple[int, ...], ...] = ()
    second: tuple[int, ...] = ()


class SliceModel(nn.Module):
    """Grade a sample from its slices.

    Each place has its own meaning, so a learned vector is added per place, and another one if its
    slice is absent. Absent slices are masked: their pixels have no effect and pooling skips them;
    absent channels of an image with other slices are set to the mean grey.

    Attributes:
        encoders: one encoder per backbone, which is its submodule `backbone`.
        images: the places of each image's channels, in the order of the features.
    """

    def __init__(
        self,
        settings: ModelSettings,
        task: Task,
        *,
        pretrained: bool,
        second_backbone: str | None = None,
        weights: Path | None = None,
    ) -> None:
        """Build the model; weights that are not pretrained are drawn from torch's seed.

        Args:
            settings: the architecture; its `pretrained` does not count here.
            task: the shapes of a sample and of its labels.
            pretrained: whether to load pretrained weights; a trained model needs none.
            second_backbone: timm name of the backbone that encodes `task.second`; None if the first
                one encodes all places.
            weights: see `lsdc.training.models.backbone.create_backbone`.

        Raises:
            SettingsError: see `lsdc.training.models.backbone.create_backbone`.
        """
        super().__init__()
        self._heads, self._classes, self._groups = task.heads, task.classes, task.groups
        backbones = _share_out(task, settings, second_backbone)
        self.encoders = nn.ModuleList(
            Encoder(
                name,
                settings,
                images,
                size_px=task.size_px,
                pretrained=pretrained,
                weights=weights,
            )
            for name, images in backbones
        )
        encoded = [image for _, images in backbones for image in images]
        self._order = sorted(range(len(encoded)), key=encoded.__getitem__)
        self.images = tuple(sorted(encoded))
        self.places = nn.Parameter(_PLACE_SPREAD * torch.randn(len(encoded), settings.width))
        self.spatial_dropout = nn.Dropout1d(settings.spatial_dropout)

        heads = 1 if settings.heads == "one" else task.heads
        sequences = [SliceSequence(settings) for _ in range(heads if settings.rnn_per_head else 1)]
        owns = task.own[:heads] or (tuple(range(task.slices)),) * heads
        pools = _build_pools(settings, sequences[0].features, self.images, owns)
        self.sequences, self.pools = nn.ModuleList(sequences), nn.ModuleList(pools)
        outputs = task.heads * task.classes // heads
        width, dropout = settings.head_width, settings.dropout
        self.heads = nn.ModuleList(
            build_head(settings.head, pool.features, outputs, width=width, dropout=dropout)
            for pool in pools
        )
        if task.groups:
            everything = torch.ones(len(encoded), dtype=torch.bool)
            self.group_pool = PoolSlices(
                "mean", settings.width, rnn_width=settings.width, own=everything
            )
            self.group_head = nn.Linear(settings.width, task.groups)

    def forward(self, slices: Tensor, present: Tensor) -> Outputs:
        """Return the logits of all heads.

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1.
            present: (b, s) bool.
        """
        return self.read(*self.encode(slices, present))

    def encode(self, slices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of each image (b, m, width), and which images have a slice (b, m)."""
        encoded = [encoder(slices, present) for encoder in self.encoders]
        features = torch.cat([vectors for vectors, _ in encoded], dim=1)[:, self._order]
        seen = torch.cat([seen for _, seen in encoded], dim=1)[:, self._order]  # (b, m)
        return features + self.places, seen

    def read(self, features: Tensor, seen: Tensor) -> Outputs:
        """Return the logits of all heads from what `encode` returns."""
        features = self._dropped(features)
        logits = [
            head(pool(sequence, seen))
            for sequence, pool, head in zip(
                self._sequences(features), self.pools, self.heads, strict=True
            )
        ]
        return Outputs(
            grades=torch.cat(logits, dim=1).view(-1, self._heads, self._classes),
            group=self.group_head(self.group_pool(features, seen)) if self._groups else None,
        )

    def attention(self, features: Tensor, seen: Tensor) -> Tensor | None:
        """Return the weights (b, heads, m) by which each head pools what `encode` returns.

        They are those that `read` uses in evaluation mode, and sum to 1 over the images with a
        slice. A head for the group has none. Without attention pooling, return None.
        """
        shares = [
            cast(PoolSlices, pool).attention(sequence, seen)
            for sequence, pool in zip(self._sequences(features), self.pools, strict=True)
        ]
        known = [each for each in shares if each is not None]
        return torch.stack(known, dim=1).expand(-1, self._heads, -1) if known else None

    def _dropped(self, features: Tensor) -> Tensor:
        dropped: Tensor = self.spatial_dropout(features.transpose(1, 2)).transpose(1, 2)
        return dropped

    def _sequences(self, features: Tensor) -> list[Tensor]:
        """Return the sequence that each head pools."""
        sequences = [sequence(features) for sequence in self.sequences]
        return sequences * (len(self.heads) if len(sequences) < len(self.heads) else 1)


def _share_out(
    task: Task, settings: ModelSettings, second_backbone: str | None
) -> list[tuple[str, list[Image]]]:
    """Return each backbone's name and the images that it encodes."""
    places = range(task.slices)
    if second_backbone is None:
        return [(settings.backbone, _images(places, settings.slices_as))]
    first = [place for place in places if place not in task.second]
    return [
        (settings.backbone, _images(first, settings.slices_as)),
        (second_backbone, _images(task.second, settings.slices_as)),
    ]


def _images(places: Sequence[int], slices_as: SlicesAs) -> list[Image]:
    """Return the images that show the places."""
    channels = {"sequence": 1, "threes": 3, "channels": len(places)}[slices_as]
    return [tuple(places[start : start + channels]) for start in range(0, len(places), channels)]


def _build_pools(
    settings: ModelSettings,
    features: int,
    images: Sequence[Image],
    owns: Sequence[tuple[int, ...]],
) -> list[PoolSlices]:
    """Build a pool of the images' features for each head, which has places of its own."""
    return [
        PoolSlices(
            settings.slice_pool,
            features,
            rnn_width=settings.width,
            own=torch.tensor([not set(image).isdisjoint(own) for image in images]),
        )
        for own in owns
    ]
