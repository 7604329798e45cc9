"""Kinds: tell what a series without a table shows, from its plane, its tags and its content."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from lsdc.challenges.lumbar.predict.series import FoundSeries
from lsdc.challenges.lumbar.vocabulary import SeriesDescription

Contrast = Literal["T1", "T2"]
Reason = Literal["table", "tags", "content", "other series", "guess"]

# Spin echo at 0.5 to 3 T, in ms. Between these, as with proton density and T1 FLAIR, the content
# decides.
_LONG_ECHO_MS, _STIR_ECHO_MS, _SHORT_ECHO_MS = 60.0, 30.0, 25.0
_LONG_REPETITION_MS, _SHORT_REPETITION_MS = 2000.0, 1200.0
# Brightness of the canal over that of the vertebrae or discs in front of it. Fluid is bright on T2,
# fat is not on STIR.
BRIGHT_FLUID, DARK_FLUID = 1.4, 1.05

_KINDS = {
    ("sagittal", "T1"): SeriesDescription.SAGITTAL_T1,
    ("sagittal", "T2"): SeriesDescription.SAGITTAL_T2,
    ("axial", "T2"): SeriesDescription.AXIAL_T2,
}


@dataclass(frozen=True)
class ToldSeries:
    """A series and what it was taken for.

    Attributes:
        found: the series; None if it is known from a table only.
        contrast: T1 or T2; None if it was refused before that was asked.
        by: what told the contrast.
        doubt: why the contrast may be wrong; empty without a doubt.
        left_out: why the series is not used; empty if it is used.
        fluid: the brightness of the canal over that of the vertebrae, where it was measured.
    """

    found: FoundSeries
    contrast: Contrast | None = None
    by: Reason | None = None
    doubt: str = ""
    left_out: str = ""
    fluid: float | None = None

    @property
    def kind(self) -> SeriesDescription | None:
        """The kind of series, or None if the models do not use such a series."""
        return None if self.contrast is None else _KINDS.get((self.found.plane, self.contrast))


def contrast_by_tags(echo_ms: float | None, repetition_ms: float | None) -> Contrast | None:
    """Return the contrast that EchoTime and RepetitionTime mean; None if they leave it open.

    >>> contrast_by_tags(100, 3500), contrast_by_tags(10, 500), contrast_by_tags(40, 4000)
    ('T2', 'T1', 'T2')
    >>> contrast_by_tags(9, 2000) is contrast_by_tags(None, None) is None  # FLAIR; nothing given
    True
    """
    if echo_ms is not None and echo_ms >= _LONG_ECHO_MS:
        return "T2"
    if echo_ms is None:
        return None
    if repetition_ms is None:
        return None
    if echo_ms >= _STIR_ECHO_MS and repetition_ms >= _LONG_REPETITION_MS:
        return "T2"
    if echo_ms <= _SHORT_ECHO_MS and repetition_ms <= _SHORT_REPETITION_MS:
        return "T1"
    return None


def tell_by_tags(series: FoundSeries) -> ToldSeries:
    """Tell the contrast of a series by its tags, if they suffice."""
    contrast = contrast_by_tags(series.echo_ms, series.repetition_ms)
    return ToldSeries(series, contrast, None if contrast is None else "tags")


def tell_by_content(
    told: Iterable[ToldSeries], fluid: Mapping[int, float | None]
) -> list[ToldSeries]:
    """Tell the contrast of a study's series that the tags leave open.

    A bright canal means T2, a dark one T1. Where the canal was not found or is neither, the other
    sagittal series of the study decide: one of two is T1 and the brighter one is T2. A series alone
    is taken for T2, which the canal needs; such decisions carry a doubt.

    Args:
        told: the series of one study.
        fluid: for each series, the brightness of the canal over that of the vertebrae.
    """
    measured = [replace(each, fluid=fluid.get(each.found.series_id)) for each in told]
    sure = [_by_fluid(each) if each.contrast is None else each for each in measured]
    return [_by_others(each, sure) if each.contrast is None else each for each in sure]


def _by_fluid(told: ToldSeries) -> ToldSeries:
    if told.fluid is None or DARK_FLUID < told.fluid < BRIGHT_FLUID:
        return told
    return replace(told, contrast="T2" if told.fluid >= BRIGHT_FLUID else "T1", by="content")


def _by_others(told: ToldSeries, study: list[ToldSeries]) -> ToldSeries:
    """Tell a series by the others of its plane in the study, with a doubt."""
    why = "no tags tell the contrast, and " + (
        "the canal was not found"
        if told.fluid is None
        else f"the canal is {told.fluid:.2f} times as bright as the vertebrae"
    )
    others = [each for each in study if each is not told and each.found.plane == told.found.plane]
    known = {each.contrast for each in others}
    brightness = told.fluid or 0.0
    if told.found.plane == "sagittal" and "T2" in known and "T1" not in known:
        return replace(told, contrast="T1", by="other series", doubt=f"{why}; another is T2")
    if told.found.plane == "sagittal" and "T1" in known and "T2" not in known:
        return replace(told, contrast="T2", by="other series", doubt=f"{why}; another is T1")
    open_too = [each.fluid or 0.0 for each in others if each.contrast is None]
    if told.found.plane == "sagittal" and open_too and max(open_too) > brightness:
        return replace(told, contrast="T1", by="guess", doubt=f"{why}; another is brighter")
    return replace(told, contrast="T2", by="guess", doubt=f"{why}; taken for the commoner T2")
