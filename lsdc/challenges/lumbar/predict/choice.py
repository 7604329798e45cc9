"""Choice: which series of a study are used, if there are several of a kind."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lsdc.challenges.lumbar.predict.kinds import ToldSeries
from lsdc.challenges.lumbar.vocabulary import SeriesDescription

# An axial slice nearer than this to a slice of a better series shows nothing new.
_SAME_HEIGHT_MM = 6.0
# The least share of new slices for which a further axial series is used.
_NEW_SHARE = 0.25


def choose_series(told: Sequence[ToldSeries]) -> list[ToldSeries]:
    """Mark the series of one study that are not used, with the reason.

    One sagittal series of each kind is used. Several axial series may complete one another, so each
    one that shows further heights is used. The better series comes first: not derived from others,
    without a doubt about its kind, showing more of the spine, with finer pixels, with more images.
    """
    order = sorted(
        (each for each in told if not each.left_out),
        key=lambda each: (
            each.found.image_type == "derived",
            bool(each.doubt),
            -each.found.coverage if each.kind != SeriesDescription.AXIAL_T2 else 0.0,
            round(each.found.pixel_mm, 2),
            -each.found.images,
            each.found.series_id,
        ),
    )
    used: list[ToldSeries] = []
    reasons: dict[int, str] = {}
    for each in order:
        if reason := _why_not(each, [better for better in used if better.kind == each.kind]):
            reasons[each.found.series_id] = reason
        else:
            used.append(each)
    marked = (
        replace(each, left_out=each.left_out or reasons.get(each.found.series_id, ""))
        for each in told
    )
    return [_with_doubt(each) for each in marked]


def _with_doubt(series: ToldSeries) -> ToldSeries:
    """Add a doubt to a series that is used although it was made from others."""
    if series.left_out or series.found.image_type != "derived":
        return series
    doubts = [series.doubt, "derived from other images, by ImageType"]
    return replace(series, doubt="; ".join(filter(None, doubts)))


def _why_not(series: ToldSeries, better: Sequence[ToldSeries]) -> str:
    """Return why a series is not used beside better ones of its kind; empty if it is."""
    if series.kind is None:
        return f"{series.found.plane} {series.contrast}, which the models do not use"
    if not better:
        return ""
    if series.kind == SeriesDescription.AXIAL_T2:
        taken = np.concatenate([each.found.heights_mm for each in better])
        gaps = np.abs(series.found.heights_mm[:, None] - taken).min(axis=1)
        if (gaps > _SAME_HEIGHT_MM).mean() >= _NEW_SHARE:
            return ""
        return f"the same place as series {better[0].found.series_id}, which is better"
    first = better[0].found
    own = series.found
    if own.image_type == "derived" != first.image_type:
        why = "is not derived from others"
    elif series.doubt and not better[0].doubt:
        why = "has a surer contrast"
    elif own.coverage < first.coverage:
        why = "shows more of the spine"
    elif round(own.pixel_mm, 2) > round(first.pixel_mm, 2):
        why = f"has finer pixels ({first.pixel_mm:.2f} mm, not {own.pixel_mm:.2f} mm)"
    elif own.images < first.images:
        why = f"has more images ({first.images}, not {own.images})"
    else:
        why = "is as good and has the lower id"
    told = "taken, with a doubt, for " if series.doubt else ""
    return f"{told}a second {series.kind}; series {first.series_id} {why}"
