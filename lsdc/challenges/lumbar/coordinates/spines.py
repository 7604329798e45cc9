"""Spines: a summary of each study's levels.

If the sacrum is out of view, names are as doubtful as with a sixth lumbar vertebra, and are flagged
too.
"""

from collections.abc import Iterable, Mapping
from itertools import compress

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar import columns
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.messages import Spell, counted, few
from lsdc.tables.table import Table, real

Floats = NDArray[np.float64]


class Spines(Table):
    """One row per study with points: a summary of its levels."""

    split = columns.split(primary_key=True)
    study_id = columns.study(primary_key=True)
    seen = dy.Int32(min=0, description="Number of detected levels.")
    filled = dy.Int32(
        min=0,
        description="Number of levels whose position was computed from other levels or studies.",
    )
    absent = dy.Int32(min=0, description="Number of levels outside every image.")
    absent_levels = dy.String(description="Names of the levels outside every image.")
    widest_step = real(
        "The longest step between neighbouring levels, as a multiple of the median step."
    )
    shifted = real("Probability that all level names are wrong by one level, from 0 to 1.")
    extra_vertebra = dy.Bool(
        description=(
            "Whether widest_step or shifted suggests a sixth lumbar vertebra. It can also be true "
            "if the sacrum is out of view."
        )
    )
    disputed_levels = dy.String(
        description=(
            "Names of the levels whose positions in sagittal and in axial images differ by more "
            "than 10 mm, both with high confidence."
        )
    )


# A step this much longer than the median one skips an unnamed level.
TWO_STEPS = 1.6
# Factor on the usual `shifted` weight above which names are doubtful. It is relative, since better
# trained nets are more confident of all names. On phantoms with all levels in view, five lumbar
# vertebrae gave at most 26 times the usual weight, six at least 86 times.
DOUBTFUL = 50.0
# A `shifted` weight up to this is never doubtful.
LEAST_DOUBT = 1e-4


def usual_doubt(shifted: Iterable[float]) -> float:
    """Return the usual `shifted` weight: the median over training studies, out of fold."""
    return float(np.median([*shifted] or [0.0]))


def describe_spines(
    points: pl.DataFrame,
    shifted: Mapping[int, float],
    usual: float = 0.0,
    disputed: Mapping[int, NDArray[np.bool_]] | None = None,
) -> pl.DataFrame:
    """Return the spines table.

    Args:
        points: a points table.
        shifted: each study's weight of names one off; 0 without an entry.
        usual: the usual weight; see `usual_doubt`.
        disputed: for each study, a mask (levels,) of those on which its views disagree.
    """
    disputed = disputed or {}
    doubtful = max(LEAST_DOUBT, DOUBTFUL * usual)
    rows = []
    for (split, study), own in points.group_by("split", "study_id", maintain_order=True):
        levels = own["level"].to_list()
        filled = (own["source"] == "filled").sum()
        absent = [str(level) for level in LEVELS if level not in levels]
        seen = own.filter(pl.col("source") != "filled")
        widest, weight = _widest_step(seen), shifted.get(study, 0.0)
        rows.append(
            {
                "split": split,
                "study_id": study,
                "seen": len(own) - filled,
                "filled": filled,
                "absent": len(absent),
                "absent_levels": " ".join(absent),
                "widest_step": widest,
                "shifted": weight,
                "extra_vertebra": weight > doubtful or widest > TWO_STEPS,
                "disputed_levels": " ".join(compress(map(str, LEVELS), disputed.get(study, []))),
            }
        )
    return pl.DataFrame(rows, schema=pl.Schema(Spines))


def describe_disputes(spines: pl.DataFrame, spell: Spell = str) -> str | None:
    """Return one line on the studies whose views disagree on levels, or None without any."""
    rows = spines.filter(pl.col("disputed_levels") != "").select("study_id", "disputed_levels")
    if rows.is_empty():
        return None
    names = [f"{spell(study)} ({levels.replace(' ', ', ')})" for study, levels in rows.iter_rows()]
    return (
        f"sagittal and axial images of {counted(len(names), 'study')} place levels over 10 mm "
        f"apart: {few(names)}; the more confident images are used, with half the confidence"
    )


def _widest_step(points: pl.DataFrame) -> float:
    """Return the longest step between neighbouring levels over the median; 1 if too few steps."""
    numbers = [LEVELS.index(level) for level in points["level"]]
    places = points.select("x_mm", "y_mm", "z_mm").to_numpy()
    next_to = np.diff(numbers) == 1
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)[next_to]
    return float(steps.max() / np.median(steps)) if len(steps) >= 3 else 1.0
