"""Overviews: a study's predictions in one picture, each with the slice that counts most."""

import textwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lsdc.challenges.lumbar.explain.slots import Slot
from lsdc.challenges.lumbar.explain.study import ExplainedCase, FoundLevel, StudyExplanation
from lsdc.challenges.lumbar.explain.tiles import (
    BAR,
    draw_crossing,
    draw_slot,
    mark_point,
    nearest_slots,
    percent,
    scale_maps,
)
from lsdc.challenges.lumbar.report.crop_grid import slice_distance
from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS, level_name
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS, SeriesDescription
from lsdc.report.drawing import BRIGHT, DIM, GROUND, RULE, Box, Colour, write
from lsdc.store.files import write_atomic

MARGIN, TITLE, HEADING, NAMES = 28, 66, 30, 190
TILE, GAP, ROW_GAP = 190, 22, 22
BELOW = 112  # height of the words and bars below a tile
STRIP = 26  # height of the bars of all slots
# From normal to severe; distinguishable by lightness.
GRADE_COLOURS: tuple[Colour, ...] = ((86, 128, 104), (214, 172, 84), (224, 92, 84))
_XYZ = ["x_mm", "y_mm", "z_mm"]


def tile_of(row: int, column: int) -> Box:
    """Return the box of the tile of a level and a condition, by their numbers from 0."""
    left = MARGIN + NAMES + column * (TILE + GAP)
    top = MARGIN + TITLE + HEADING + row * (TILE + BELOW + ROW_GAP)
    return Box(left, top, TILE, TILE)


def write_overview(study: StudyExplanation, out: Path) -> None:
    """Write a PNG with a row per level and a column per condition.

    Each tile is the slice with the greatest weight, with its map and the point of the condition.
    Below are its number, weight and distance, the weights of all slots, and the probabilities.
    """
    with write_atomic(out) as temporary:
        draw_overview(study).save(temporary, format="PNG")


def draw_overview(study: StudyExplanation) -> Image.Image:
    """Draw the overview as an image."""
    last = tile_of(len(LEVELS) - 1, len(CONDITIONS) - 1)
    size = (last.right + MARGIN, last.bottom + BELOW + 96)
    sheet = Image.new("RGB", size, GROUND)
    _write_title(sheet, study)
    for column, condition in enumerate(CONDITIONS):
        box = tile_of(0, column)
        words = condition.replace("_", " ").replace("stenosis", "").replace("narrowing", "")
        write(sheet, (box.left, box.top - 8), words.strip(), size=16, anchor="ld")
    for found in study.levels:
        _name_level(sheet, study, found)
    for case in study.cases:
        row, column = LEVELS.index(case.level), CONDITIONS.index(case.condition)
        _draw_case(sheet, tile_of(row, column), study, case)
    _write_legend(sheet, study, last.bottom + BELOW + 16)
    return sheet


def _write_title(sheet: Image.Image, study: StudyExplanation) -> None:
    write(sheet, (MARGIN, MARGIN - 4), f"Study {study.study.study_id}", size=30)
    words = [study.study.split, f"run {study.run}", study.predicted_by]
    if study.extra_vertebra:
        words.append("names of levels are doubtful")
    write(sheet, (MARGIN, MARGIN + 36), "  ·  ".join(words), size=16, colour=DIM)


def _name_level(sheet: Image.Image, study: StudyExplanation, found: FoundLevel) -> None:
    box = tile_of(LEVELS.index(found.level), 0)
    lines = textwrap.wrap(found.found_by, 20)
    if found.confidence is not None:
        lines.append(f"confidence {found.confidence:.2f}")
    if found.level in study.disputed:
        lines.append("views disagree")
    write(
        sheet,
        (MARGIN, box.top - 4),
        level_name(found.level),
        size=26,
        colour=LEVEL_COLOURS[found.level],
    )
    for number, line in enumerate(lines):
        write(sheet, (MARGIN, box.top + 34 + 20 * number), line, size=15, colour=DIM)


def _draw_case(sheet: Image.Image, tile: Box, study: StudyExplanation, case: ExplainedCase) -> None:
    number = case.most
    slot, heat = case.slots[number], scale_maps(case.maps)[number]
    panel = draw_slot(sheet, tile, slot, heat, has_edges=True)
    marks = study.study.marks.filter(level=case.level, condition=str(case.condition))
    points = marks.sort("kind").select(_XYZ).to_numpy()
    nearest = nearest_slots(case.slots, points[-1:]) if len(points) else {}
    if panel is not None:
        axial = nearest.get(SeriesDescription.AXIAL_T2)
        if not slot.is_axial and axial is not None:
            draw_crossing(sheet, panel, case.slots[axial], case.level)
        mark_point(sheet, panel, marks, case.condition)
        weight = percent(float(case.weights[number]))
        write(sheet, (tile.left, tile.bottom + 4), describe_slot(slot), size=14, colour=DIM)
        write(sheet, (tile.right, tile.bottom + 4), weight, size=14, colour=BRIGHT, anchor="ra")
    _draw_weights(sheet, Box(tile.left, tile.bottom + 26, tile.width, STRIP), case)
    _draw_grades(sheet, Box(tile.left, tile.bottom + 58, tile.width, 10), case)
    grade = int(case.mean.argmax())
    spread = "" if case.spread is None else f" ± {100 * case.spread[grade]:.0f}"
    words = f"{GRADES[grade].replace('_', '/')} {percent(case.mean[grade])}{spread}"
    write(sheet, (tile.left, tile.bottom + 70), words, size=15, colour=BRIGHT)
    if case.label is not None:
        words = f"label {GRADES[case.label].replace('_', '/')}"
        colour = DIM if case.label == grade else GRADE_COLOURS[2]
        write(sheet, (tile.left, tile.bottom + 90), words, size=15, colour=colour)


def describe_slot(slot: Slot) -> str:
    """Say what a slot holds: its name, the number of the image, and the distance in mm."""
    distance = slice_distance(slot.place, slot.offset_mm)
    return f"{slot.place.name} im {slot.instance_number}, {distance}"


def _draw_weights(sheet: Image.Image, room: Box, case: ExplainedCase) -> None:
    """Draw the weights of all slots as upright bars, the greatest one as high as the room."""
    draw = ImageDraw.Draw(sheet)
    edges = np.rint(np.linspace(room.left, room.right, len(case.slots) + 1)).astype(int).tolist()
    for number, (left, right) in enumerate(pairwise(edges)):
        share = float(case.weights[number]) / (float(case.weights.max()) or 1)
        height = round((room.height - 2) * share)
        draw.rectangle((left, room.bottom - 2, right - 2, room.bottom - 1), fill=RULE)
        if height:
            draw.rectangle((left, room.bottom - 2 - height, right - 2, room.bottom - 2), fill=BAR)


def _draw_grades(sheet: Image.Image, room: Box, case: ExplainedCase) -> None:
    """Draw the probabilities of the grades as parts of one bar."""
    draw = ImageDraw.Draw(sheet)
    ends = room.left + np.rint(room.width * np.cumsum([0, *case.mean])).astype(int)
    for colour, (left, right) in zip(GRADE_COLOURS, pairwise(ends.tolist()), strict=True):
        if right > left:
            draw.rectangle((left, room.top, right - 1, room.bottom - 1), fill=colour)


def _write_legend(sheet: Image.Image, study: StudyExplanation, top: int) -> None:
    bars = "attention" if study.has_attention else "share of all effects"
    lines = [
        f"Each picture is the slice that counts most. Blue bars: {bars} over the slots, in the "
        "model's order: " + ", ".join(_parts(study)) + ".",
        "Red: where hiding a part of the slice moves most of the probability to other grades. "
        "Open marker: the run's point, solid: annotated, both projected onto the slice.",
        "Bottom bar: probability of normal or mild (green), moderate (yellow) and severe (red). "
        "Distances in mm from the level point, to left, right, head or feet.",
    ]
    for number, line in enumerate(lines):
        write(sheet, (MARGIN, top + 22 * number), line, size=14, colour=DIM)


def _parts(study: StudyExplanation) -> list[str]:
    names = [
        "axial" if slot.is_axial else slot.place.name
        for case in study.cases[:1]
        for slot in case.slots
    ]
    return list(dict.fromkeys(names))
