"""Which planted bleeds an image shows: the rule for its labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.phantom.image import Rendered
from lsdc.challenges.hemorrhage.phantom.storage import framed
from lsdc.challenges.hemorrhage.vocabulary import SUBTYPES

CONTRAST_IN_NOISE = 4.0
LEAST_VISIBLE_MM2 = 25.0
RULE = (
    f"An image is positive for a subtype if its blood changes at least {LEAST_VISIBLE_MM2:g} mm2 "
    f"of the image by at least {CONTRAST_IN_NOISE:g} standard deviations of the study's noise, "
    "compared with the same image without it. Blood that another bleed covers does not count."
)

Masks = NDArray[np.uint8]  # (rows, columns), bit i for the i-th subtype
Findings = NDArray[np.float64]  # (images, subtypes, 3), see MEASURES

MEASURES = ("planted_mm2", "visible_mm2", "contrast_hu")


@dataclass(frozen=True)
class Finding:
    """What an image shows of the bleeds.

    Attributes:
        masks: the visible blood.
        measures: (subtypes, 3) the area that blood fills at least by half, the area where it can
            be seen, and the mean of its contrast there; 0 where there is none.
    """

    masks: Masks
    measures: NDArray[np.float64]

    def framed(self, shape: tuple[int, int]) -> "Finding":
        """Return the same in another frame around the same middle."""
        return Finding(framed(self.masks, shape, 0), self.measures)


def find(rendered: Rendered, noise_hu: float, pixel_mm2: float) -> Finding:
    """Apply the rule's first part to an image: which blood can be seen above the noise."""
    masks = np.zeros(rendered.hu.shape, dtype=np.uint8)
    measures = np.zeros((len(SUBTYPES), len(MEASURES)))
    for number, subtype in enumerate(SUBTYPES):
        if subtype not in rendered.cover:
            continue
        contrast = rendered.contrast[subtype]
        visible = np.abs(contrast) >= CONTRAST_IN_NOISE * noise_hu
        masks |= visible.astype(np.uint8) << np.uint8(number)
        count = int(visible.sum())
        measures[number] = (
            int((rendered.cover[subtype] >= 0.5).sum()) * pixel_mm2,
            count * pixel_mm2,
            float(contrast[visible].mean()) if count else 0.0,
        )
    return Finding(masks, measures)


def labels(findings: Findings) -> NDArray[np.int8]:
    """Return (images, 6), the labels in the order of the tables, from (images, subtypes, 3)."""
    subtypes = findings[:, :, MEASURES.index("visible_mm2")] >= LEAST_VISIBLE_MM2
    return np.concatenate([subtypes, subtypes.any(axis=1, keepdims=True)], axis=1).astype(np.int8)
