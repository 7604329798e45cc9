"""The oddities of real data that each study of a phantom gets.

The first six studies have them all; later ones draw from the harmless ones at random.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Missing = Literal["nothing", "T1", "T2", "sagittal", "axial"]


@dataclass(frozen=True)
class Quirks:
    """The oddities of one study; the defaults describe a regular one."""

    t1_order: Literal["left to right", "right to left", "mixed"] = "left to right"
    patient_position: Literal["HFS", "FFS"] = "HFS"
    axial: Literal["angled", "straight", "two series"] = "straight"
    missing: Missing = "nothing"
    oblique: bool = False
    square: bool = True
    anisotropic: bool = False
    stir: bool = False
    rle: Literal["none", "T1", "T2"] = "none"
    implicit_vr: bool = False  # of T2
    monochrome1: bool = False  # of T1
    rescaled: bool = False  # the axial series
    spacing_tags: bool = True
    numbering: Literal["from 1", "gaps", "late start"] = "from 1"
    descriptions: Literal["table", "short", "wrong"] = "table"
    broken_files: bool = False  # among the T2 files
    empty_labels: bool = False


PLANTED = (
    Quirks(axial="angled", empty_labels=True, stir=True),
    Quirks(
        t1_order="right to left",
        patient_position="FFS",
        rle="T1",
        broken_files=True,
        anisotropic=True,
    ),
    Quirks(
        axial="two series",
        monochrome1=True,
        implicit_vr=True,
        rescaled=True,
        descriptions="short",
    ),
    Quirks(missing="T1", axial="angled", numbering="gaps", square=False),
    Quirks(t1_order="mixed", oblique=True, numbering="late start", spacing_tags=False),
    Quirks(t1_order="right to left", axial="angled", square=False, descriptions="wrong", rle="T2"),
)


# Series missing from hard studies, and how often; the first hard studies never have them.
_LACKING: tuple[tuple[Missing, float], ...] = (
    ("T1", 0.06),
    ("T2", 0.06),
    ("sagittal", 0.02),
    ("axial", 0.04),
)
_PLANTED_LACKING: dict[int, Missing] = {9: "T2", 10: "sagittal", 11: "axial"}


def quirks_of(index: int, split: str, rng: np.random.Generator) -> Quirks:
    """Return the oddities of the index-th study of a split."""
    drawn = Quirks(
        t1_order="left to right" if rng.random() < 0.64 else "right to left",
        patient_position="HFS" if rng.random() < 0.85 else "FFS",
        axial="angled" if rng.random() < 0.6 else "straight",
        oblique=bool(rng.random() < 0.15),
        square=bool(rng.random() < 0.8),
        anisotropic=bool(rng.random() < 0.1),
        stir=bool(rng.random() < 0.15),
        implicit_vr=bool(rng.random() < 0.1),
        monochrome1=bool(rng.random() < 0.1),
        rescaled=bool(rng.random() < 0.2),
        spacing_tags=bool(rng.random() < 0.8),
        numbering="from 1" if rng.random() < 0.9 else "gaps",
        descriptions="table" if rng.random() < 0.7 else "short",
        empty_labels=bool(rng.random() < 0.09),
    )
    if split == "test":
        return replace(drawn, missing="T2") if index == 0 else drawn
    return PLANTED[index] if index < len(PLANTED) else drawn


def harden(quirks: Quirks, index: int, split: str, rng: np.random.Generator) -> Quirks:
    """Add oddities for hard geometry: any slice order and patient position, and missing series."""
    drawn, bound = rng.random(), 0.0
    missing = quirks.missing
    for lacking, share in _LACKING:
        if bound <= drawn < bound + share:
            missing = lacking
        bound += share
    if split == "train" and index in _PLANTED_LACKING:
        missing = _PLANTED_LACKING[index]
    return replace(
        quirks,
        t1_order=rng.choice(["left to right", "right to left", "mixed"], p=[0.55, 0.4, 0.05]),
        patient_position=rng.choice(["HFS", "FFS"]),
        missing=missing,
    )
