"""Spines: what the coordinates stage can say of each study as a whole.

The spines table has a row a study with points: split, study_id; seen, filled and absent, how many
of its levels were seen, filled from other levels, and are outside every image; absent_levels, their
names; widest_step, the longest step from level to level as a multiple of the median one; shifted in
[0, 1], how much speaks for every level being named one off; extra_vertebra, whether one of the
last two says that there may be more vertebrae than names; and disputed_levels, the names of those
that sagittal and axial images, both sure, put over 10 mm apart. A sacrum out of view leaves names
as doubtful as a sixth lumbar vertebra does, and is flagged alike.
"""

from collections.abc import Iterable, Mapping
from itertools import compress

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.messages import Spell, few

Floats = NDArray[np.float64]

SPINES: dict[str, pl.DataType] = {
    "split": pl.String(),
    "study_id": pl.Int64(),
    "seen": pl.Int32(),
    "filled": pl.Int32(),
    "absent": pl.Int32(),
    "absent_levels": pl.String(),
    "widest_step": pl.Float64(),
    "shifted": pl.Float64(),
    "extra_vertebra": pl.Boolean(),
    "disputed_levels": pl.String(),
}
# A step so much longer than the others has a level in it that nobody named.
TWO_STEPS = 1.6
# Nets that learnt more are surer of all names alike, so doubt is told by what is usual among the
# studies they were tried on. On phantoms with all levels in view, five lumbar vertebrae came to 26
# times that at most, six to 86 times at least.
DOUBTFUL = 50.0
# So little is no doubt, however sure the nets usually are.
LEAST_DOUBT = 1e-4


def usual_doubt(shifted: Iterable[float]) -> float:
    """What speaks for shifted names as a rule: the median over training studies, out of fold."""
    return float(np.median([*shifted] or [0.0]))


def describe_spines(
    points: pl.DataFrame,
    shifted: Mapping[int, float],
    usual: float = 0.0,
    disputed: Mapping[int, NDArray[np.bool_]] | None = None,
) -> pl.DataFrame:
    """The spines table.

    Args:
        points: a points table.
        shifted: of each study, how much speaks for names one off; without an entry nothing does.
        usual: the same as a rule; see `usual_doubt`.
        disputed: (levels,) of each study, which of them its views contradict each other on.
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
    return pl.DataFrame(rows, schema=SPINES)


def describe_disputes(spines: pl.DataFrame, spell: Spell = str) -> str | None:
    """Which studies' views contradict each other on levels, in a line; None where none do."""
    rows = spines.filter(pl.col("disputed_levels") != "").select("study_id", "disputed_levels")
    if rows.is_empty():
        return None
    names = [f"{spell(study)} ({levels.replace(' ', ', ')})" for study, levels in rows.iter_rows()]
    return (
        f"sagittal and axial images of {len(names)} studies put levels over 10 mm apart: "
        f"{few(names)}; the surer are believed, with half the confidence"
    )


def _widest_step(points: pl.DataFrame) -> float:
    """Of points in a row, the longest step over the median one; 1 where there are too few."""
    numbers = [LEVELS.index(level) for level in points["level"]]
    places = points.select("x_mm", "y_mm", "z_mm").to_numpy()
    next_to = np.diff(numbers) == 1
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)[next_to]
    return float(steps.max() / np.median(steps)) if len(steps) >= 3 else 1.0
