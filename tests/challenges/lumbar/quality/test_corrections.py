"""Corrections: only planted faults are corrected, and corrections can be undone."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.phantom.pose import GeometryMix
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.quality.corrections import (
    DESCRIPTIONS,
    Corrections,
    Evidence,
    Rule,
    apply_corrections,
    find_corrections,
    list_corrections,
    write_annotations,
)
from lsdc.challenges.lumbar.quality.level_agreement import points_off_their_curve
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition
from tests.challenges.lumbar.planned import planned_annotations, planned_index
from tests.challenges.lumbar.quality.examined import undo_corrections
from tests.dicom_index.indexing import build_index

CANAL = str(Condition.SPINAL_CANAL_STENOSIS)
LEFT_FORAMEN = str(Condition.LEFT_NEURAL_FORAMINAL_NARROWING)
RIGHT_FORAMEN = str(Condition.RIGHT_NEURAL_FORAMINAL_NARROWING)
LEFT_RECESS = str(Condition.LEFT_SUBARTICULAR_STENOSIS)
RIGHT_RECESS = str(Condition.RIGHT_SUBARTICULAR_STENOSIS)
NAMES = [str(level) for level in LEVELS]


@dataclass(frozen=True)
class Patient:
    """One study with all series, among the other studies of a clean phantom."""

    study: int
    points: pl.DataFrame
    evidence: Evidence

    def at(self, condition: str, *levels: str) -> pl.Expr:
        """Return an expression for the study's points of a condition at all or some levels."""
        wanted = list(levels or NAMES)
        return (
            (pl.col("study_id") == self.study)
            & (pl.col("condition") == condition)
            & pl.col("level").is_in(wanted)
        )

    def series_id(self, description: str) -> int:
        """Return the study's series of a kind."""
        listed = self.evidence.listed.filter(study_id=self.study, series_description=description)
        return int(listed["series_id"][0])

    def spacing_mm(self, description: str) -> float:
        """Return the row spacing of the study's series of a kind."""
        instances = self.evidence.instances
        assert instances is not None
        return float(instances.filter(series_id=self.series_id(description))["row_spacing_mm"][0])


@pytest.fixture(scope="module")
def patient(walked) -> Patient:
    listed = walked.competition.series.filter(split="train")
    evidence = Evidence(listed, walked.table("instances"), walked.table("series"))
    points = walked.competition.annotations
    study = int(points["study_id"].unique().sort()[1])  # T1, T2 and one straight axial stack
    return Patient(study, points, evidence)


def changed(points: pl.DataFrame, where: pl.Expr, **values: pl.Expr) -> pl.DataFrame:
    return points.with_columns(
        pl.when(where).then(value).otherwise(name).alias(name) for name, value in values.items()
    )


def mirrored() -> pl.Expr:
    return pl.col("condition").replace({str(c): str(c.mirrored) for c in CONDITIONS})


def one_down() -> pl.Expr:
    """Return an expression that renames each level to the level above it."""
    return pl.col("level").replace(dict(zip(NAMES[1:], NAMES[:-1], strict=True)))


def swap_foramina(patient: Patient) -> pl.DataFrame:
    pair = patient.at(LEFT_FORAMEN, "l2_l3") | patient.at(RIGHT_FORAMEN, "l2_l3")
    return changed(patient.points, pair, condition=mirrored())


def swap_all_recesses(patient: Patient) -> pl.DataFrame:
    axial = (pl.col("study_id") == patient.study) & pl.col("condition").str.contains("subarticular")
    return changed(patient.points, axial, condition=mirrored())


def name_by_the_level_above(patient: Patient, *conditions: str) -> pl.DataFrame:
    points = patient.points
    for condition in conditions or [LEFT_FORAMEN]:
        points = points.filter(~patient.at(condition, "l1_l2"))
        points = changed(points, patient.at(condition), level=one_down())
    return points


def move_down(patient: Patient) -> pl.DataFrame:
    rows = 60.0 / patient.spacing_mm("Sagittal T2/STIR")
    return changed(patient.points, patient.at(CANAL, "l1_l2"), y_px=pl.col("y_px") + rows)


def move_to_t1(patient: Patient) -> pl.DataFrame:
    other = pl.lit(patient.series_id("Sagittal T1"), dtype=pl.Int64)
    return changed(patient.points, patient.at(CANAL), series_id=other)


def move_to_no_series(patient: Patient) -> pl.DataFrame:
    other = pl.lit(77, dtype=pl.Int64)
    return changed(patient.points, patient.at(CANAL, "l3_l4"), series_id=other)


def move_beyond_the_image(patient: Patient) -> pl.DataFrame:
    return changed(patient.points, patient.at(CANAL, "l4_l5"), x_px=pl.col("x_px") + 999)


def shrink_to_a_neck(patient: Patient) -> pl.DataFrame:
    middle = pl.col("y_px").filter(patient.at(CANAL)).mean()
    shrunk = middle + (pl.col("y_px") - middle) / 2
    return changed(patient.points, patient.at(CANAL), y_px=shrunk)


def mark_on_the_right(patient: Patient) -> pl.DataFrame:
    right = pl.col("instance_number").filter(patient.at(RIGHT_FORAMEN, "l3_l4")).first()
    return changed(patient.points, patient.at(LEFT_FORAMEN, "l3_l4"), instance_number=right)


Plant = Callable[[Patient], pl.DataFrame]
EXCHANGED: dict[Plant, Rule] = {
    swap_foramina: Rule.SIDES_SWAPPED,
    swap_all_recesses: Rule.SIDES_SWAPPED,
}
LEFT_OUT: dict[Plant, tuple[Rule, int]] = {
    move_down: (Rule.OFF_THE_TREND, 1),
    move_to_t1: (Rule.WRONG_SERIES, 5),
    move_to_no_series: (Rule.WRONG_SERIES, 1),
    move_beyond_the_image: (Rule.OUTSIDE_THE_IMAGE, 1),
    mark_on_the_right: (Rule.ACROSS_THE_MIDDLE, 1),
}


def test_every_rule_is_described_in_order() -> None:
    assert list(DESCRIPTIONS) == list(Rule)


def test_clean_phantom_is_not_corrected(patient: Patient) -> None:
    assert find_corrections(patient.points, patient.evidence).is_empty()
    assert find_corrections(patient.points, Evidence(patient.evidence.listed)).is_empty()


@pytest.mark.parametrize("geometry", ["usual", "hard"])
def test_many_clean_patients_are_not_corrected(geometry: GeometryMix) -> None:
    """The patients include scoliotic, oblique and off-centre ones, and every planted oddity."""
    order = Order(studies=24, test=0, seed=5, grades="balanced", max_size=64, geometry=geometry)
    points, index = planned_annotations(order), planned_index(order)
    listed = index.series.select("split", "study_id", "series_id", "series_description")
    for evidence in (Evidence(listed), Evidence(listed, index.instances, index.series)):
        assert find_corrections(points, evidence).is_empty()


@pytest.mark.parametrize("plant", EXCHANGED)
def test_swapped_sides_are_exchanged_back(patient: Patient, plant: Plant) -> None:
    given_points = plant(patient)
    found = find_corrections(given_points, patient.evidence)
    assert set(found["rule"]) == {EXCHANGED[plant]}
    planted = given_points["condition"] != patient.points["condition"]
    assert found["row"].sort().to_list() == planted.arg_true().to_list()
    assert apply_corrections(given_points, found).equals(patient.points)


@pytest.mark.parametrize("plant", LEFT_OUT)
def test_points_that_cannot_be_renamed_are_dropped(patient: Patient, plant: Plant) -> None:
    rule, count = LEFT_OUT[plant]
    given_points = plant(patient)
    found = find_corrections(given_points, patient.evidence)
    harmed = pl.any_horizontal(
        pl.Series(given_points[name] != patient.points[name]) for name in given_points.columns
    )
    rows = given_points.select(harmed.alias("harmed"))["harmed"]
    assert set(found["rule"]) == {rule}
    assert len(found) == count
    assert found["row"].to_list() == rows.arg_true().to_list()
    assert found.select("became_condition", "became_level").null_count().row(0) == (count, count)
    assert apply_corrections(given_points, found).equals(patient.points.filter(~rows))


def given_twice(points: pl.DataFrame) -> pl.DataFrame:
    """Return the points, and a copy of each at a distance of 1 to 2 mm."""
    return pl.concat([points, points.with_columns(pl.col("x_px") + 0.4)])


@pytest.mark.parametrize("plant", [swap_foramina, move_down, mark_on_the_right])
def test_both_copies_of_a_repeated_point_are_corrected(patient: Patient, plant: Plant) -> None:
    given_points = plant(patient)
    once = find_corrections(given_points, patient.evidence)
    twice = find_corrections(given_twice(given_points), patient.evidence)
    rows = [row + copy * len(given_points) for copy in (0, 1) for row in once["row"]]
    assert len(once) > 0
    assert sorted(twice["row"]) == sorted(rows)
    assert set(twice["rule"]) == set(once["rule"])


def test_both_copies_of_a_repeated_point_are_off_the_curve_in_pixels(patient: Patient) -> None:
    points = given_twice(move_down(patient))
    found = find_corrections(points, Evidence(patient.evidence.listed))
    assert found.select("rule", "level").rows() == [(Rule.OFF_THE_TREND, "l1_l2")] * 2


@pytest.mark.parametrize(
    "conditions",
    [[LEFT_FORAMEN], [CANAL], [LEFT_FORAMEN, RIGHT_FORAMEN], [LEFT_RECESS, RIGHT_RECESS]],
    ids=["one side", "T2", "T1", "axial"],
)
def test_points_named_one_level_too_high_are_renamed(
    patient: Patient, conditions: list[str]
) -> None:
    given_points = name_by_the_level_above(patient, *conditions)
    found = find_corrections(given_points, patient.evidence)
    assert set(found["rule"]) == {Rule.LEVEL_OFF_BY_ONE}
    for condition in conditions:
        names = found.filter(condition=condition).select("level", "became_level")
        assert names.sort("level").rows() == list(pairwise(NAMES))
    lost = pl.any_horizontal(patient.at(condition, "l1_l2") for condition in conditions)
    assert apply_corrections(given_points, found).equals(patient.points.filter(~lost))


def test_points_below_the_last_level_are_dropped_when_levels_move_down(
    patient: Patient,
) -> None:
    """Five points named l1_l2 to l5_s1 lie from l2_l3 to a disc of the sacrum."""
    given_points = name_by_the_level_above(patient)
    lowest = given_points.filter(patient.at(LEFT_FORAMEN, "l4_l5")).with_columns(
        level=pl.lit("l5_s1"), y_px=pl.col("y_px") + 30.0 / patient.spacing_mm("Sagittal T1")
    )
    found = find_corrections(pl.concat([given_points, lowest]), patient.evidence)
    became = dict(found.select("level", "became_level").iter_rows())
    assert became == {**dict(pairwise(NAMES)), "l5_s1": None}


def test_points_of_a_neck_are_all_dropped(patient: Patient) -> None:
    found = find_corrections(shrink_to_a_neck(patient), patient.evidence)
    theirs = patient.points.with_row_index().filter(study_id=patient.study)["index"]
    assert set(found["rule"]) == {Rule.NO_LUMBAR_SPINE}
    assert found["row"].to_list() == theirs.to_list()


def test_study_with_images_too_small_for_a_lumbar_spine_is_dropped(patient: Patient) -> None:
    series = patient.evidence.series
    assert series is not None
    theirs = (pl.col("study_id") == patient.study) & (pl.col("plane") == "sagittal")
    thin = series.with_columns(extent_mm=pl.when(theirs).then(8.0).otherwise("extent_mm"))
    evidence = Evidence(patient.evidence.listed, patient.evidence.instances, thin)
    found = find_corrections(patient.points, evidence)
    assert found.select("rule", "study_id").unique().rows() == [
        (Rule.NO_LUMBAR_SPINE, patient.study)
    ]


def test_several_faults_in_one_study_are_all_corrected(patient: Patient) -> None:
    both = Patient(patient.study, swap_foramina(patient), patient.evidence)
    down = name_by_the_level_above(both)
    found = find_corrections(down, patient.evidence)
    assert set(found["rule"]) == {Rule.LEVEL_OFF_BY_ONE, Rule.SIDES_SWAPPED}
    clean = apply_corrections(down, found)
    key = ["study_id", "condition", "level"]
    rest = patient.points.join(clean, on=key, how="semi")
    assert clean.sort(key).equals(rest.sort(key))
    assert len(clean) == len(patient.points) - 1


# Without images


def test_axial_pair_opposite_to_its_series_is_exchanged_by_pixels(patient: Patient) -> None:
    pair = patient.at(LEFT_RECESS, "l4_l5") | patient.at(RIGHT_RECESS, "l4_l5")
    given_points = changed(patient.points, pair, condition=mirrored())
    found = find_corrections(given_points, Evidence(patient.evidence.listed))
    assert apply_corrections(given_points, found).equals(patient.points)


def test_axial_series_that_may_be_mirrored_is_not_corrected(patient: Patient) -> None:
    found = find_corrections(swap_all_recesses(patient), Evidence(patient.evidence.listed))
    assert found.is_empty()


def test_point_far_off_the_curve_is_found_in_pixels(patient: Patient) -> None:
    off = points_off_their_curve(move_down(patient))
    assert off.select("study_id", "condition", "level").rows() == [(patient.study, CANAL, "l1_l2")]
    found = find_corrections(move_down(patient), Evidence(patient.evidence.listed))
    assert found.select("rule", "level").rows() == [(Rule.OFF_THE_TREND, "l1_l2")]


# The written tables, and undoing corrections


@settings(max_examples=15, deadline=None)
@given(plants=st.permutations([*EXCHANGED, *LEFT_OUT, shrink_to_a_neck]), count=st.integers(0, 4))
def test_undoing_corrections_restores_the_raw_table(
    patient: Patient, plants: list[Plant], count: int
) -> None:
    points = patient.points
    for plant in plants[:count]:
        points = plant(Patient(patient.study, points, patient.evidence))
    found = find_corrections(points, patient.evidence)
    assert undo_corrections(apply_corrections(points, found), found).equals(points)


def test_point_corrected_twice_is_restored() -> None:
    raw = pl.DataFrame(
        {
            "study_id": [1, 1],
            "series_id": [2, 2],
            "instance_number": [3, 4],
            "condition": [LEFT_FORAMEN, CANAL],
            "level": ["l1_l2", "l1_l2"],
            "x_px": [5.0, 6.0],
            "y_px": [7.0, 8.0],
        }
    )
    steps = [
        (0, "level_off_by_one", 1, 2, 3, LEFT_FORAMEN, "l1_l2", 5.0, 7.0, LEFT_FORAMEN, "l2_l3"),
        (0, "sides_swapped", 1, 2, 3, LEFT_FORAMEN, "l2_l3", 5.0, 7.0, RIGHT_FORAMEN, "l2_l3"),
        (0, "off_the_trend", 1, 2, 3, RIGHT_FORAMEN, "l2_l3", 5.0, 7.0, None, None),
    ]
    for count in range(4):
        made = pl.DataFrame(steps[:count], schema=pl.Schema(Corrections), orient="row")
        clean = apply_corrections(raw, made)
        assert clean.height == (1 if count == 3 else 2)
        assert undo_corrections(clean, made).equals(raw)


def test_only_indexed_studies_are_corrected(patient, tmp_path) -> None:
    series = patient.evidence.series
    others = Evidence(
        patient.evidence.listed,
        patient.evidence.instances.filter(pl.col("study_id") != patient.study),
        series.filter(pl.col("study_id") != patient.study),
    )
    made = write_annotations(move_to_t1(patient), others, tmp_path, corrected=True)
    assert made.is_empty()
    assert pl.read_parquet(tmp_path / "annotations.parquet").equals(move_to_t1(patient))


def test_doctor_lists_every_rule_with_its_ids(patient: Patient) -> None:
    listed = list_corrections(find_corrections(move_to_t1(patient), patient.evidence))
    assert [finding.name for finding in listed] == [str(rule) for rule in Rule]
    counts = {finding.name: finding.count for finding in listed if finding.count}
    assert counts == {"wrong_series": 5}
    wrong = next(finding for finding in listed if finding.name == "wrong_series").rows
    assert wrong["study_id"].unique().to_list() == [patient.study]
    assert wrong["level"].to_list() == NAMES


def test_real_study_is_not_corrected(real_data: Path, tmp_path: Path) -> None:
    competition = open_competition(real_data / "competition")
    build_index(competition, "train", tmp_path, max_bad=1.0)
    series, instances = (
        pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("series", "instances")
    )
    indexed = series.filter(pl.col("images") > 0)
    points = competition.annotations.join(indexed, on="study_id", how="semi")
    assert len(points) == 25
    evidence = Evidence(competition.series.filter(split="train"), instances, indexed)
    assert find_corrections(points, evidence).is_empty()
