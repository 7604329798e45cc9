"""The model: backbones for the slices, a recurrent net over them, pooling, and heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lsdc.training.models.backbone import BackboneSettings
from lsdc.training.models.encoder import Encoder, Pixels
from lsdc.training.models.heads import HeadLayer, build_head
from lsdc.training.models.pooling import PoolSlices, SlicePool
from lsdc.training.models.sequence import Rnn, RnnInit, SliceSequence

SlicesAs = Literal["sequence", "threes", "channels"]

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


@dataclass(frozen=True)
class ModelSettings:
    """The architecture; an experiment's `model` settings describe each field."""

    backbone: str
    second_backbone: str | None = None
    drop_path: float = 0.0
    slices_as: SlicesAs = "sequence"
    pixels: Pixels = "pretraining"
    map_pool: Literal["avg", "max", "gem"] = "avg"
    width: int = 256
    slice_dropout: float = 0.0
    spatial_dropout: float = 0.0
    rnn: Rnn = "lstm"
    rnn_layers: int = 1
    rnn_per_head: bool = False
    rnn_init: RnnInit = "uniform"
    slice_pool: SlicePool = "attention"
    one_head: bool = False
    head: tuple[HeadLayer, ...] = ("dropout", "linear")
    head_width: int = 256
    dropout: float = 0.0


class SliceModel(nn.Module):
    """Grade a sample from its slices.

    Each place has its own meaning, so a learned vector is added per place, and another one if its
    slice is absent. Absent slices are masked: their pixels have no effect and pooling skips them;
    absent channels of an image with other slices are set to the mean grey.

    Attributes:
        encoders: one encoder per backbone, which is its submodule `backbone`.
    """

    def __init__(
        self,
        settings: ModelSettings,
        task: Task,
        *,
        pretrained: bool,
        weights: Path | None = None,
    ) -> None:
        """Build the model; weights that are not pretrained are drawn from torch's seed.

        Raises:
            SettingsError: see `lsdc.training.models.backbone.create_backbone`.
        """
        super().__init__()
        self._heads, self._classes = task.heads, task.classes
        names = [settings.backbone]
        seen_by = [tuple(range(task.slices))]
        if settings.second_backbone is not None:
            names.append(settings.second_backbone)
            first = tuple(place for place in seen_by[0] if place not in task.second)
            seen_by = [first, task.second]
        images = [_images(places, settings.slices_as) for places in seen_by]
        self.encoders = nn.ModuleList(
            Encoder(
                BackboneSettings(
                    name, len(own[0]), task.size_px, settings.map_pool, settings.drop_path
                ),
                own,
                width=settings.width,
                pixels=settings.pixels,
                pretrained=pretrained,
                weights=weights,
            )
            for name, own in zip(names, images, strict=True)
        )
        in_order = [image for own in images for image in own]
        self._order = sorted(range(len(in_order)), key=lambda number: in_order[number])
        in_order.sort()

        self.places = nn.Parameter(_PLACE_SPREAD * torch.randn(len(in_order), settings.width))
        self.spatial_dropout = nn.Dropout1d(settings.spatial_dropout)
        heads = 1 if settings.one_head else task.heads
        self.sequences = nn.ModuleList(
            SliceSequence(
                settings.rnn,
                settings.width,
                layers=settings.rnn_layers,
                dropout=settings.slice_dropout,
                init=settings.rnn_init,
            )
            for _ in range(heads if settings.rnn_per_head else 1)
        )
        features = settings.width if settings.rnn == "none" else 3 * settings.width
        owns = task.own or [tuple(range(task.slices))] * heads
        pools = [
            PoolSlices(
                settings.slice_pool,
                features,
                rnn_width=settings.width,
                own=torch.tensor([not set(image).isdisjoint(own) for image in in_order]),
            )
            for own in owns[:heads]
        ]
        self.pools = nn.ModuleList(pools)
        self.heads = nn.ModuleList(
            build_head(
                settings.head,
                pool.features,
                task.heads * task.classes // heads,
                width=settings.head_width,
                dropout=settings.dropout,
            )
            for pool in pools
        )
        everything = torch.ones(len(in_order), dtype=torch.bool)
        self.group_pool = PoolSlices(
            "mean", settings.width, rnn_width=settings.width, own=everything
        )
        self.group_head = nn.Linear(settings.width, task.groups) if task.groups else None

    def forward(self, slices: Tensor, present: Tensor) -> Tensor:
        """Return the logits of all heads.

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1.
            present: (b, s) bool.

        Returns:
            (b, heads, classes), or with groups (b, heads + 1, the larger of classes and groups):
            the last head predicts the group, and classes that a head lacks are -inf.
        """
        encoded = [encoder(slices, present) for encoder in self.encoders]
        features = torch.cat([vectors for vectors, _ in encoded], dim=1)[:, self._order]
        seen = torch.cat([seen for _, seen in encoded], dim=1)[:, self._order]  # (b, m)
        features = features + self.places  # (b, m, width)
        features = self.spatial_dropout(features.transpose(1, 2)).transpose(1, 2)
        sequences = [sequence(features) for sequence in self.sequences]
        if len(sequences) < len(self.heads):
            sequences *= len(self.heads)
        logits = [
            head(pool(sequence, seen))
            for sequence, pool, head in zip(sequences, self.pools, self.heads, strict=True)
        ]
        grades = torch.cat(logits, dim=1).view(-1, self._heads, self._classes)
        if self.group_head is None:
            return grades
        group = self.group_head(self.group_pool(features, seen)).unsqueeze(1)
        return torch.cat([_with_classes(grades, group), _with_classes(group, grades)], dim=1)


def _with_classes(logits: Tensor, other: Tensor) -> Tensor:
    """Pad logits with -inf to the number of classes of `other`."""
    more = max(0, other.shape[-1] - logits.shape[-1])
    return pad(logits, (0, more), value=-torch.inf)


def _images(places: Sequence[int], slices_as: SlicesAs) -> list[tuple[int, ...]]:
    """Return the places of each image's channels."""
    channels = {"sequence": 1, "threes": 3, "channels": len(places)}[slices_as]
    return [tuple(places[start : start + channels]) for start in range(0, len(places), channels)]
