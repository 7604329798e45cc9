"""The model: backbones for the slices, a recurrent net over them, pooling, and heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from lsdc.training.models.auxiliary import SliceScores, View, ViewHeads
from lsdc.training.models.blend import Blend
from lsdc.training.models.context import HeadContext, StudyContext
from lsdc.training.models.encoder import Encoder
from lsdc.training.models.heads import Head, build_head
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
        shape: rows and columns of a slice.
        heads: number of heads, one per label.
        classes: number of classes of each head.
        groups: number of sample groups for an auxiliary head to predict; 0 for no such head.
        own: for each head the places that show its finding, for "range_mean".
        second: places encoded by the second backbone, if there are two.
        views: the kinds of images, for "view_attention"; a 3-D encoder sees each as a volume.
        grades_views: whether an auxiliary head grades each view by itself.
        marked: for each head the places among which a slice may be annotated, for an auxiliary
            head to tell; empty for no such head.
        items: number of items that a study may have, each with one or more samples.
    """

    slices: int
    shape: tuple[int, int]
    heads: int
    classes: int
    groups: int = 0
    own: tuple[tuple[int, ...], ...] = ()
    second: tuple[int, ...] = ()
    views: tuple[View, ...] = ()
    grades_views: bool = False
    marked: tuple[tuple[int, ...], ...] = ()
    items: int = 1


class SliceModel(nn.Module):
    """Grade a sample from its slices.

    Each place has its own meaning, so a learned vector is added per place, and another one if its
    slice is absent. Absent slices are masked: their pixels have no effect and pooling skips them;
    absent channels of an image with other slices are set to the mean grey.

    Attributes:
        encoders: one encoder per backbone, which is its submodule `backbone`.
        images: the places of each image's channels, in the order of the features.
        together: the numbers of the images that are encoded together: each by itself, or those of
            a volume.
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
        encoders, encoded, self.together = _build_encoders(
            task, settings, second_backbone, pretrained=pretrained, weights=weights
        )
        self.encoders = nn.ModuleList(encoders)
        self._order = sorted(range(len(encoded)), key=encoded.__getitem__)
        self.images = tuple(sorted(encoded))
        self.places = nn.Parameter(_PLACE_SPREAD * torch.randn(len(encoded), settings.width))
        self.spatial_dropout = nn.Dropout1d(settings.spatial_dropout)

        heads = 1 if settings.heads == "one" else task.heads
        sequences = [SliceSequence(settings) for _ in range(heads if settings.rnn_per_head else 1)]
        pools = _build_pools(settings, sequences[0].features, self.images, _own(task, settings))
        self.sequences, self.pools = nn.ModuleList(sequences), nn.ModuleList(pools)
        self.heads = nn.ModuleList(_build_heads(task, settings, pools))
        # These come last, so that all other weights are drawn alike without them.
        self._add_auxiliary_heads(task, settings, sequences[0].features)
        self._add_context(task, settings, pools[0].features)

    def _add_auxiliary_heads(self, task: Task, settings: ModelSettings, features: int) -> None:
        """Add the heads that only help to train; `features` is the number of those of a slice."""
        if task.groups:
            everything = torch.ones(len(self.images), dtype=torch.bool)
            self.group_pool = PoolSlices(
                "mean", settings.width, rnn_width=settings.width, own=everything
            )
            self.group_head = nn.Linear(settings.width, task.groups)
        self.view_heads = (
            ViewHeads(
                task.views,
                [_shows(self.images, view.places) for view in task.views],
                width=settings.width,
                classes=task.classes,
                dropout=settings.dropout,
            )
            if task.grades_views
            else None
        )
        self.slice_scores = SliceScores(features, task.marked, task.slices) if task.marked else None

    def _add_context(self, task: Task, settings: ModelSettings, features: int) -> None:
        """Add the layers between pools and heads; `features` is the number of a pool's outputs."""
        width, dropout = settings.head_width, settings.dropout
        self.head_context: HeadContext | None = None
        self.study_context: StudyContext | None = None
        if settings.head_context != "none":
            self.head_context = HeadContext(
                settings.head_context, features, width=width, places=task.heads, dropout=dropout
            )
        if settings.study_context != "none":
            self.study_context = StudyContext(
                settings.study_context, features, width=width, places=task.items, dropout=dropout
            )

    def forward(
        self,
        slices: Tensor,
        present: Tensor,
        members: Tensor | None = None,
        blend: Blend | None = None,
    ) -> Outputs:
        """Return the logits of all heads.

        Args:
            slices: (b, s, h, w) uint8, or float from 0 to 1.
            present: (b, s) bool.
            members: (b, 2) int64, the study of each sample and its item there, for the context over
                a study; without them, each sample is the first of a study of its own.
            blend: how the features of the samples are blended, in training.
        """
        features, seen = self.encode(slices, present)
        return self.read(features if blend is None else blend.of(features, seen), seen, members)

    def encode(self, slices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of each image (b, m, width), and which images have a slice (b, m)."""
        encoded = [encoder(slices, present) for encoder in self.encoders]
        features = torch.cat([vectors for vectors, _ in encoded], dim=1)[:, self._order]
        seen = torch.cat([seen for _, seen in encoded], dim=1)[:, self._order]  # (b, m)
        return features + self.places, seen

    def read(self, features: Tensor, seen: Tensor, members: Tensor | None = None) -> Outputs:
        """Return the logits of all heads from what `encode` returns; see `forward`."""
        features = self._dropped(features)
        sequences = self._sequences(features)
        pooled = [
            pool(sequence, seen) for sequence, pool in zip(sequences, self.pools, strict=True)
        ]
        logits = [
            head(vectors)
            for head, vectors in zip(self.heads, self._related(pooled, members), strict=True)
        ]
        return Outputs(
            grades=torch.cat(logits, dim=1).view(-1, self._heads, self._classes),
            group=self.group_head(self.group_pool(features, seen)) if self._groups else None,
            views=None if self.view_heads is None else self.view_heads(features, seen),
            slices=self._scores(sequences, seen),
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

    def told(self, features: Tensor, seen: Tensor) -> Tensor | None:
        """Return the probability (b, heads, s) that a slice is the annotated one, for each head.

        Without the head that tells it, return None.
        """
        scores = self._scores(self._sequences(features), seen)
        return None if scores is None else scores.softmax(dim=-1)

    def _related(self, vectors: list[Tensor], members: Tensor | None) -> Sequence[Tensor]:
        """Return the vectors (b, features) of each head in the context of others."""
        if self.head_context is None and self.study_context is None:
            return vectors
        stacked = torch.stack(vectors, dim=1)
        if self.head_context is not None:
            stacked = self.head_context.relate(stacked)
        if self.study_context is not None:
            if members is None:
                alone = torch.arange(len(stacked), device=stacked.device)
                members = torch.stack([alone, torch.zeros_like(alone)], dim=1)
            stacked = self.study_context.relate(stacked, members)
        return stacked.unbind(dim=1)

    def _scores(self, sequences: list[Tensor], seen: Tensor) -> Tensor | None:
        if self.slice_scores is None:
            return None
        of_heads = sequences if len(sequences) == self._heads else sequences * self._heads
        scores: Tensor = self.slice_scores(of_heads, seen)
        return scores

    def _dropped(self, features: Tensor) -> Tensor:
        dropped: Tensor = self.spatial_dropout(features.transpose(1, 2)).transpose(1, 2)
        return dropped

    def _sequences(self, features: Tensor) -> list[Tensor]:
        """Return the sequence that each head pools."""
        sequences = [sequence(features) for sequence in self.sequences]
        return sequences * (len(self.heads) if len(sequences) < len(self.heads) else 1)


def _build_encoders(
    task: Task,
    settings: ModelSettings,
    second_backbone: str | None,
    *,
    pretrained: bool,
    weights: Path | None,
) -> tuple[list[nn.Module], list[Image], tuple[Image, ...]]:
    """Return the encoders, the images in the order of their features, and `together`."""
    if settings.encoder == "volume":
        # It loads MONAI, which takes longer than torch, and which other models do not need.
        from lsdc.training.models.volume_encoder import VolumeEncoder

        volumes = _volumes(task)
        encoded: list[Image] = [(place,) for volume in volumes for place in volume]
        return [VolumeEncoder(settings, volumes)], encoded, tuple(volumes)
    backbones = _share_out(task, settings, second_backbone)
    encoders: list[nn.Module] = [
        Encoder(name, settings, images, shape=task.shape, pretrained=pretrained, weights=weights)
        for name, images in backbones
    ]
    every = [image for _, images in backbones for image in images]
    return encoders, every, tuple((number,) for number in range(len(every)))


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


def _volumes(task: Task) -> list[tuple[int, ...]]:
    """Return the places of each volume: of a view, or all places without views."""
    return [view.places for view in task.views] or [tuple(range(task.slices))]


def _images(places: Sequence[int], slices_as: SlicesAs) -> list[Image]:
    """Return the images that show the places."""
    channels = {"sequence": 1, "threes": 3, "channels": len(places)}[slices_as]
    return [tuple(places[start : start + channels]) for start in range(0, len(places), channels)]


def _own(task: Task, settings: ModelSettings) -> tuple[tuple[int, ...], ...]:
    """Return the places that each pool may be limited to."""
    everything = tuple(range(task.slices))
    if settings.heads == "one":
        return (everything,)
    if settings.slice_pool != "view_attention":
        return task.own or (everything,) * task.heads
    by_head = [
        tuple(place for view in task.views if head in view.heads for place in view.places)
        for head in range(task.heads)
    ]
    return tuple(places or everything for places in by_head)


def _shows(images: Sequence[Image], places: Sequence[int]) -> Tensor:
    """Return which images (m,) show any of the places."""
    return torch.tensor([not set(image).isdisjoint(places) for image in images])


def _build_heads(task: Task, settings: ModelSettings, pools: Sequence[PoolSlices]) -> list[Head]:
    """Build the head of each pool; a single one has the outputs of all heads."""
    return [
        build_head(
            settings.head,
            pool.features,
            task.heads * task.classes // len(pools),
            width=settings.head_width,
            dropout=settings.dropout,
            samples=settings.head_samples,
        )
        for pool in pools
    ]


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
            own=_shows(images, own),
        )
        for own in owns
    ]
