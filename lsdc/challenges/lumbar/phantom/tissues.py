"""The brightness of each tissue under each contrast, from 0 for air to 1 for the brightest."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum

import numpy as np


class Contrast(StrEnum):
    """The contrast setting of the scanner."""

    T1 = "T1"
    T2 = "T2"
    STIR = "STIR"


@dataclass(frozen=True)
class Tissues:
    """Brightness by tissue."""

    air: float
    fat: float
    muscle: float
    marrow: float
    cortex: float
    wet_disc: float
    dry_disc: float
    annulus: float
    csf: float
    nerve: float
    ligament: float
    organ: float
    kidney: float
    vessel: float


# Brightness under each contrast, in the order of Contrast: T1, T2, STIR.
_BRIGHTNESS = {
    "air": (0.01, 0.01, 0.01),
    "fat": (0.88, 0.72, 0.13),
    "muscle": (0.27, 0.15, 0.20),
    "marrow": (0.52, 0.36, 0.17),
    "cortex": (0.06, 0.05, 0.05),
    "wet_disc": (0.32, 0.62, 0.60),
    "dry_disc": (0.28, 0.16, 0.14),
    "annulus": (0.20, 0.08, 0.08),
    "csf": (0.16, 0.95, 0.98),
    "nerve": (0.34, 0.36, 0.36),
    "ligament": (0.16, 0.10, 0.10),
    "organ": (0.30, 0.28, 0.32),
    "kidney": (0.36, 0.55, 0.65),
    "vessel": (0.06, 0.05, 0.06),
}
TISSUES = {
    contrast: Tissues(**{tissue: values[n] for tissue, values in _BRIGHTNESS.items()})
    for n, contrast in enumerate(Contrast)
}


def vary(tissues: Tissues, rng: np.random.Generator) -> Tissues:
    """Return the same tissues on another scanner: each brightness varied by a few per cent."""
    names = [field.name for field in fields(tissues)]
    factors = rng.normal(1.0, 0.05, len(names))
    return replace(
        tissues,
        **{
            name: float(getattr(tissues, name) * factor)
            for name, factor in zip(names, factors, strict=True)
        },
    )
