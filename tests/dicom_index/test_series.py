"""Series: plane, order, spacing and shapes, and slices without a usable geometry."""

from pathlib import Path

import pytest

from tests.dicom_index.indexing import index, write_slice

AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)
OBLIQUE = (0.7071, -0.7071, 0, 0, 0, -1)


def series_of(tree: Path, tmp_path: Path) -> dict[str, object]:
    _, tables = index(tree, tmp_path / "out")
    return tables["series"].row(0, named=True)


@pytest.mark.parametrize(
    ("orientation", "axis", "plane", "grows", "falls"),
    [
        (SAGITTAL, 0, "sagittal", "right to left", "left to right"),
        (CORONAL, 1, "coronal", "front to back", "back to front"),
        (AXIAL, 2, "axial", "feet to head", "head to feet"),
    ],
)
def test_plane_and_order_match_the_slices(
    tree: Path,
    tmp_path: Path,
    orientation: tuple[float, ...],
    axis: int,
    plane: str,
    grows: str,
    falls: str,
) -> None:
    orders = {grows: [0, 4, 8, 12], falls: [12, 8, 4, 0], "mixed": [0, 8, 4, 12]}
    for order, places in orders.items():
        for n, place in enumerate(places, start=1):
            position = [10.0, 20.0, 30.0]
            position[axis] += place
            write_slice(tree / f"{n}", number=n, position=position, orientation=orientation)
        series = series_of(tree, tmp_path)
        assert (series["plane"], series["order"]) == (plane, order)
        assert series["slice_spacing_mm"] == pytest.approx(4.0)
        assert series["extent_mm"] == pytest.approx(12.0)
        assert (series["images"], series["orientation_groups"], series["shapes"]) == (4, 1, 1)


def test_tilted_stack_has_the_nearest_plane_and_a_steep_one_is_oblique(
    tree: Path, tmp_path: Path
) -> None:
    for n in range(3):
        write_slice(tree / f"{n}", number=n, position=(n, n, 0), orientation=OBLIQUE)
        tilted = (1, 0, 0, 0, 0.9063, 0.4226)
        write_slice(
            tree / f"tilted{n}", number=n, series="200.2", position=(0, 0, n), orientation=tilted
        )
    _, tables = index(tree, tmp_path / "out")
    assert dict(tables["series"].select("series_id", "plane").iter_rows()) == {
        1: "oblique",
        2: "axial",
    }


def test_single_slice_has_no_order_and_no_spacing(tree: Path, tmp_path: Path) -> None:
    write_slice(tree / "1")
    series = series_of(tree, tmp_path)
    assert (series["plane"], series["order"], series["slice_spacing_mm"]) == ("axial", None, None)
    assert (series["extent_mm"], series["gaps"], series["duplicate_positions"]) == (0.0, 0, 0)


def test_gaps_are_missing_instance_numbers(tree: Path, tmp_path: Path) -> None:
    for n in (41, 42, 45, 47):
        write_slice(tree / f"{n}", number=n, position=(0, 0, n))
    series = series_of(tree, tmp_path)
    assert (series["first_instance"], series["last_instance"], series["gaps"]) == (41, 47, 3)


def test_slices_at_the_same_position_are_counted(tree: Path, tmp_path: Path) -> None:
    for n, z in enumerate([0, 4, 4.001, 8, 8, 8, 12]):
        write_slice(tree / f"{n}", number=n, position=(0, 0, z))
    assert series_of(tree, tmp_path)["duplicate_positions"] == 3


def test_shapes_and_orientations_are_counted(tree: Path, tmp_path: Path) -> None:
    for n in range(6):
        tilted = (1, 0, 0, 0, 0.9848, 0.1736)
        write_slice(
            tree / f"{n}",
            number=n,
            position=(0, 0, n),
            rows=16 + 4 * (n % 3),
            orientation=tilted if n >= 3 else AXIAL,
        )
    series = series_of(tree, tmp_path)
    assert (series["shapes"], series["orientation_groups"]) == (3, 2)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"position": ()}, "no usable ImagePositionPatient in the header"),
        ({"NumberOfFrames": 3}, "3 frames in one file of MR Image Storage"),
        (
            {"PixelSpacing": None, "orientation": (1, 0, 0, 1, 0, 0)},
            "no usable ImageOrientationPatient, PixelSpacing in the header",
        ),
        ({"Rows": 0, "PixelSpacing": None}, "no usable Rows, Columns or BitsAllocated"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "RGB, 3 samples per pixel"),
        ({"Rows": 40}, "expected at least 1280 of pixels"),
    ],
)
def test_slice_without_usable_geometry_is_quarantined(
    tree: Path, tmp_path: Path, tags: dict[str, object], reason: str
) -> None:
    write_slice(tree / "good")
    write_slice(tree / "bad", **tags)  # type: ignore[arg-type]
    _, tables = index(tree, tmp_path / "out")
    (said,) = tables["quarantine"]["reason"]
    assert reason in said
    assert tables["series"].row(0, named=True)["quarantined"] == 1
