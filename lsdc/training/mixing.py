"""Mixup and CutMix of the samples and labels of a batch; labels may be images.

timm's Mixup and torchvision's MixUp and CutMix use global random state, and support neither masks
nor several labels per sample. Here the result is a function of the batch's seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsdc.training.losses.graded import as_probabilities_of
from lsdc.training.models.blend import Blend
from lsdc.training.samples import Batch, Labels
from lsdc.training.settings.augment import MixSettings


@dataclass(frozen=True)
class Half:
    """One half of a sample, for the mixing of halves.

    Attributes:
        columns: (s, w) bool, the columns of each slice that belong to the half.
        rests_on: (heads, s) from 0 to 1, the part of each slice that a head's label rests on.
        within: (heads, s) from 0 to 1, how much of that part is in the half.
    """

    columns: Tensor
    rests_on: Tensor
    within: Tensor


@dataclass(frozen=True)
class HalfMixing:
    """How often halves of samples are mixed, and which.

    Attributes:
        cutmix: the probability that a batch gets one half from other samples.
        mixup: the probability that one half is blended with that of other samples.
        halves: the halves, of which one is drawn for a batch.
    """

    cutmix: float
    mixup: float
    halves: Sequence[Half]


class Mixing:
    """Mix a batch as a function of the seed.

    Labels become probabilities: grades of `classes` classes, the group one of `groups`. The mixing
    fraction is drawn once per batch; a sample keeps the larger fraction of itself, and the slices
    that it had. A slice that the other sample lacks is not mixed.

    With `per_pixel`, labels are images (b, heads, rows, columns), whose pixels each cover a whole
    number of those of the slices. CutMix then pastes the box into them too, instead of mixing them
    by its area; its edges lie between their pixels. Blended labels count by both samples' weights,
    so that the cross-entropy of a blend is the blend of the cross-entropies.
    """

    def __init__(
        self,
        settings: MixSettings,
        classes: int,
        groups: int = 0,
        halves: HalfMixing | None = None,
        *,
        per_pixel: bool = False,
    ) -> None:
        self._settings, self._classes, self._groups = settings, classes, groups
        self._per_pixel = per_pixel
        self._halves = halves or HalfMixing(0.0, 0.0, ())

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """Return the batch, mixed or unchanged, on its device."""
        settings, halves = self._settings, self._halves
        random = np.random.default_rng(seed)
        drawn, until = random.random(), 0.0
        for chance, mix in (
            (settings.mixup, self._mixup),
            (settings.cutmix, self._cutmix),
            (settings.manifold_mixup, self._blend_features),
            (halves.cutmix, self._exchange_half),
            (halves.mixup, self._blend_half),
        ):
            until += chance
            if drawn < until:
                return mix(batch, random)
        return batch

    def _mixup(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Blend samples: Zhang et al. 2018, https://arxiv.org/abs/1710.09412."""
        other, own_share = _other(batch, random), _own_share(self._settings.mixup_alpha, random)
        slices = _shares(batch.slices)
        blend = own_share * slices + (1 - own_share) * slices[other]
        both = (batch.present & batch.present[other])[..., None, None]
        return self._with(batch, torch.where(both, blend, slices), other, own_share)

    def _cutmix(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Paste one box for all slices: Yun et al. 2019, https://arxiv.org/abs/1905.04899."""
        other, own_share = _other(batch, random), _own_share(self._settings.cutmix_alpha, random)
        height, width = batch.slices.shape[-2:]
        grid = batch.labels.grades.shape[-2:] if self._per_pixel else (height, width)
        cells = torch.zeros(grid, dtype=torch.bool, device=batch.slices.device)
        rows = _span(grid[0], math.sqrt(1 - own_share), random)
        columns = _span(grid[1], math.sqrt(1 - own_share), random)
        cells[rows, columns] = True
        box = cells.repeat_interleave(height // grid[0], 0).repeat_interleave(width // grid[1], 1)
        both = (batch.present & batch.present[other])[..., None, None]
        slices = torch.where(box & both, batch.slices[other], batch.slices)
        if self._per_pixel:
            return self._with(batch, slices, other, 1 - cells.float())
        own_share = 1 - float(cells.float().mean())  # the exact fraction, in whole pixels
        return self._with(batch, slices, other, own_share)

    def _blend_features(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Leave the blending to the model: Verma et al. 2019, https://arxiv.org/abs/1806.05236."""
        other, own_share = _other(batch, random), _own_share(self._settings.mixup_alpha, random)
        mixed = self._with(batch, batch.slices, other, own_share)
        return mixed._replace(blend=Blend(other, own_share))

    def _exchange_half(self, batch: Batch, random: np.random.Generator) -> Batch:
        return self._mix_half(batch, random, own_share=0.0)

    def _blend_half(self, batch: Batch, random: np.random.Generator) -> Batch:
        return self._mix_half(batch, random, _own_share(self._settings.mixup_alpha, random))

    def _mix_half(self, batch: Batch, random: np.random.Generator, own_share: float) -> Batch:
        """Mix one half of each sample with that of another one.

        A label is mixed by the part of its own slices that comes from the other sample, and the
        group by that of all slices.
        """
        device = batch.slices.device
        half = self._halves.halves[int(random.integers(len(self._halves.halves)))]
        other = _other(batch, random)
        both = batch.present & batch.present[other]  # (b, s)
        columns = half.columns.to(device)  # (s, w)
        mixed = columns[:, None] & both[..., None, None]  # (b, s, 1, w)
        if own_share:
            slices = _shares(batch.slices)
            blend = own_share * slices + (1 - own_share) * slices[other]
            slices = torch.where(mixed, blend, slices)
        else:
            slices = torch.where(mixed, batch.slices[other], batch.slices)
        rests_on, within = half.rests_on.to(device), half.within.to(device)  # (heads, s)
        area = batch.present.float() @ rests_on.T  # (b, heads)
        taken = both.float() @ (rests_on * within).T / area.clamp(min=_TINY)
        of_all = both.float() @ columns.float().mean(dim=1, keepdim=True)  # (b, 1)
        of_all = of_all / batch.present.sum(dim=1, keepdim=True).clamp(min=1)
        return self._with(
            batch,
            slices,
            other,
            1 - (1 - own_share) * taken.unsqueeze(-1),
            group_share=1 - (1 - own_share) * of_all,
        )

    def _with(
        self,
        batch: Batch,
        slices: Tensor,
        other: Tensor,
        own_share: float | Tensor,
        group_share: float | Tensor | None = None,
    ) -> Batch:
        """Return the batch with mixed labels.

        Args:
            batch: the batch.
            slices: its mixed slices.
            other: (b,) the sample that is mixed in.
            own_share: the fraction of itself that a sample keeps, or (b, heads, 1) by label, or
                (rows, columns) by pixel.
            group_share: the same for the group, or (b, 1); None for `own_share`.
        """
        grades, group, marks, weights = batch.labels

        def mix(shares: Tensor, own: float | Tensor) -> Tensor:
            return own * shares + (1 - own) * shares[other]

        mixed = Labels(mix(as_probabilities_of(grades, self._classes), own_share))
        if weights is not None:
            both = mix(weights, own_share)
            counted = mix(grades * weights, own_share) / both.clamp(min=_TINY)
            mixed = mixed._replace(grades=counted, weights=both)
        if group is not None:
            own = own_share if group_share is None else group_share
            mixed = mixed._replace(group=mix(as_probabilities_of(group, self._groups), own))
        if marks is not None:  # a slice that the sample lacks is not mixed in
            shown = mix(marks, own_share) * batch.present.unsqueeze(1)
            mixed = mixed._replace(slices=shown)
        return batch._replace(slices=slices, labels=mixed)


_TINY = 1e-6  # avoids division by 0 where a sample has no slice that a label rests on


def _other(batch: Batch, random: np.random.Generator) -> Tensor:
    """Return for each sample the index of the one that is mixed in."""
    return torch.from_numpy(random.permutation(len(batch.slices))).to(batch.slices.device)


def _own_share(alpha: float, random: np.random.Generator) -> float:
    share = float(random.beta(alpha, alpha))
    return max(share, 1 - share)


def _span(length: int, share: float, random: np.random.Generator) -> slice:
    """Return a random slice of that fraction of the pixels."""
    pixels = round(share * length)
    start = int(random.integers(length - pixels + 1))
    return slice(start, start + pixels)


def _shares(slices: Tensor) -> Tensor:
    """Return grey values from 0 to 1, float32."""
    return slices if slices.is_floating_point() else slices.float() / 255
