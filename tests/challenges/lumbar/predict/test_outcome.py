"""Outcomes: which grades are doubtful, and what the pictures say of it."""

import json
from dataclasses import replace

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.predict.names import NamedLevel, Names
from lsdc.challenges.lumbar.predict.outcome import SeriesOutcome, StudyOutcome, describe
from lsdc.challenges.lumbar.predict.picture import _doubt_lines
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition

SURE = NamedLevel(0.9, "predicted", 4, (0.0, 0.0, 0.0), is_sure=True)
UNSURE = replace(SURE, confidence=0.17, is_sure=False)
T2 = SeriesOutcome(12, "Sagittal T2/STIR", "tags", "", "", 15, 0)
STUDY = StudyOutcome(
    study_id=7,
    spelled="007",
    folder="some/folder",
    series=(T2,),
    missing=(),
    names=Names({str(level): SURE for level in LEVELS}, (), extra_or_missing=False),
    why_prior="",
    quarantined=0,
)
CANAL, FORAMEN = Condition.SPINAL_CANAL_STENOSIS, Condition.LEFT_NEURAL_FORAMINAL_NARROWING


def with_names(doubts: tuple[str, ...], flag: bool | None) -> StudyOutcome:
    levels = {**{str(level): SURE for level in LEVELS}, "l5_s1": UNSURE}
    return replace(STUDY, names=Names(levels, doubts, flag))


def test_a_grade_is_doubtful_without_a_sure_level_or_a_series_that_shows_it() -> None:
    assert not STUDY.is_doubtful(CANAL, "l5_s1")
    assert with_names((), None).is_doubtful(CANAL, "l5_s1")
    assert not with_names((), None).is_doubtful(CANAL, "l4_l5")
    without = replace(STUDY, missing=("Sagittal T1",))
    assert without.is_doubtful(FORAMEN, "l4_l5")
    assert not without.is_doubtful(CANAL, "l4_l5")
    assert replace(STUDY, names=None).is_doubtful(CANAL, "l4_l5")


def test_json_has_ids_as_text_and_says_which_grades_are_doubtful() -> None:
    long = replace(T2, series_id=8765890884651246514)
    study = replace(STUDY, series=(long,), missing=("Sagittal T1",), folder=".")
    cells = {"study_id": 7, "spread": 0.0, "source": "images"} | dict.fromkeys(PROBABILITIES, 1 / 3)
    rows = pl.DataFrame(
        {"condition": str(each), "level": "l4_l5", "doubtful": study.is_doubtful(each, "l4_l5")}
        | cells
        for each in (CANAL, FORAMEN)
    )
    files = pl.DataFrame(
        {"path": ["a.dcm"], "study_id": ["007"], "series_id": [long.series_id], "used_as": ["T2"]}
    )
    (found,) = describe([study], rows, pl.DataFrame(), files)
    (series,) = json.loads(json.dumps(found))["series"]
    assert (series["series_id"], series["files"]) == ("8765890884651246514", ["a.dcm"])
    assert [each["doubtful"] for each in found["predictions"]] == [False, True]
    assert study.subfolder == ""


def test_doubts_on_names_come_first_and_those_of_series_left_out_are_kept() -> None:
    out = replace(T2, series_id=11, doubt="the canal was not found", left_out="a second one")
    study = replace(with_names(("L5/S1: low",), None), series=(T2, out), missing=("Axial T2",))
    assert study.doubts == [
        "L5/S1: low",
        "no Axial T2",
        "series 11, left out: the canal was not found",
    ]


def test_picture_says_all_doubts_whole_and_warns_of_names() -> None:
    assert _doubt_lines(STUDY) == []
    doubts = tuple(f"doubt {number} {'word ' * 80}end{number}" for number in range(9))
    headline, *lines = _doubt_lines(with_names(doubts, flag=None))
    assert headline.startswith("Do not rely on the names of the levels")
    assert all(any(f"end{number}" in line for line in lines) for number in range(9))
    assert _doubt_lines(replace(STUDY, missing=("Axial T2",))) == ["Doubts", "! no Axial T2"]
