"""Kinds: tags tell the contrast, else the brightness of the canal; a doubt is said."""

from dataclasses import replace

import numpy as np
import pytest

from lsdc.challenges.lumbar.predict.choice import choose_series
from lsdc.challenges.lumbar.predict.kinds import (
    ToldSeries,
    contrast_by_tags,
    tell_by_content,
    tell_by_tags,
)
from lsdc.challenges.lumbar.predict.series import FoundSeries, refuse

T2 = FoundSeries(
    study_id=1,
    series_id=12,
    images=15,
    plane="sagittal",
    places=15,
    step_mm=4.4,
    width_mm=62.0,
    low_mm=-130.0,
    high_mm=130.0,
    heights_mm=np.zeros(15),
    pixel_mm=0.7,
    echo_ms=100.0,
    repetition_ms=3500.0,
    image_type="original",
)
T1 = replace(T2, series_id=11, echo_ms=10.0, repetition_ms=500.0)
AXIAL = replace(T2, series_id=13, plane="axial", heights_mm=np.arange(0.0, 150.0, 5.0), images=30)
BARE = {"echo_ms": None, "repetition_ms": None, "image_type": None}


@pytest.mark.parametrize(
    ("echo", "repetition", "contrast"),
    [
        (100, 3500, "T2"),
        (85, None, "T2"),
        (45, 4000, "T2"),  # STIR
        (10, 550, "T1"),
        (9, 2100, None),  # T1 FLAIR or proton density
        (30, 900, None),
        (10, None, None),
        (None, 500, None),
        (None, None, None),
    ],
)
def test_tags_tell_the_contrast_or_leave_it_open(echo, repetition, contrast) -> None:
    assert contrast_by_tags(echo, repetition) == contrast


def told_by_fluid(*series: tuple[FoundSeries, float | None]) -> list[ToldSeries]:
    bare = [ToldSeries(replace(one, **BARE)) for one, _ in series]
    return tell_by_content(bare, {one.series_id: fluid for one, fluid in series})


def test_bright_canal_means_t2_and_dark_one_t1() -> None:
    told = told_by_fluid((T1, 0.6), (T2, 5.9), (AXIAL, 3.1))
    assert [str(each.kind) for each in told] == ["Sagittal T1", "Sagittal T2/STIR", "Axial T2"]
    assert {each.by for each in told} == {"content"}
    assert not any(each.doubt for each in told)


def test_the_other_series_decides_with_a_doubt_if_the_canal_was_not_found() -> None:
    first, second = told_by_fluid((T1, None), (T2, 3.0))
    assert (first.contrast, first.by) == ("T1", "other series")
    assert "the canal was not found; another is T2" in first.doubt
    assert second.doubt == ""
    first, second = told_by_fluid((T1, 0.5), (T2, 1.2))
    assert (second.contrast, second.by) == ("T2", "other series")
    assert "1.20 times as bright as the vertebrae; another is T1" in second.doubt


def test_of_two_unclear_series_the_brighter_one_is_t2() -> None:
    first, second = told_by_fluid((T1, 1.1), (T2, 1.3))
    assert [first.contrast, second.contrast] == ["T1", "T2"]
    assert first.doubt
    assert second.doubt


def test_a_series_that_nothing_tells_is_taken_for_t2_with_a_doubt() -> None:
    (alone,) = told_by_fluid((T1, None))
    assert (alone.contrast, alone.by) == ("T2", "guess")
    assert "no tags tell the contrast" in alone.doubt


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_type": "localizer"}, "localizer, by ImageType"),
        ({"plane": "several"}, "slices in several planes"),
        ({"plane": "coronal"}, "coronal slices"),
        ({"plane": "oblique"}, "oblique slices"),
        ({"images": 1, "places": 1}, "1 image, expected at least 3"),
        ({"images": 40, "places": 2}, "40 images at 2 positions, expected at least 3"),
        ({"step_mm": 14.0}, "slices 14 mm apart, as in a localizer"),
    ],
)
def test_series_that_cannot_show_the_levels_are_refused_by_name(change, reason) -> None:
    assert reason in str(refuse(replace(T2, **change)))
    assert refuse(T2) is refuse(T1) is refuse(AXIAL) is None


def chosen(*series: FoundSeries) -> dict[int, str]:
    """Return the reason why each series is left out, empty for used ones."""
    told = choose_series([tell_by_tags(each) for each in series])
    return {each.found.series_id: each.left_out for each in told}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image_type": "derived"}, "series 12 is not derived from others"),
        ({"high_mm": -10.0}, "series 12 shows more of the spine"),
        ({"width_mm": 20.0}, "series 12 shows more of the spine"),
        ({"pixel_mm": 1.1}, "series 12 has finer pixels (0.70 mm, not 1.10 mm)"),
        ({"images": 11}, "series 12 has more images (15, not 11)"),
        ({}, "series 12 is as good and has the lower id"),
    ],
)
def test_the_better_of_two_series_of_a_kind_is_used(change, why) -> None:
    other = replace(T2, series_id=99, **change)
    for order in ((T2, other, T1), (other, T1, T2)):
        left_out = chosen(*order)
        assert left_out[12] == left_out[11] == ""
        assert left_out[99] == f"a second Sagittal T2/STIR; {why}"


def test_a_doubtful_series_yields_to_a_sure_one() -> None:
    doubtful = ToldSeries(replace(T2, series_id=99, pixel_mm=0.3), "T2", "guess", doubt="unclear")
    told = choose_series([doubtful, tell_by_tags(T2)])
    assert told[0].left_out == (
        "taken, with a doubt, for a second Sagittal T2/STIR; series 12 has a surer contrast"
    )
    assert told[0].doubt == "unclear"


def test_axial_series_complete_one_another() -> None:
    upper = replace(AXIAL, series_id=20, heights_mm=np.arange(80.0, 150.0, 5.0))
    lower = replace(AXIAL, series_id=21, heights_mm=np.arange(0.0, 80.0, 5.0))
    again = replace(AXIAL, series_id=22, pixel_mm=1.0)
    assert chosen(upper, lower) == {20: "", 21: ""}
    assert chosen(AXIAL, again) == {13: "", 22: "the same place as series 13, which is better"}


def test_axial_t1_is_left_out() -> None:
    t1 = replace(AXIAL, echo_ms=10.0, repetition_ms=500.0)
    assert chosen(t1) == {13: "axial T1, which the models do not use"}


def test_a_derived_series_is_used_with_a_doubt_if_there_is_no_other() -> None:
    (told,) = choose_series([tell_by_tags(replace(T2, image_type="derived"))])
    assert told.left_out == ""
    assert "derived" in told.doubt
