"""Tabulate the spine's dimensions along `s` for painting."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.anatomy import Array, Spine
from lsdc.challenges.lumbar.phantom.pose import LUMBAR_VERTEBRAE
from lsdc.challenges.lumbar.phantom.profiles import (
    BACK_FAT_MM,
    BODY_HALF_WIDTH_MM,
    CANAL_HALF_DEPTH_MM,
    CANAL_HALF_WIDTH_MM,
    FASCIA_MM,
    PSOAS_RADIUS_MM,
    SAC_HALF_DEPTH_MM,
    SAC_HALF_WIDTH_MM,
)

Table = NDArray[np.float32]

_SACRUM_MM = 92.0  # below L3/L4
_HALF_A_VERTEBRA_MM = 19.0  # a vertebra more extends the spine this much, up and down


@dataclass(frozen=True)
class Build:
    """Tables of shape (n stations,), or pairs of them for (left, right)."""

    top_mm: float
    sacrum_mm: float  # `s` of its upper edge
    disc_mm: Table  # `s` of the nearest disc
    disc_half_height_mm: Table
    disc_brightness: Table  # 0 dry .. 1 wet
    upper_body_mm: Table  # `s` of the upper third of the local body, where its pedicles are
    wall_mm: Table
    body_half_width_mm: Table
    canal_middle_mm: Table
    canal_half_depth_mm: Table
    canal_half_width_mm: Table
    sac_half_depth_mm: Table
    sac_half_width_mm: Table
    crowding: Table  # 0 an open canal .. 1 a closed one
    psoas_mm: Table
    fascia_mm: Table  # `v` of the back edge of the back muscles
    back_fat_mm: Table
    foramen_open: tuple[Table, Table]  # factors of the normal opening
    foramen_closed: tuple[Table, Table]  # severities
    recess_open: tuple[Table, Table]
    recess_closed: tuple[Table, Table]


def measure(spine: Spine) -> Build:
    """Tabulate a patient's spine, including disease."""
    patient = spine.patient
    s = spine.stations_mm
    nearest = np.argmin(np.abs(s[:, None] - spine.discs_mm[None, :]), axis=1)
    # The foramen belongs to the disc below it, so its levels change in the middle of the pedicle.
    level = np.argmin(np.abs(s[:, None] + 6.0 - spine.level_discs_mm[None, :]), axis=1)
    narrowing = (
        np.exp(-np.square((s[:, None] - spine.level_discs_mm[None, :]) / 7.5)) * patient.canal
    )
    crowding = narrowing.max(axis=1)
    size = spine.along(_at_levels(spine, patient.canal_size))
    hydration = _at_levels(spine, patient.hydration)
    body = np.searchsorted(spine.discs_mm, s).clip(0, len(spine.discs_mm) - 1)
    upper_body = (
        spine.discs_mm[body] - spine.disc_heights_mm[body] / 2 - 0.72 * spine.body_heights_mm[body]
    )
    return Build(
        top_mm=float(s[0]),
        sacrum_mm=_SACRUM_MM + _HALF_A_VERTEBRA_MM * (patient.vertebrae - LUMBAR_VERTEBRAE),
        disc_mm=_table(spine.discs_mm[nearest]),
        disc_half_height_mm=_table(spine.disc_heights_mm[nearest] / 2),
        disc_brightness=_table(hydration[nearest]),
        upper_body_mm=_table(upper_body),
        wall_mm=_table(spine.wall_mm),
        body_half_width_mm=_table(spine.along(BODY_HALF_WIDTH_MM)),
        canal_middle_mm=_table(spine.canal_middle_mm),
        canal_half_depth_mm=_table(spine.along(CANAL_HALF_DEPTH_MM)),
        canal_half_width_mm=_table(spine.along(CANAL_HALF_WIDTH_MM)),
        sac_half_depth_mm=_table(spine.along(SAC_HALF_DEPTH_MM) * size * (1.0 - 0.75 * crowding)),
        sac_half_width_mm=_table(spine.along(SAC_HALF_WIDTH_MM) * size * (1.0 - 0.5 * crowding)),
        crowding=_table(crowding),
        psoas_mm=_table(spine.along(PSOAS_RADIUS_MM)),
        fascia_mm=_table(spine.along(FASCIA_MM)),
        back_fat_mm=_table(spine.along(BACK_FAT_MM)),
        foramen_open=_pair(patient.foramen_size[:, level]),
        foramen_closed=_pair(patient.foramina[:, level]),
        recess_open=_pair(patient.recess_size[:, level]),
        recess_closed=_pair(patient.recesses[:, level]),
    )


def _at_levels(spine: Spine, values: Array) -> Array:
    """Return (n discs,), the levels' values; discs beyond take those of the end levels."""
    return np.pad(values, (spine.first_level, 4), mode="edge")


def _table(values: Array) -> Table:
    return values.astype(np.float32)


def _pair(values: Array) -> tuple[Table, Table]:
    return _table(values[0]), _table(values[1])
