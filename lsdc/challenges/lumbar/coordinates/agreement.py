"""Agreement: compare the level points that a study's views predict, then join them.

Views that differ by the same shift at all levels show a patient who moved between the series; the
shift is undone. Where sagittal and axial views are both confident and still contradict each other
at several levels, only the more confident side is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.coordinates.level_assignment import Chain, View, chain_of_views
from lsdc.challenges.lumbar.coordinates.moves import apart, odd_ones, one_off, shift_between

Floats = NDArray[np.float64]

# Least confidence of a level that is compared between views.
SURE = 0.4
# Least confidence of both views for a disagreement to count as a dispute, not as an error of one.
SURE_TO_DISPUTE = 0.6
# Factor on the confidence of a disputed level.
DOUBTED_SHARE = 0.5


@dataclass(frozen=True)
class Agreement:
    """The joint result of a study's views.

    Attributes:
        chain: the levels.
        moves: displacement (3,) in mm of each series that was moved; other series have no entry.
        disputed: (levels,) whether confident sagittal and axial views are over 10 mm apart.
    """

    chain: Chain
    moves: dict[int, Floats]
    disputed: NDArray[np.bool_]


def agree(
    sagittal: Mapping[int, View], axial: View | None, axial_series: Mapping[int, View]
) -> Agreement:
    """Compare a study's views, then join them.

    Args:
        sagittal: the view of each sagittal series; the first wins where two contradict each other.
        axial: the view of all axial series together.
        axial_series: the view of each axial series alone, whatever its confidence.
    """
    seen = [] if axial is None else [axial]
    positions = {series: _sure(chain_of_views([view])) for series, view in sagittal.items()}
    moves = odd_ones(positions, _sure(chain_of_views(seen)))
    upright = [_moved_back(view, moves.get(series)) for series, view in sagittal.items()]
    reference = chain_of_views(upright)
    away = _axial_moves(_sure(reference), seen, axial_series)
    if away:
        rest = [view for series, view in axial_series.items() if series not in away]
        seen = [replace(view, weight=1 / len(rest)) for view in rest]
    other = chain_of_views(seen)
    disputed = apart(_sure(reference, SURE_TO_DISPUTE), _sure(other, SURE_TO_DISPUTE))
    if disputed.sum() >= 2 and not one_off(_sure(reference), _sure(other)):
        chain = max(reference, other, key=lambda each: each.confidence.sum())
    else:
        chain = chain_of_views([*upright, *seen])
    trust = chain.confidence * np.where(disputed, DOUBTED_SHARE, 1.0)
    return Agreement(replace(chain, confidence=trust), moves | away, disputed)


def _axial_moves(
    reference_mm: Floats, together: Sequence[View], series: Mapping[int, View]
) -> dict[int, Floats]:
    """Return the shift of each moved axial series, or one for all if no series has its own."""
    alone = {name: _sure(chain_of_views([view])) for name, view in series.items()}
    found = {name: shift_between(reference_mm, own) for name, own in alone.items()}
    away = {name: shift for name, shift in found.items() if shift is not None}
    if not away:
        shift = shift_between(reference_mm, _sure(chain_of_views(together)))
        away = {} if shift is None else dict.fromkeys(series, shift)
    return away


def _moved_back(view: View, shift: Floats | None) -> View:
    return view if shift is None else replace(view, places_mm=view.places_mm - shift)


def _sure(chain: Chain, least: float = SURE) -> Floats:
    """Return the chain's points (levels, 3), NaN where its confidence is below `least`."""
    sure: Floats = np.where(chain.confidence[:, None] >= least, chain.points_mm, np.nan)
    return sure
