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


TISSUES = {
    Contrast.T1: Tissues(
        air=0.01,
        fat=0.88,
        muscle=0.27,
        marrow=0.52,
        cortex=0.06,
        wet_disc=0.32,
        dry_disc=0.28,
        annulus=0.20,
        csf=0.16,
        nerve=0.34,
        ligament=0.16,
        organ=0.30,
        kidney=0.36,
        vessel=0.06,
    ),
    Contrast.T2: Tissues(
        air=0.01,
        fat=0.72,
        muscle=0.15,
        marrow=0.36,
        cortex=0.05,
        wet_disc=0.62,
        dry_disc=0.16,
        annulus=0.08,
        csf=0.95,
        nerve=0.36,
        ligament=0.10,
        organ=0.28,
        kidney=0.55,
        vessel=0.05,
    ),
    Contrast.STIR: Tissues(
        air=0.01,
        fat=0.13,
        muscle=0.20,
        marrow=0.17,
        cortex=0.05,
        wet_disc=0.60,
        dry_disc=0.14,
        annulus=0.08,
        csf=0.98,
        nerve=0.36,
        ligament=0.10,
        organ=0.32,
        kidney=0.65,
        vessel=0.06,
    ),
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
