"""Sheets: planted points, lines and masks are drawn at their expected positions."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.report.crop_grid import TILE, slice_distance
from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS
from lsdc.challenges.lumbar.report.layout import Panel
from lsdc.challenges.lumbar.report.panels import AXIAL_MM
from lsdc.challenges.lumbar.report.sheet import Layout, draw_sheet
from lsdc.challenges.lumbar.report.study import StudyResults, gather_study
from lsdc.challenges.lumbar.slices.slots import Part, Place
from lsdc.challenges.lumbar.vocabulary import LEVELS, Condition, SeriesDescription
from lsdc.report.drawing import GROUND, ROOM, Box
from tests.challenges.lumbar.report.conftest import SLICES

T1, T2 = SeriesDescription.SAGITTAL_T1, SeriesDescription.SAGITTAL_T2
AXIAL = SeriesDescription.AXIAL_T2
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def study(results: Path, studies: list[int]) -> StudyResults:
    return gather_study(studies[1], [results], SLICES)  # T1, T2 and one straight axial stack


@pytest.fixture(scope="module")
def drawn(study: StudyResults) -> Pixels:
    return np.array(draw_sheet(study, experiment="demo"))


def part_of(sheet: Pixels, box: Box) -> Pixels:
    return sheet[box.top : box.bottom, box.left : box.right]


def panel_of(study: StudyResults, kind: SeriesDescription) -> Panel:
    instance = study.middle(kind)
    shape = (instance["rows"][0], instance["columns"][0])
    return Panel.fit(Layout(study).sagittal[kind], shape, planes_of(instance))


def nearness(sheet: Pixels, at: NDArray[np.float64], colour: tuple[int, int, int]) -> int:
    """Return the largest difference from a colour at a sheet position."""
    x, y = np.rint(at).astype(int)
    return int(np.abs(sheet[y, x].astype(int) - colour).max())


def test_annotated_canal_points_are_solid_in_the_level_colour(
    study: StudyResults, drawn: Pixels, phantom: Path
) -> None:
    panel = panel_of(study, T2)
    answers = pl.read_csv(phantom / "answers" / "points.csv").filter(study_id=study.study_id)
    for row in answers.iter_rows(named=True):
        at = panel.place_points([[row["x_mm"], row["y_mm"], row["z_mm"]]])[0]
        assert nearness(drawn, at, LEVEL_COLOURS[row["level"]]) == 0


def test_moved_points_move_on_the_sheet(study: StudyResults) -> None:
    """A predicted point 20 mm behind the annotated one is drawn as a separate ring."""
    moved = study.marks.with_columns(
        y_mm=pl.when(kind="predicted").then(pl.col("y_mm") + 20).otherwise("y_mm")
    )
    sheet = np.array(draw_sheet(dataclasses.replace(study, marks=moved), experiment="demo"))
    panel = panel_of(study, T2)
    predicted = moved.filter(kind="predicted", condition=str(Condition.SPINAL_CANAL_STENOSIS))
    for row in predicted.iter_rows(named=True):
        middle = panel.place_points([[row["x_mm"], row["y_mm"], row["z_mm"]]])[0]
        on_the_ring = middle - (6.5, 0.0)
        assert nearness(sheet, on_the_ring, LEVEL_COLOURS[row["level"]]) < 60
        before = panel.place_points([[row["x_mm"], row["y_mm"] - 20, row["z_mm"]]])[0]
        # The slices are slightly oblique, so 20 mm to the back is slightly less along their rows.
        assert middle[0] - before[0] == pytest.approx(20 * panel.pixels_per_mm, rel=0.02)


def test_points_outside_an_image_are_not_drawn(study: StudyResults) -> None:
    far = study.marks.with_columns(
        z_mm=pl.when(level="l5_s1").then(pl.col("z_mm") - 400).otherwise("z_mm")
    )
    without = dataclasses.replace(study, marks=far, chosen=study.chosen[:0])
    sheet = np.array(draw_sheet(without, experiment="demo"))
    room = Layout(study).sagittal[T2]
    below = sheet[room.bottom : Layout(study).grid.top, :]
    assert (below.max(axis=2).astype(int) - below.min(axis=2)).max() < 20


def test_nearest_axial_slices_are_lines_on_t2_in_the_level_colour(
    study: StudyResults, drawn: Pixels
) -> None:
    panel = panel_of(study, T2)
    for level in map(str, LEVELS):
        axial = study.nearest_axial(level)
        plane, t2 = planes_of(axial), planes_of(study.middle(T2))
        rows = np.arange(0.0, axial["rows"][0], 0.25)
        columns = np.arange(0.0, axial["columns"][0], 0.25)
        # Find the pixels of the axial slice that lie in the T2 slice by testing all of them.
        grid = plane.to_mm(np.stack(np.meshgrid(columns, rows), axis=-1).reshape(1, -1, 2))[0]
        near = grid[np.abs(t2.signed_distance(grid[None])[0]) < 0.1]
        behind = near[near[:, 1] > np.quantile(near[:, 1], 0.9)].mean(axis=0)
        at = panel.place_points(behind)[0]
        rows = [np.array([at[0], at[1] + dy]) for dy in (-1, 0, 1)]
        beside = [nearness(drawn, row, LEVEL_COLOURS[level]) for row in rows]
        assert min(beside) < 110  # a thin line is half as strong between two rows of pixels


def test_axial_slices_show_the_patients_left_on_the_right(
    study: StudyResults, drawn: Pixels
) -> None:
    layout = Layout(study)
    for level, room in layout.axial.items():
        recess = study.marks.filter(
            kind="annotated", level=level, condition="left_subarticular_stenosis"
        )
        canal = study.points.filter(level=level)
        beside_mm = recess["x_mm"][0] - canal["x_mm"][0]
        # The window is AXIAL_MM wide, or as wide as the image; its centre is the level point.
        scale = room.width / AXIAL_MM
        flag = part_of(drawn, room)
        own = np.abs(flag.astype(int) - LEVEL_COLOURS[level]).max(axis=2) < 8
        columns = np.flatnonzero(own.any(axis=0))
        expected = room.width / 2 + beside_mm * scale
        assert columns.min() <= expected <= columns.max() + 1


def test_crops_are_in_order_and_masked_ones_hatched(study: StudyResults, drawn: Pixels) -> None:
    mask = study.mask.copy()
    mask[2, 4] = False
    crops = np.full_like(study.crops, 60)
    crops[0, 7], crops[4, 24] = 200, 90
    planted = dataclasses.replace(study, crops=crops, mask=mask)
    sheet = np.array(draw_sheet(planted, experiment="demo"))
    grid = Layout(study).grid
    values = {(0, 7): 200, (4, 24): 90, (1, 1): 60}
    for (level, place), value in values.items():
        if study.mask[level, place]:
            assert (part_of(sheet, grid.tile(level, place)) == value).all()
    hatched = part_of(sheet, grid.tile(2, 4))
    assert 0.5 < (hatched == ROOM).all(axis=2).mean() < 1.0
    assert not (hatched == 60).all(axis=2).any()


def test_crops_of_16_bits_look_like_8_bits(study: StudyResults, drawn: Pixels) -> None:
    wide = dataclasses.replace(study, crops=study.crops.astype(np.uint16) * 257)
    assert np.array_equal(np.array(draw_sheet(wide, experiment="demo")), drawn)


def test_study_without_t1_has_an_empty_panel_and_masked_crops(
    results: Path, studies: list[int]
) -> None:
    lacking = gather_study(studies[3], [results], SLICES)
    sheet = np.array(draw_sheet(lacking, experiment="demo"))
    layout = Layout(lacking)
    assert (part_of(sheet, layout.sagittal[T1]) == ROOM).all(axis=2).mean() > 0.95
    assert (part_of(sheet, layout.sagittal[T2]) == ROOM).all(axis=2).mean() < 0.5
    for number, place in enumerate(lacking.places):
        empty = (part_of(sheet, layout.grid.tile(0, number)) == ROOM).all(axis=2).mean()
        assert (empty > 0.5) == (place.description == T1)


@pytest.mark.parametrize(
    "lost", [("marks",), ("points", "marks"), ("points", "marks", "slices", "chosen", "samples")]
)
def test_sheet_is_drawn_from_partial_results(study: StudyResults, lost: tuple[str, ...]) -> None:
    empty = {name: getattr(study, name)[:0] for name in lost}
    sheet = np.array(draw_sheet(dataclasses.replace(study, **empty), experiment="demo"))
    coloured = (sheet.max(axis=2).astype(int) - sheet.min(axis=2)) > 60
    on_t2 = part_of(coloured, Layout(study).sagittal[T2])
    assert bool(on_t2.any()) == ("slices" not in lost)  # the axial slices' lines
    assert (part_of(sheet, Layout(study).sagittal[T1]) != GROUND).any()


def test_missing_file_leaves_its_panel_empty(study: StudyResults) -> None:
    gone = study.instances.with_columns(path=pl.lit("/nowhere/1.dcm"))
    sheet = np.array(draw_sheet(dataclasses.replace(study, instances=gone), experiment="demo"))
    assert (part_of(sheet, Layout(study).sagittal[T2]) == ROOM).all(axis=2).mean() > 0.95


@pytest.mark.parametrize(
    ("part", "offset", "words"),
    [
        (Part.LEFT, 17.24, "17.2 L"),
        (Part.RIGHT, -16.0, "16.0 R"),
        (Part.MIDDLE, 0.04, "0.0"),
        (Part.AXIAL, 2.5, "2.5 H"),
        (Part.AXIAL, -2.5, "2.5 F"),
        (Part.AXIAL, None, ""),
    ],
)
def test_distances_name_the_side(part: Part, offset: float | None, words: str) -> None:
    kind = AXIAL if part == Part.AXIAL else T1
    assert slice_distance(Place(kind, part, 0), offset) == words


def test_crop_tiles_do_not_overlap_and_fit_on_the_sheet(study: StudyResults) -> None:
    layout = Layout(study)
    tiles = [[layout.grid.tile(row, n) for n in range(SLICES.count)] for row in range(len(LEVELS))]
    for row in tiles:
        assert all(b.left >= a.left + TILE for a, b in pairwise(row))
    assert all(b[0].top >= a[0].bottom for a, b in pairwise(tiles))
    assert tiles[-1][-1].right <= layout.width
    assert tiles[-1][-1].bottom <= layout.height
