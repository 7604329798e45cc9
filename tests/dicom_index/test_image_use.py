"""Use of images: geometry outranks the descriptions in the table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.series_kinds import SERIES_KINDS
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.landmarks import typical_landmarks, with_slices
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.dicom_index.image_use import (
    acquisitions,
    describe_use,
    list_undecided,
    summarise_use,
    used_images,
    with_use,
)
from tests.challenges.lumbar.planned import used

T1, T2, AXIAL = "Sagittal T1", "Sagittal T2/STIR", "Axial T2"
ACROSS = {
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "axial": (1, 0, 0, 0, 1, 0),
}
NORMAL = {"sagittal": 0, "coronal": 1, "axial": 2}


def images(
    plane: str,
    count: int,
    *,
    series: int,
    described: str,
    first: int = 1,
    step_mm: float = 4.0,
    size: int = 320,
    pixel_mm: float = 0.8,
    tilt: float = 0.0,
    echo_ms: float | None = None,
    begin_mm: float | None = None,
) -> list[dict[str, object]]:
    """Return parallel slices around the origin; `tilt` in degrees about x."""
    row, column = np.split(np.array(ACROSS[plane], float), 2)
    angle = np.deg2rad(tilt)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    row, column = turn @ row, turn @ column
    normal = np.zeros(3)
    normal[NORMAL[plane]] = 1.0
    begin = -step_mm * (count - 1) / 2 if begin_mm is None else begin_mm
    corner = (row + column) * pixel_mm * (size - 1) / 2
    return [
        {
            "split": "train",
            "study_id": 7,
            "series_id": series,
            "instance_number": first + k,
            "series_description": described,
            "rows": size,
            "columns": size,
            "row_spacing_mm": pixel_mm,
            "column_spacing_mm": pixel_mm,
            "position_mm": ((begin + step_mm * k) * (turn @ normal) - corner).tolist(),
            "orientation": [*row.tolist(), *column.tolist()],
            "echo_time_ms": echo_ms,
        }
        for k in range(count)
    ]


def table(
    *series: Sequence[dict[str, object]], annotations: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return the use of the images."""
    rows = [row for some in series for row in some]
    schema = {
        "position_mm": pl.Array(pl.Float64, 3),
        "orientation": pl.Array(pl.Float64, 6),
        "echo_time_ms": pl.Float64,
    }
    plain = pl.DataFrame(rows, schema_overrides=schema)
    ready = used(plain).drop("stack", "used_as", "set_aside").with_columns(plain["echo_time_ms"])
    return with_use(ready, SERIES_KINDS, annotations)


def kinds(found: pl.DataFrame, series: int) -> set[tuple[str | None, str | None]]:
    own = found.filter(series_id=series)
    return set(own.select("used_as", "set_aside").rows())


def normal_study() -> list[list[dict[str, object]]]:
    return [
        images("sagittal", 15, series=1, described=T1),
        images("sagittal", 15, series=2, described=T2),
        [
            image
            for disc, tilt in enumerate((-12.0, -4.0, 4.0, 15.0, 35.0))
            for image in images(
                "axial",
                4,
                series=3,
                described=AXIAL,
                first=1 + 4 * disc,
                tilt=tilt,
                begin_mm=70.0 - 35 * disc,
                size=256,
                pixel_mm=0.7,
            )
        ],
    ]


def test_normal_study_is_used_as_described() -> None:
    found = table(*normal_study())
    assert (found["used_as"] == found["series_description"]).all()
    assert found["set_aside"].null_count() == len(found)
    assert (found["stack"] == found["orientation_group"]).all()
    assert found.filter(series_id=3)["stack"].n_unique() == 5
    assert summarise_use(found.lazy()).is_empty()


def test_swapped_descriptions_are_corrected_by_the_geometry() -> None:
    t1, t2, axial = normal_study()
    for image in t2:
        image["series_description"] = AXIAL
    for image in axial:
        image["series_description"] = T2
    found = table(t1, t2, axial)
    assert kinds(found, 2) == {(T2, None)}
    assert kinds(found, 3) == {(AXIAL, None)}
    said = "\n".join(describe_use(summarise_use(found.lazy())))
    assert "15 images used as Sagittal T2/STIR by their plane, in series 7/2" in said
    spelled = describe_use(summarise_use(found.lazy()), lambda one: f"0{one}")
    assert "in series 07/02" in "".join(spelled)
    assert "20 images used as Axial T2 by their plane, in series 7/3" in said


def test_second_series_in_another_plane_is_set_aside_and_reported() -> None:
    """If the study has an axial T2, axial images described as T1 may have any contrast."""
    more = images("axial", 20, series=4, described=T1)
    found = table(*normal_study(), more)
    assert kinds(found, 4) == {(None, "another plane than described")}
    assert used_images(found)["series_id"].unique().sort().to_list() == [1, 2, 3]
    (said,) = describe_use(summarise_use(found.lazy()))
    assert "20 images set aside: another plane than described, in series 7/4" in said


@pytest.mark.parametrize("described", [T1, T2, AXIAL])
def test_coronal_images_are_set_aside(described: str) -> None:
    found = table(images("coronal", 12, series=1, described=described))
    assert kinds(found, 1) == {(None, "another plane than described")}


def test_two_sagittal_series_described_as_axial_are_both_set_aside() -> None:
    both = [images("sagittal", 15, series=n, described=AXIAL) for n in (1, 2)]
    assert used_images(table(*both)).is_empty()


def test_oblique_images_may_have_the_described_plane() -> None:
    found = table(images("axial", 6, series=1, described=AXIAL, tilt=45.0))
    assert kinds(found, 1) == {(AXIAL, None)}


LOCALIZERS = {
    "three planes": [("sagittal", 3.0, 128), ("coronal", 3.0, 128), ("axial", 3.0, 128)],
    "parallel, larger field of view": [("sagittal", 0.8, 512), ("axial", 0.8, 512)],
    "same shape, larger pixels": [("sagittal", 1.4, 320), ("axial", 1.4, 320)],
}


@pytest.mark.parametrize("name", LOCALIZERS)
@pytest.mark.parametrize("series", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 3])
def test_localizers_within_a_series_are_set_aside(name: str, series: int, count: int) -> None:
    study = normal_study()
    described = str(study[series - 1][0]["series_description"])
    for n, (plane, pixel_mm, size) in enumerate(LOCALIZERS[name]):
        study[series - 1] += images(
            plane,
            count,
            series=series,
            described=described,
            first=100 + 10 * n,
            step_mm=12.0,
            size=size,
            pixel_mm=pixel_mm,
        )
    found = table(*study)
    localizers = found.filter(pl.col("instance_number") >= 100)
    assert set(localizers["set_aside"]) == {"localizer"}
    rest = found.filter(pl.col("instance_number") < 100)
    assert (rest["used_as"] == rest["series_description"]).all()


def test_single_image_at_another_angle_is_a_localizer_only_if_sagittal() -> None:
    t1, t2, axial = normal_study()
    lone = images(
        "axial", 1, series=3, described=AXIAL, first=50, tilt=22.0, size=256, pixel_mm=0.7
    )
    turned = images("sagittal", 1, series=2, described=T2, first=50)
    turned[0]["orientation"] = [np.sin(0.1), np.cos(0.1), 0.0, 0.0, 0.0, -1.0]
    found = table(t1, t2 + turned, axial + lone).filter(instance_number=50)
    assert found.select("series_id", "set_aside").rows() == [(2, "localizer"), (3, None)]


def test_axial_stack_of_another_shape_is_used() -> None:
    t1, t2, axial = normal_study()
    block = images(
        "axial",
        5,
        series=3,
        described=AXIAL,
        first=50,
        tilt=38.0,
        begin_mm=-110.0,
        size=288,
        pixel_mm=0.7,
    )
    assert kinds(table(t1, t2, axial + block), 3) == {(AXIAL, None)}


def points_on(series: int, numbers: Sequence[int]) -> pl.DataFrame:
    return pl.DataFrame({"study_id": 7, "series_id": series, "instance_number": numbers})


@pytest.mark.parametrize("described", [T1, T2, AXIAL])
@pytest.mark.parametrize("early_first", [True, False])
def test_echo_of_the_described_kind_is_used(described: str, early_first: bool) -> None:
    plane = "axial" if described == AXIAL else "sagittal"
    echoes = (15.0, 100.0) if early_first else (100.0, 15.0)
    both = [
        images(plane, 12, series=1, described=described, first=1 + 20 * n, echo_ms=echo)
        for n, echo in enumerate(echoes)
    ]
    found = table(*both)
    assert set(used_images(found)["echo_time_ms"]) == {15.0 if described == T1 else 100.0}
    assert kinds(found, 1) == {(None, "second contrast"), (described, None)}


def test_annotated_echo_is_used() -> None:
    both = [
        images("axial", 12, series=1, described=AXIAL, first=1 + 20 * n, echo_ms=echo)
        for n, echo in enumerate((15.0, 100.0))
    ]
    found = table(*both, annotations=points_on(1, [3, 4, 26]))
    assert set(used_images(found)["echo_time_ms"]) == {15.0}


@pytest.mark.parametrize("timed", [1, 2])
def test_annotations_decide_if_images_without_echo_time_are_used(timed: int) -> None:
    both = [
        images(
            "axial",
            12,
            series=1,
            described=AXIAL,
            first=1 + 20 * n,
            echo_ms=15.0 if n + 1 == timed else None,
        )
        for n in range(2)
    ]
    found = table(*both, annotations=points_on(1, [23, 26]))
    assert used_images(found)["instance_number"].to_list() == list(range(21, 33))
    assert list_undecided(found.lazy()) == []
    found = table(*both)
    assert len(used_images(found)) == 24
    assert list_undecided(found.lazy(), lambda one: f"00{one}") == ["007/001"]


def test_slices_without_echo_time_get_the_contrast_of_their_stack() -> None:
    slices = images("axial", 12, series=1, described=AXIAL, echo_ms=100.0)
    for image in slices[::3]:
        image["echo_time_ms"] = None
    found = table(slices, annotations=points_on(1, [3, 4]))
    assert kinds(found, 1) == {(AXIAL, None)}
    assert list_undecided(found.lazy()) == []


@pytest.mark.parametrize("count", [9, 15])
def test_many_sagittal_slices_with_coarse_pixels_are_a_localizer(count: int) -> None:
    localizer = images(
        "sagittal", count, series=2, described=T2, first=1, size=160, pixel_mm=1.5, step_mm=8.0
    )
    slices = images("sagittal", 15, series=2, described=T2, first=50, size=400, pixel_mm=0.6)
    found = table(localizer + slices)
    assert used_images(found)["instance_number"].to_list() == list(range(50, 65))


@pytest.mark.parametrize("begin_mm", [-50.0, 17.0])
@pytest.mark.parametrize("count", [2, 5])
def test_axial_stack_with_other_pixels_is_used_where_no_other_stack_is(
    begin_mm: float, count: int
) -> None:
    blocks = [
        images(
            *("axial", number),
            series=3,
            described=AXIAL,
            first=first,
            begin_mm=begin,
            size=size,
            pixel_mm=pixel_mm,
        )
        for number, first, begin, size, pixel_mm in (
            (5, 1, 35.0, 512, 0.39),
            (5, 11, -20.0, 512, 0.39),
            (count, 21, begin_mm, 384, 0.5),
        )
    ]
    assert kinds(table(*blocks), 3) == {(AXIAL, None)}


def test_spacings_that_differ_only_by_rounding_are_equal() -> None:
    blocks = [
        images("axial", 6, series=1, described=AXIAL, first=first, pixel_mm=pixel_mm, begin_mm=at)
        for first, pixel_mm, at in ((1, 0.4375, 30.0), (11, 0.43749999, 0.0), (21, 0.438, -30.0))
    ]
    found = table(*blocks)
    assert found["stack"].unique().to_list() == [0]
    assert (acquisitions(found) == 1).all()
    apart = found.with_columns(row_spacing_mm=pl.Series([0.4375] * 9 + [0.4545] * 9))
    assert len(set(acquisitions(apart).tolist())) == 2


def test_stacks_at_other_positions_may_have_other_echo_times() -> None:
    blocks = [
        images(
            "axial", 5, series=1, described=AXIAL, first=1 + 10 * n, echo_ms=echo, begin_mm=60.0 * n
        )
        for n, echo in enumerate((98.0, 102.0))
    ]
    assert kinds(table(*blocks), 1) == {(AXIAL, None)}


def test_phases_of_one_echo_are_all_used() -> None:
    phases = [
        images("axial", 6, series=1, described=AXIAL, first=1 + 10 * n, echo_ms=100.0)
        for n in range(3)
    ]
    assert kinds(table(*phases), 1) == {(AXIAL, None)}


def test_images_set_aside_are_not_chosen_as_slices(tmp_path: Path) -> None:
    t1, t2, axial = normal_study()
    t2 += images("sagittal", 1, series=2, described=T2, first=99, size=128, pixel_mm=3.0)
    found = table(t1, t2, axial)
    points = pl.DataFrame(
        {
            "split": "train",
            "study_id": 7,
            "level": "l3_l4",
            "x_mm": 0.0,
            "y_mm": 0.0,
            "z_mm": 0.0,
            "confidence": 1.0,
            "source": "annotated",
        }
    )
    measure_offsets(found, points, None, tmp_path)
    chosen = choose_slices(pl.read_parquet(tmp_path / "slices.parquet"), SlicesConfig())
    assert set(chosen["series_id"]) == {1, 2, 3}
    assert 99 not in chosen["instance_number"]
    marks = with_slices(typical_landmarks(points), found)
    assert marks["instance_number"].null_count() == 0
    assert 99 not in marks["instance_number"]


@pytest.mark.parametrize("series", [1, 2, 3])
def test_slices_of_other_shapes_with_similar_pixels_and_field_are_used(series: int) -> None:
    study = normal_study()
    for n, image in enumerate(study[series - 1]):
        image["rows"] = 250 + 2 * n
    found = table(*study)
    assert (found["used_as"] == found["series_description"]).all()
    assert (acquisitions(found.filter(series_id=series)) == 1).all()
