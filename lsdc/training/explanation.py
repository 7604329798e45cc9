"""Explanation of predictions: how much each slice counts, and which parts of it matter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsdc.training.inference import Probabilities, as_array
from lsdc.training.models.model import SliceModel
from lsdc.training.samples import Batch, Samples, batch_of

CELLS = 8  # cells of a map along an edge
_WINDOW = 2  # edge of the hidden window in cells
_PLACES = CELLS - _WINDOW + 1  # places of the window along an edge

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """What the predictions of n samples rest on, for each head.

    Attributes:
        weights: (n, heads, slices) from 0 to 1: how much each slice counts. They sum to 1 over the
            slices that are present and are 0 for the others; all are 0 without any slice. They are
            the weights of the attention pooling; an image of several slices divides its weight
            evenly among them. Without attention pooling they are each slice's share of the sum of
            all maps.
        maps: (n, heads, slices, CELLS, CELLS) from 0 to 1, rows first: the probability that moves
            to other classes when a part of the slice is hidden; see `explain`.
        has_attention: whether the weights are those of the attention pooling.
        told: (n, heads, slices) probability that the slice is the annotated one; None for a model
            that does not tell it.
    """

    weights: Floats
    maps: Floats
    has_attention: bool
    told: Floats | None = None


def explain(
    model: SliceModel,
    samples: Samples,
    *,
    probabilities: Probabilities,
    batch_size: int,
    device: torch.device,
    places: Sequence[int] | None = None,
    whole_images: bool = False,
) -> Iterator[Explanation]:
    """Yield the explanation of each sample, n = 1, in order; the model is set to evaluation mode.

    With context over a study, the other samples of the study stay unchanged.

    The maps are made by occlusion (Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901): a
    window of a quarter of the slice's edge is set to the slice's mean grey, at places an eighth of
    an edge apart, and the effect of a place is the total variation distance between the
    probabilities with and without it, half the sum of the absolute differences. A cell of the map
    has the mean effect of the windows that cover it. One slice is changed at a time, or one image
    with `whole_images`. All is computed in float32.

    With pixels "sample", the scale of a sample's grey values is that of the sample with the same
    window hidden in all slices.

    Args:
        model: a trained model on `device`.
        samples: the samples; with context over a study, those of whole studies.
        probabilities: from logits to (n, heads, classes).
        batch_size: number of samples that fit into memory at once.
        device: the device of the model.
        places: the samples to explain; None for all.
        whole_images: whether a window is hidden in all slices of an image at once, for channels
            that show the same place in several ways; each of them has the map of the image.
    """
    model.eval()
    for place in range(len(samples)) if places is None else places:
        beside = [place] if model.study_context is None else _of_same_study(samples, place)
        batch = batch_of(samples, beside).to(device)
        with torch.inference_mode():
            yield _explain_one(
                _Study(model, batch, samples.members_of(beside), beside.index(place)),
                probabilities,
                batch_size,
                whole_images=whole_images,
            )


def join_explanations(parts: list[Explanation]) -> Explanation:
    """Join the explanations of one or more samples."""
    return Explanation(
        weights=np.concatenate([part.weights for part in parts]),
        maps=np.concatenate([part.maps for part in parts]),
        has_attention=parts[0].has_attention,
        told=(
            None
            if parts[0].told is None
            else np.concatenate([part.told for part in parts if part.told is not None])
        ),
    )


def _of_same_study(samples: Samples, place: int) -> list[int]:
    """Return the places of all samples of a sample's study, in order."""
    if samples.members is None:
        return [place]
    studies = samples.members[:, 0]
    return np.flatnonzero(studies == studies[place]).tolist()


class _Study:
    """The t samples of a study, of which one is changed; without context, that one alone.

    Attributes:
        slices, present: that sample's (1, s, h, w) and (1, s).
        features, seen: its encoded images, (1, m, width) and (1, m).
    """

    def __init__(
        self, model: SliceModel, batch: Batch, members: Tensor | None, number: int
    ) -> None:
        self.model, self._number, self._members = model, number, members
        self._features, self._seen = model.encode(batch.slices, batch.present)
        own = slice(number, number + 1)
        self.slices, self.present = batch.slices[own], batch.present[own]
        self.features, self.seen = self._features[own], self._seen[own]

    def grades(self, features: Tensor) -> Tensor:
        """Return the logits (n, heads, classes) with these features (n, m, width) of the sample."""
        copies = len(features)
        beside = self._features.repeat(copies, 1, 1, 1)  # (n, t, m, width)
        beside[:, self._number] = features
        grades = self.model.read(
            beside.flatten(0, 1), self._seen.repeat(copies, 1), self._numbered(copies)
        ).grades
        return grades.view(copies, -1, *grades.shape[1:])[:, self._number]

    def _numbered(self, copies: int) -> Tensor | None:
        """Return the members of copies of the study, each a study of its own."""
        if self._members is None:
            return None
        items = self._members[:, 1].to(self._features.device)
        study = torch.arange(copies, device=items.device).repeat_interleave(len(items))
        return torch.stack([study, items.repeat(copies)], dim=1)


def _explain_one(
    study: _Study, probabilities: Probabilities, batch_size: int, *, whole_images: bool
) -> Explanation:
    """Explain the sample of a study that is changed."""
    model, slices, present = study.model, study.slices, study.present
    features, seen = study.features, study.seen
    whole = probabilities(study.grades(features).double())  # (1, heads, classes)
    # (places, places, s, heads), the effect of the window at each place of each slice.
    effects = torch.zeros(_PLACES**2, slices.shape[1], whole.shape[1], dtype=torch.float64)
    for groups in _hidden_together(model, present[0].tolist(), whole=whole_images):
        hidden = _hide_windows(slices, [slice_ for _, own in groups for slice_ in own])
        parts = [np.s_[start : start + batch_size] for start in range(0, len(hidden), batch_size)]
        masks = present.expand(len(hidden), -1)
        # (places, m, width)
        changed = torch.cat([model.encode(hidden[part], masks[part])[0] for part in parts])
        for images, own in groups:
            swapped = features.repeat(len(changed), 1, 1)
            swapped[:, images] = changed[:, images]
            moved = (probabilities(study.grades(swapped).double()) - whole).abs().sum(dim=-1) / 2
            effects[:, own] = moved.cpu().unsqueeze(1)
    maps = _maps(as_array(effects))
    attention = model.attention(features, seen)
    if attention is None:
        weights = _shares(maps.sum(axis=(2, 3)), present[0].cpu().numpy())
    else:
        weights = _of_slices(as_array(attention[0]), model.images, present[0].cpu().numpy())
    told = model.told(features, seen)
    return Explanation(
        weights[np.newaxis],
        maps[np.newaxis],
        attention is not None,
        None if told is None else as_array(told * present.unsqueeze(1)),
    )


def _hidden_together(
    model: SliceModel, present: list[bool], *, whole: bool
) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Yield lists of (images, their hidden slices), of present slices, with no image twice in one.

    An image, or the images of a volume, are encoded apart from the others, so that hiding a window
    in each gives the features of every image with only that image, or volume, changed.
    """
    groups = [list(images) for images in model.together]
    shown = [[slice_ for image in images for slice_ in model.images[image]] for images in groups]
    there = [[slice_ for slice_ in own if present[slice_]] for own in shown]
    parts = [[own] if whole and own else [[slice_] for slice_ in own] for own in there]
    for number in range(max(map(len, parts))):
        yield [
            (images, own[number])
            for images, own in zip(groups, parts, strict=True)
            if number < len(own)
        ]


def _hide_windows(slices: Tensor, hidden: list[int]) -> Tensor:
    """Return (places, s, h, w): the sample with the window at each place of some slices hidden."""
    copies = slices.repeat(_PLACES**2, 1, 1, 1)
    means = slices[0].double().mean(dim=(1, 2))
    grey = (means if slices.is_floating_point() else means.round()).to(slices.dtype)
    rows, columns = (np.rint(np.linspace(0, n, CELLS + 1)).astype(int) for n in slices.shape[2:])
    for number, copy in enumerate(copies):
        top, left = divmod(number, _PLACES)
        within = np.s_[rows[top] : rows[top + _WINDOW], columns[left] : columns[left + _WINDOW]]
        for slice_ in hidden:
            copy[slice_][within] = grey[slice_]
    return copies


def _maps(effects: Floats) -> Floats:
    """Return maps (heads, s, CELLS, CELLS) from the effects (places, s, heads)."""
    by_place = effects.transpose(2, 1, 0).reshape(*effects.shape[:0:-1], _PLACES, _PLACES)
    total = np.zeros((*by_place.shape[:2], CELLS, CELLS))
    covering = np.zeros((CELLS, CELLS))
    for top in range(_WINDOW):
        for left in range(_WINDOW):
            cells = np.s_[..., top : top + _PLACES, left : left + _PLACES]
            total[cells] += by_place
            covering[cells] += 1
    maps: Floats = total / covering
    return maps


def _of_slices(
    of_images: Floats, images: tuple[tuple[int, ...], ...], present: NDArray[np.bool_]
) -> Floats:
    """Return the weights (heads, s) of slices from those (heads, m) of images."""
    weights = np.zeros((len(of_images), len(present)))
    for number, image in enumerate(images):
        there = [slice_ for slice_ in image if present[slice_]]
        if there:
            weights[:, there] = of_images[:, [number]] / len(there)
    return weights


def _shares(amounts: Floats, present: NDArray[np.bool_]) -> Floats:
    """Return each slice's share (heads, s) of the sum of amounts; equal shares if that is 0."""
    total = amounts.sum(axis=1, keepdims=True)
    equal = np.broadcast_to(present / max(present.sum(), 1), amounts.shape)
    shares: Floats = np.where(total > 0, amounts / np.where(total > 0, total, 1), equal)
    return shares
