"""Outcomes: what is known of each fragment after its prediction."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.ink.predict.block import Prepared
from lsdc.dicom.names import escape_name
from lsdc.messages import counted, few


@dataclass(frozen=True)
class FragmentOutcome:
    """A fragment.

    Attributes:
        fragment: its id.
        folder: its folder, relative to the folder that was read.
        rows, columns: its frame in pixels; 0 if no file tells.
        mask_pixels: the number of pixels with data.
        ink_pixels: the number of these that are ink.
        mean_probability: the mean of the map where there is data; None without a map.
        replaced: the layer that stands in for each that cannot be used.
        has_mask: whether its mask could be used.
        why_prior: why its mask of ink is empty without a prediction; empty if it was predicted.
        quarantined: the number of its files that cannot be used.
    """

    fragment: str
    folder: str
    rows: int
    columns: int
    mask_pixels: int
    ink_pixels: int
    mean_probability: float | None
    replaced: Mapping[int, int]
    has_mask: bool
    why_prior: str
    quarantined: int

    @property
    def spelled(self) -> str:
        """Its id as tables write it."""
        return self.fragment

    @property
    def subfolder(self) -> str:
        """Its folder; empty if that is the one that was read."""
        return "" if self.folder == "." else self.folder

    @property
    def source(self) -> str:
        """What its mask of ink is made of: images, or the prior."""
        return "prior" if self.why_prior else "images"

    @property
    def ink_share(self) -> float | None:
        """The share of the pixels with data that are ink; None without any."""
        return self.ink_pixels / self.mask_pixels if self.mask_pixels else None

    @property
    def doubts(self) -> list[str]:
        """All that may be wrong with its predictions."""
        if self.why_prior:
            return [f"an empty mask: {self.why_prior}"]
        return describe_doubts(self.replaced, has_mask=self.has_mask)


def describe_doubts(replaced: Mapping[int, int], *, has_mask: bool) -> list[str]:
    """Say what takes the place of a fragment's files that cannot be used."""
    found = []
    if replaced:
        pairs = few([f"{layer:02} by {by:02}" for layer, by in replaced.items()])
        found.append(f"{counted(len(replaced), 'layer')} replaced by the nearest: {pairs}")
    if not has_mask:
        found.append("no mask that can be used, so all pixels count where a layer is not 0")
    return found


def describe_fragment(
    name: str,
    folder: Path,
    root: Path,
    prepared: Prepared,
    probabilities: NDArray[np.float16] | None,
    inside: NDArray[np.bool_] | None,
    ink: NDArray[np.bool_] | None,
) -> FragmentOutcome:
    """Describe a fragment.

    Args:
        name: its id.
        folder: its folder.
        root: the folder that was read.
        prepared: what it was prepared from.
        probabilities: its map, (rows, columns); None without a volume, as the next ones.
        inside: where it has data.
        ink: its mask of ink.
    """
    mean = None
    if probabilities is not None and inside is not None:
        mean = float(np.mean(probabilities[inside], dtype=np.float64))
    return FragmentOutcome(
        fragment=name,
        folder=escape_name(os.path.relpath(folder, root)),
        rows=prepared.shape[0],
        columns=prepared.shape[1],
        mask_pixels=0 if inside is None else int(inside.sum()),
        ink_pixels=0 if ink is None else int(ink.sum()),
        mean_probability=mean,
        replaced=prepared.replaced,
        has_mask=prepared.has_mask,
        why_prior=prepared.why_prior,
        quarantined=len(prepared.faults),
    )
