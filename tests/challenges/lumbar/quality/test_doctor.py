"""Doctor: every check finds its planted fault, and a clean phantom shows only its own oddities."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pydicom
import pytest

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.quality.corrections import Rule
from lsdc.challenges.lumbar.quality.doctor import Report, examine
from lsdc.challenges.lumbar.vocabulary import LEVELS
from lsdc.dicom_index.index import Index
from lsdc.dicom_index.quarantine import Quarantine
from tests.challenges.lumbar.planned import index_of, planned_index

ODDITIES_OF_THE_TABLES = {
    "studies_missing_a_series": 2,  # a T1 in training, a T2 in test
    "several_series_of_a_kind": 1,
    "empty_labels": 2,
    "labels_without_a_point": 10,  # the foramina of the study without T1
    "t1_series_without_one_order": 1,
}
ODDITIES_OF_THE_FILES = {
    "gaps_in_instance_numbers": 3,  # a T2 with gaps; a T2 and an axial series that start late
    "several_orientations": 5,  # the angled stacks: three in training, two in test
    "mixed_order": 1,
}
SAGITTAL = pl.col("series_description").str.starts_with("Sagittal")


@pytest.fixture(scope="module")
def competition(phantom: Path) -> Competition:
    return open_competition(phantom)


@pytest.fixture(scope="module")
def index() -> Index:
    """The index that the session's phantom has, less its broken files."""
    return planned_index(Order(studies=6, test=2, seed=3, grades="balanced", max_size=64))


@dataclass(frozen=True)
class Patient:
    """What a fault is planted in: a competition, its index, and one study with all series."""

    competition: Competition
    index: Index
    study: int

    def with_points(self, change: pl.Expr, **where: str) -> Report:
        """The report with a column of some of the study's points changed, from tables alone."""
        return examine(self._with_points(change, where), None)

    def with_placed_points(self, change: pl.Expr, **where: str) -> Report:
        """The same with images."""
        return examine(self._with_points(change, where), self.index)

    def _with_points(self, change: pl.Expr, where: dict[str, str]) -> Competition:
        there = (pl.col("study_id") == self.study) & pl.all_horizontal(
            pl.col(name) == value for name, value in where.items()
        )
        name = change.meta.output_name()
        changed = pl.when(there).then(change).otherwise(name).alias(name)
        points = self.competition.annotations.with_columns(changed)
        return replace(self.competition, annotations=points)

    def series_id(self, description: str) -> int:
        """The study's first series of a kind."""
        rows = self.index.series.filter(study_id=self.study, series_description=description)
        return int(rows["series_id"][0])


@pytest.fixture
def patient(competition: Competition, index: Index) -> Patient:
    """The phantom's second study: T1, T2 and one straight axial stack, all labelled."""
    return Patient(competition, index, int(competition.labels["study_id"].unique().sort()[1]))


def counted(report: Report) -> dict[str, int]:
    return {finding.name: finding.count for finding in report.findings if finding.count}


def new(report: Report, before: Report) -> set[str]:
    """The checks that find more than they did before."""
    old = counted(before)
    return {name for name, count in counted(report).items() if count > old.get(name, 0)}


def test_clean_phantom_shows_what_it_plants_and_no_more(
    competition: Competition, index: Index
) -> None:
    from_tables = counted(examine(competition, None))
    pairs = {"axial_pairs_on_two_slices", "axial_pairs_in_two_series"}
    assert {k: v for k, v in from_tables.items() if k not in pairs} == ODDITIES_OF_THE_TABLES
    with_files = counted(examine(competition, index))
    assert with_files == from_tables | ODDITIES_OF_THE_FILES
    assert counted(examine(None, index)) == ODDITIES_OF_THE_FILES


def test_counts_are_by_split_and_kind(competition: Competition, index: Index) -> None:
    counts = examine(competition, index).counts
    assert counts["studies"] == {"test": 2, "train": 6}
    assert counts["series"]["train"] == {"Axial T2": 7, "Sagittal T1": 5, "Sagittal T2/STIR": 6}
    assert counts["files"] == {"usable": index.instances.height, "quarantined": 0, "others": 0}
    slices = counts["slices"]["Sagittal T1"]
    assert slices["series"] == 7
    assert 13 <= slices["min"] <= slices["median"] <= slices["max"]
    assert sum(counts["t1_series_by_order_of_sides"].values()) == 5


# Labels, points and the list of series


def test_study_absent_from_one_table_is_named(competition: Competition) -> None:
    study = competition.labels["study_id"][0]
    cut = replace(competition, labels=competition.labels.filter(pl.col("study_id") != study))
    report = examine(cut, None)
    rows = report.finding("studies_absent_from_a_table").rows
    assert rows.select("study_id", "listed_in", "absent_from").rows() == [
        (study, "train_series_descriptions", "train"),
        (study, "train_label_coordinates", "train"),
    ]
    assert report.finding("points_without_a_label").studies == 1


def test_label_without_its_point_and_point_given_twice_are_named(competition: Competition) -> None:
    points = competition.annotations
    doubled = pl.concat([points.slice(1), points.slice(5, 1)])
    report = examine(replace(competition, annotations=doubled), None)
    cell = points.select("study_id", "condition", "level").row(0)
    assert cell in report.finding("labels_without_a_point").rows.rows()
    assert report.finding("repeated_points").count == 2


def test_point_on_a_series_in_no_table_is_named(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(77, dtype=pl.Int64).alias("series_id"),
        condition="spinal_canal_stenosis",
        level="l3_l4",
    )
    assert report.finding("points_on_unlisted_series").rows["series_id"].to_list() == [77]
    few = report.finding("t2_series_with_few_canal_points").rows
    assert few.row(0, named=True) == {
        "study_id": patient.study,
        "series_id": patient.series_id("Sagittal T2/STIR"),
        "points": 4,
        "missing_levels": "l3_l4",
    }


def test_canal_points_on_t1_are_on_the_wrong_kind_of_series(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(patient.series_id("Sagittal T1"), dtype=pl.Int64).alias("series_id"),
        condition="spinal_canal_stenosis",
    )
    found = report.finding("points_on_the_wrong_kind_of_series")
    assert found.count == 5
    assert found.rows.select("series_description", "expected").unique().rows() == [
        ("Sagittal T1", "Sagittal T2/STIR")
    ]
    few = report.finding("t2_series_with_few_canal_points").rows
    assert few.select("study_id", "points").rows() == [(patient.study, 0)]


# Left against right


def mirrored(competition: Competition, study: int, level: str, kind: str) -> Competition:
    """The competition with the names of one left and right point exchanged."""
    pair = (pl.col("study_id") == study) & (pl.col("level") == level)
    left, right = f"left_{kind}", f"right_{kind}"
    points = competition.annotations.with_columns(
        condition=pl.when(pair)
        .then(pl.col("condition").replace({left: right, right: left}))
        .otherwise("condition")
    )
    return replace(competition, annotations=points)


def test_swapped_axial_pair_shows_in_pixels_and_in_position(patient: Patient) -> None:
    swapped = mirrored(patient.competition, patient.study, "l4_l5", "subarticular_stenosis")
    by_pixels = examine(swapped, None).finding("swapped_pairs").rows
    assert by_pixels.select("study_id", "level", "kind", "judged_by").rows() == [
        (patient.study, "l4_l5", "subarticular", "pixels")
    ]
    assert by_pixels.select("swapped_in_series", "pairs_in_series").row(0)[0] == 1

    report = examine(swapped, patient.index)
    assert report.finding("swapped_pairs").rows["judged_by"].to_list() == ["position"]
    across = report.finding("points_on_the_other_side").rows
    assert across["condition"].sort().to_list() == [
        "left_subarticular_stenosis",
        "right_subarticular_stenosis",
    ]


def test_swapped_foraminal_pair_needs_position(patient: Patient) -> None:
    swapped = mirrored(patient.competition, patient.study, "l2_l3", "neural_foraminal_narrowing")
    assert examine(swapped, None).finding("swapped_pairs").count == 0
    both_ways = examine(swapped, None).finding("t1_series_without_one_order").rows
    assert both_ways.filter(study_id=patient.study).select(
        "left_to_right", "right_to_left", "on_one_slice"
    ).rows() in ([(1, 4, 0)], [(4, 1, 0)])
    rows = examine(swapped, patient.index).finding("swapped_pairs").rows
    assert rows.select("study_id", "level", "kind").rows() == [
        (patient.study, "l2_l3", "foraminal")
    ]


def test_images_stored_mirrored_are_not_swapped_where_positions_tell(patient: Patient) -> None:
    series = patient.series_id("Axial T2")
    there = pl.col("series_id") == series
    last = pl.col("columns").first().over("series_id") - 1
    flipped_points = patient.competition.annotations.join(
        patient.index.instances.select("series_id", "columns").unique("series_id"), on="series_id"
    ).with_columns(
        x_px=pl.when(there).then(pl.col("columns") - 1 - pl.col("x_px")).otherwise("x_px")
    )
    row = pl.concat_list(pl.col("orientation").arr.get(n) for n in range(3))
    moved = patient.index.instances.with_columns(
        far=pl.col("position_mm").arr.to_list() + row * (last * pl.col("column_spacing_mm")),
        back=pl.concat_list(
            *(-pl.col("orientation").arr.get(n) for n in range(3)),
            *(pl.col("orientation").arr.get(n) for n in range(3, 6)),
        ),
    ).with_columns(
        position_mm=pl.when(there).then("far").otherwise(pl.col("position_mm").arr.to_list()),
        orientation=pl.when(there).then("back").otherwise(pl.col("orientation").arr.to_list()),
    )
    instances = moved.with_columns(
        pl.col("position_mm").list.to_array(3), pl.col("orientation").list.to_array(6)
    )
    competition = replace(patient.competition, annotations=flipped_points.drop("columns"))

    from_tables = examine(competition, None).finding("swapped_pairs").rows
    assert (from_tables["swapped_in_series"] == from_tables["pairs_in_series"]).all()
    assert from_tables.height > 1
    report = examine(competition, replace(patient.index, instances=instances))
    assert report.finding("swapped_pairs").count == 0
    assert report.finding("points_on_the_other_side").count == 0


def test_sides_a_level_apart_are_named_by_pixels_alone(patient: Patient) -> None:
    levels = [str(level) for level in LEVELS]
    there = (pl.col("study_id") == patient.study) & pl.col("condition").str.starts_with("left_n")
    up = pl.col("level").replace(dict(pairwise(reversed(levels))))
    points = patient.competition.annotations
    named_too_high = points.filter(~(there & (pl.col("level") == "l1_l2"))).with_columns(
        level=pl.when(there).then(up).otherwise("level")
    )
    report = examine(replace(patient.competition, annotations=named_too_high), None)
    rows = report.finding("foramina_a_level_apart").rows
    assert rows.select("study_id", "series_id").rows() == [
        (patient.study, patient.series_id("Sagittal T1"))
    ]
    assert 0.8 < rows["steps_down"][0] < 1.2


def test_foramina_on_one_slice_are_named(patient: Patient) -> None:
    report = patient.with_points(pl.lit(7, dtype=pl.Int64).alias("instance_number"), level="l1_l2")
    rows = report.finding("foraminal_pairs_on_one_slice").rows
    assert rows.select("study_id", "level").rows() == [(patient.study, "l1_l2")]


def test_axial_pairs_on_two_slices_are_counted_of_those_in_one_series(patient: Patient) -> None:
    before = examine(patient.competition, None).finding("axial_pairs_on_two_slices")
    after = patient.with_points(
        pl.col("instance_number") + 1, condition="left_subarticular_stenosis", level="l5_s1"
    ).finding("axial_pairs_on_two_slices")
    assert abs(after.count - before.count) == 1
    assert after.of == before.of


def test_axial_pair_in_two_series_is_a_note(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(77, dtype=pl.Int64).alias("series_id"),
        condition="left_subarticular_stenosis",
        level="l5_s1",
    )
    found = report.finding("axial_pairs_in_two_series")
    assert patient.study in found.rows["study_id"]
    assert found.severity == "note"


# Points against images


@pytest.mark.parametrize("move", [-1000.0, 1000.0])
def test_point_outside_its_image_is_named(patient: Patient, move: float) -> None:
    change = pl.col("x_px") + move
    where = {"condition": "spinal_canal_stenosis", "level": "l3_l4"}
    rows = patient.with_placed_points(change, **where).finding("points_outside_their_image").rows
    assert rows.select("study_id", "condition", "level").rows() == [
        (patient.study, "spinal_canal_stenosis", "l3_l4")
    ]
    from_tables = patient.with_points(change, **where).finding("points_outside_their_image")
    assert from_tables.count == (1 if move < 0 else 0)


def test_point_on_a_pixels_outer_half_is_inside(patient: Patient) -> None:
    report = patient.with_placed_points(
        pl.lit(-0.4).alias("x_px"), condition="spinal_canal_stenosis", level="l3_l4"
    )
    assert report.finding("points_outside_their_image").count == 0


def test_points_of_exchanged_levels_are_out_of_order(patient: Patient) -> None:
    points = patient.competition.annotations
    there = pl.col("study_id") == patient.study
    exchanged = points.with_columns(
        level=pl.when(there & (pl.col("condition") != "left_subarticular_stenosis"))
        .then(pl.col("level").replace({"l2_l3": "l3_l4", "l3_l4": "l2_l3"}))
        .otherwise("level")
    )
    competition = replace(patient.competition, annotations=exchanged)
    from_tables = examine(competition, None).finding("levels_out_of_order").rows
    assert set(from_tables["condition"]) == {
        "spinal_canal_stenosis",
        "left_neural_foraminal_narrowing",
        "right_neural_foraminal_narrowing",
    }
    assert from_tables.select("level", "level_above").unique().rows() == [("l3_l4", "l2_l3")]

    report = examine(competition, patient.index)
    by_position = report.finding("levels_out_of_order").rows
    assert set(by_position["condition"]) - set(from_tables["condition"]) == {
        "right_subarticular_stenosis"
    }
    off = report.finding("points_off_their_level").rows
    assert off.select("condition", "level").sort("level").rows() == [
        ("left_subarticular_stenosis", "l2_l3"),
        ("left_subarticular_stenosis", "l3_l4"),
    ]
    assert off["offset_mm"].abs().min() > 20


def test_point_on_a_number_that_counts_no_slices_is_named(patient: Patient) -> None:
    report = patient.with_points(
        pl.lit(5046, dtype=pl.Int64).alias("instance_number"), level="l1_l2"
    )
    assert report.finding("points_on_high_instance_numbers").count == 5


def test_points_on_missing_and_on_quarantined_files_are_told_apart(patient: Patient) -> None:
    points = patient.competition.annotations.filter(study_id=patient.study).sort(
        "series_id", "instance_number"
    )
    missing, broken = points.row(0, named=True), points.row(-1, named=True)
    ids = ["study_id", "series_id", "instance_number"]
    lost = pl.DataFrame([{name: row[name] for name in ids} for row in (missing, broken)])
    path = f"/data/train_images/{'/'.join(str(broken[name]) for name in ids)}.dcm"
    index = replace(
        patient.index,
        instances=patient.index.instances.join(lost, on=ids, how="anti"),
        quarantine=pl.DataFrame(
            [(path, "index", "0 bytes", 0, 0, *(broken[name] for name in ids))],
            schema=pl.Schema(Quarantine),
            orient="row",
        ),
    )
    report = examine(patient.competition, index)
    assert report.finding("points_on_missing_files").rows.row(0)[:3] == points.row(0)[:3]
    quarantined = report.finding("points_on_quarantined_files").rows
    assert quarantined.row(0)[:3] == points.row(-1)[:3]
    assert set(quarantined["reason"]) == {"0 bytes"}
    assert report.finding("unusable_files").rows["path"].to_list() == [path]


def test_points_of_series_without_any_file_are_not_listed_one_by_one(patient: Patient) -> None:
    elsewhere = pl.col("study_id") != patient.study
    index = replace(
        patient.index,
        instances=patient.index.instances.filter(elsewhere),
        series=patient.index.series.with_columns(
            images=pl.when(elsewhere).then("images").otherwise(0)
        ),
    )
    report = examine(patient.competition, index)
    assert report.finding("points_on_missing_files").count == 0
    assert report.finding("series_without_images").count == 3


def test_an_index_without_a_usable_file_is_no_error(patient: Patient) -> None:
    index = replace(
        patient.index,
        instances=patient.index.instances.clear(),
        series=patient.index.series.with_columns(images=pl.lit(0)),
    )
    report = examine(patient.competition, index)
    assert report.finding("series_without_images").count == index.series.height


# Series and files of the index


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("gaps_in_instance_numbers", {"gaps": 2}),
        ("gaps_in_instance_numbers", {"first_instance": 5}),
        ("duplicate_positions", {"duplicate_positions": 1}),
        ("mixed_shapes", {"shapes": 2}),
        ("several_orientations", {"orientation_groups": 6}),
        ("mixed_order", {"order": "mixed"}),
        ("id_mismatches", {"id_mismatches": 3}),
        ("series_in_another_plane", {"plane": "axial"}),
        ("unlisted_series", {"series_description": None}),
    ],
)
def test_a_fault_of_a_series_is_named(
    patient: Patient, fault: str, change: dict[str, object]
) -> None:
    series_id = patient.series_id("Sagittal T1")
    changed = patient.index.series.with_columns(
        pl.when(pl.col("series_id") == series_id).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in change.items()
    )
    before = examine(patient.competition, patient.index)
    report = examine(patient.competition, replace(patient.index, series=changed))
    assert new(report, before) - {"series_unlike_a_lumbar_spine", "axial_apart_from_sagittal"} == {
        fault
    }
    assert series_id in report.finding(fault).rows["series_id"]


def test_an_oblique_series_contradicts_no_description(patient: Patient) -> None:
    oblique = patient.index.series.with_columns(plane=pl.lit("oblique"))
    report = examine(patient.competition, replace(patient.index, series=oblique))
    assert report.finding("series_in_another_plane").count == 0


Shrink = Callable[[Index, int], Index]


def small_images(index: Index, series: int) -> Index:
    smaller = pl.when(pl.col("series_id") == series).then(0.3).otherwise(1.0)
    spacing = ["row_spacing_mm", "column_spacing_mm"]
    return replace(index, instances=index.instances.with_columns(pl.col(spacing) * smaller))


def few_slices(index: Index, series: int) -> Index:
    extent = pl.when(pl.col("series_id") == series).then(8.0).otherwise("extent_mm")
    return replace(index, series=index.series.with_columns(extent_mm=extent))


@pytest.mark.parametrize(
    ("shrink", "description", "measure"),
    [
        (small_images, "Sagittal T1", "height of the images"),
        (few_slices, "Sagittal T2/STIR", "width over the slices"),
        (small_images, "Axial T2", "smaller side of the images"),
    ],
)
def test_a_series_too_small_for_a_lumbar_spine_is_named(
    patient: Patient, shrink: Shrink, description: str, measure: str
) -> None:
    series = patient.series_id(description)
    report = examine(None, shrink(patient.index, series))
    rows = report.finding("series_unlike_a_lumbar_spine").rows
    assert rows.select("series_id", "measure").rows() == [(series, measure)]
    assert rows["value_mm"][0] < rows["lowest_mm"][0]


def test_a_whole_body_in_one_axial_stack_is_no_lumbar_spine(patient: Patient) -> None:
    series = patient.series_id("Axial T2")
    tall = pl.when(pl.col("series_id") == series).then(900.0).otherwise("extent_mm")
    index = replace(patient.index, series=patient.index.series.with_columns(extent_mm=tall))
    rows = examine(None, index).finding("series_unlike_a_lumbar_spine").rows
    assert rows.select("series_id", "measure").rows() == [(series, "height over a stack")]


def test_an_axial_series_far_from_the_sagittal_images_is_named(patient: Patient) -> None:
    series = patient.series_id("Axial T2")
    shift = pl.when(pl.col("series_id") == series).then(600.0).otherwise(0.0)
    position = [pl.col("position_mm").arr.get(axis) for axis in range(3)]
    moved = pl.concat_list(*position[:2], position[2] + shift).list.to_array(3)
    index = replace(
        patient.index, instances=patient.index.instances.with_columns(position_mm=moved)
    )
    rows = examine(None, index).finding("axial_apart_from_sagittal").rows
    assert rows.select("study_id", "series_id").rows() == [(patient.study, series)]


def test_files_without_position_are_told_from_those_that_cannot_be_read(index: Index) -> None:
    files = [
        ("/tree/11/22/3.dcm", 11, 22, 3),
        ("/tree/11/22/4.dcm", 11, 22, 4),
        ("/tree/scan/IM0001", None, None, None),
    ]
    reasons = [
        "no usable ImagePositionPatient in the header",
        "no usable ImageOrientationPatient, PixelSpacing in the header",
        "pydicom: killed by SIGSEGV (dicomsdl: killed by SIGSEGV)",
    ]
    rows = [
        (path, "index", reason, 5000, 0, *ids)
        for (path, *ids), reason in zip(files, reasons, strict=True)
    ]
    quarantine = pl.DataFrame(rows, schema=pl.Schema(Quarantine), orient="row")
    report = examine(None, replace(index, quarantine=quarantine))
    lost = report.finding("files_without_position").rows
    assert lost.select("study_id", "series_id", "instance_number").rows() == [
        (11, 22, 3),
        (11, 22, 4),
    ]
    unusable = report.finding("unusable_files").rows
    assert unusable.select("study_id", "path").rows() == [(None, "/tree/scan/IM0001")]


def test_a_tree_without_tables_is_examined_by_its_planes(index: Index) -> None:
    unnamed = replace(
        index,
        instances=index.instances.with_columns(
            split=pl.lit(None, pl.String), series_description=pl.lit(None, pl.String)
        ),
        series=index.series.with_columns(
            split=pl.lit(None, pl.String), series_description=pl.lit(None, pl.String)
        ),
    )
    report = examine(None, small_images(unnamed, index.series["series_id"][0]))
    assert report.finding("series_unlike_a_lumbar_spine").count == 1
    assert set(report.counts["slices"]) == {"sagittal", "axial"}
    with pytest.raises(KeyError):
        report.finding("empty_labels")


# The real tables


@pytest.fixture(scope="module")
def real(real_data: Path) -> Report:
    return examine(open_competition(real_data / "competition"), None)


def test_real_tables_give_the_published_counts(real: Report) -> None:
    assert real.counts["series"]["train"] == {
        "Axial T2": 2340,
        "Sagittal T1": 1980,
        "Sagittal T2/STIR": 1974,
    }
    assert real.counts["studies"]["train"] == 1975
    assert sum(real.counts["annotations"].values()) == 48_668

    missing = real.finding("studies_missing_a_series").rows.drop("split").rows()
    assert set(missing) == {
        (3008676218, "Sagittal T2/STIR"),
        (2492114990, "Sagittal T1"),
        (2780132468, "Sagittal T1"),
    }
    several = real.finding("several_series_of_a_kind").rows
    tally = several.group_by("series_description", "series").len().rows()
    assert set(tally) == {
        ("Axial T2", 2, 306),
        ("Axial T2", 3, 28),
        ("Axial T2", 4, 1),
        ("Sagittal T1", 2, 7),
    }


def test_real_labels_and_points_give_the_published_counts(real: Report) -> None:
    empty = real.finding("empty_labels")
    assert (empty.count, empty.studies) == (572, 185)
    assert empty.rows["condition"].str.contains("subarticular").sum() == 517

    wrong = real.finding("points_on_the_wrong_kind_of_series")
    assert wrong.rows.select("study_id", "series_description").unique().rows() == [
        (3637444890, "Sagittal T1")
    ]
    assert wrong.count == 5

    two_slices = real.finding("axial_pairs_on_two_slices")
    assert (two_slices.count, two_slices.of) == (3311, 8770)
    swapped = real.finding("swapped_pairs").rows
    assert swapped.select("study_id", "level").rows() == [(677672203, "l4_l5")]
    assert real.finding("points_on_high_instance_numbers").rows["series_id"].unique().to_list() == [
        2683794967
    ]


def test_real_points_are_corrected_where_tables_alone_are_proof(real: Report) -> None:
    rules = {str(rule) for rule in Rule}
    corrected = {each.name: each.count for each in real.findings if each.name in rules}
    assert {name: count for name, count in corrected.items() if count} == {
        "wrong_series": 5,
        "off_the_trend": 1,
    }
    assert real.finding("off_the_trend").rows.select("study_id", "level").rows() == [
        (1973833645, "l1_l2")
    ]
    # Which side is right needs positions: nothing is corrected without.
    apart = real.finding("foramina_a_level_apart").rows["steps_down"].abs()
    assert apart.len() == 51
    assert apart.is_between(0.8, 1.25).all()


def test_real_t1_series_run_both_ways_by_their_annotated_sides(real: Report) -> None:
    # By the one real study at hand, instance 1 is the patient's rightmost where this is
    # "right to left", which is the more common way.
    assert real.counts["t1_series_by_order_of_sides"] == {
        "left to right": 698,
        "mixed": 4,
        "right to left": 1258,
    }


def test_real_t2_series_with_few_canal_points(real: Report) -> None:
    # Others count 75 short ones; their table may be the full one of 48,692 points, not 48,668.
    rows = real.finding("t2_series_with_few_canal_points").rows
    assert rows.filter(pl.col("points") > 0).height == 91
    assert set(rows.filter(points=0)["study_id"]) == {3225351618, 3294654272, 3637444890}


def test_real_labels_and_points_match_but_for_a_few(real: Report) -> None:
    assert real.finding("labels_without_a_point").count == 170
    assert real.finding("points_without_a_label").count == 35
    assert real.finding("foraminal_pairs_on_one_slice").count == 39
    silent = ("repeated_points", "points_on_unlisted_series", "levels_out_of_order")
    assert [real.finding(name).count for name in silent] == [0, 0, 0]


def test_the_real_study_is_where_it_should_be_and_looks_like_a_lumbar_spine(
    real_data: Path, real: Report
) -> None:
    competition = open_competition(real_data / "competition")
    listed = competition.series.filter(split="train", study_id=100206310)
    files: list[dict[str, object]] = []
    for series in listed.to_dicts():
        folder = competition.root / f"train_images/{series['study_id']}/{series['series_id']}"
        for path in sorted(folder.glob("*.dcm"), key=lambda path: int(path.stem)):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            geometry = {
                "instance_number": int(path.stem),
                "rows": header.Rows,
                "columns": header.Columns,
                "row_spacing_mm": float(header.PixelSpacing[0]),
                "column_spacing_mm": float(header.PixelSpacing[1]),
                "position_mm": list(map(float, header.ImagePositionPatient)),
                "orientation": list(map(float, header.ImageOrientationPatient)),
            }
            files.append(series | geometry)
    report = examine(competition, index_of(files))
    assert new(report, real) == {"several_orientations"}
    assert report.finding("several_orientations").rows["orientation_groups"].to_list() == [5]
    assert report.counts["slices"]["Axial T2"]["median"] == 60
