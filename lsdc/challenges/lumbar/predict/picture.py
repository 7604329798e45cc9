"""Pictures: one of each study, with what it was predicted from and the predictions."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageDraw

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.predict.outcome import StudyOutcome
from lsdc.challenges.lumbar.predict.unfinished import Block
from lsdc.challenges.lumbar.report.drawing import (
    DIM,
    GROUND,
    INK,
    LEVEL_COLOURS,
    LINE,
    Colour,
    level_name,
    write,
)
from lsdc.challenges.lumbar.report.layout import Box
from lsdc.challenges.lumbar.report.panels import SAGITTAL, draw_axial, draw_sagittal, read_views
from lsdc.challenges.lumbar.report.study import StudyResults, gather_study
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, Side
from lsdc.store.files import write_atomic

MARGIN, GAP = 28, 18
SIDE, AXIAL = 520, 210  # sides of the space for a sagittal and for an axial image
_HEAD, _HEADING = 66, 24
_NAME, _BAR, _ROW = 96, 208, 34  # the table: width of level names and of bars, height of a row
GRADE_COLOURS: dict[str, Colour] = {
    "normal_mild": (70, 116, 128),
    "moderate": (214, 158, 62),
    "severe": (222, 84, 74),
}
_MOST_DOUBTS = 6
_LONGEST = 150  # letters of a line


def draw_pictures(
    studies: Sequence[StudyOutcome],
    blocks: Sequence[Block],
    rows: pl.DataFrame,
    out: Path,
    run: str,
    slices: SlicesConfig,
    on_done: Callable[[int, int], None],
) -> None:
    """Write STUDY.png for every study with a usable image into a folder, unless it is there.

    Args:
        studies: the studies.
        blocks: the blocks that hold them.
        rows: the table of predictions.
        out: the folder.
        run: the name of the run, for the title.
        slices: how the run chose slices.
        on_done: called with the number of studies done and of all studies.
    """
    out.mkdir(exist_ok=True)
    folder_of = {study.study_id: block.folder for block in blocks for study in block.studies}
    own = {study: part for (study,), part in rows.group_by("study_id")}
    for number, study in enumerate(studies, start=1):
        path = out / f"{study.spelled}.png"
        if any(each.kind for each in study.series) and not path.is_file():
            results = gather_study(study.study_id, [folder_of[study.study_id]], slices)
            picture = draw_picture(study, results, own[study.study_id], run=run)
            with write_atomic(path) as temporary:
                picture.save(temporary, format="PNG")
        on_done(number, len(studies))


def draw_picture(
    study: StudyOutcome, results: StudyResults, rows: pl.DataFrame, *, run: str
) -> Image.Image:
    """Draw a study: middle sagittal slices, an axial slice per level, predictions and doubts."""
    beside = MARGIN + 2 * (SIDE + GAP) + GAP
    width = beside + len(LEVELS) * (AXIAL + GAP) - GAP + MARGIN
    top = MARGIN + _HEAD + _HEADING
    sheet = Image.new("RGB", (width, top + SIDE + MARGIN), GROUND)
    _write_title(sheet, study, run)
    images = read_views(results)
    for number, kind in enumerate(SAGITTAL):
        room = Box(MARGIN + number * (SIDE + GAP), top, SIDE, SIDE)
        write(sheet, (room.left, room.top - 7), _heading(study, str(kind)), size=15, anchor="ld")
        draw_sagittal(sheet, room, results, images, kind)
    write(sheet, (beside, top - 7), _heading(study, "Axial T2"), size=15, anchor="ld")
    for number, level in enumerate(map(str, LEVELS)):
        room = Box(beside + number * (AXIAL + GAP), top, AXIAL, AXIAL)
        draw_axial(sheet, room, results, images, level)
        at = (room.left, room.bottom + 5)
        write(sheet, at, level_name(level), size=15, colour=LEVEL_COLOURS[level])
    bottom = _draw_table(sheet, beside, top + AXIAL + 2 * LINE, study, rows)
    _write_doubts(sheet, beside, bottom + 8, study)
    return sheet


def _write_title(sheet: Image.Image, study: StudyOutcome, run: str) -> None:
    write(sheet, (MARGIN, MARGIN - 6), f"Study {study.spelled}", size=30)
    words = [f"predicted by the run {run}", *([study.folder] if study.folder else [])]
    write(sheet, (MARGIN, MARGIN + 34), "  ·  ".join(words)[:_LONGEST], size=15, colour=DIM)


def _heading(study: StudyOutcome, kind: str) -> str:
    """Return the name of a kind of series, and what told it."""
    own = [each for each in study.series if each.kind == kind]
    told = sorted({each.told_by for each in own if each.told_by and each.told_by != "table"})
    doubtful = " (doubtful)" if any(each.doubt for each in own) else ""
    return f"{kind}, told by {' and '.join(told)}{doubtful}" if told else kind


def _draw_table(
    sheet: Image.Image, left: int, top: int, study: StudyOutcome, rows: pl.DataFrame
) -> int:
    """Draw the probabilities of each level and condition as bars; return the table's bottom."""
    draw = ImageDraw.Draw(sheet)
    found = {(row["level"], row["condition"]): row for row in rows.iter_rows(named=True)}
    _draw_key(sheet, left, top)
    top += LINE
    name_end = left + _NAME
    write(sheet, (left, top), "confidence", size=13, colour=DIM)
    for number, condition in enumerate(CONDITIONS):
        x = name_end + number * _BAR
        write(sheet, (x, top), _short_name(condition), size=13, colour=DIM)
    for number, level in enumerate(map(str, LEVELS)):
        y = top + LINE + number * _ROW
        write(sheet, (left, y), level_name(level), size=16, colour=LEVEL_COLOURS[level])
        sure = study.names.levels[level].confidence if study.names else 0.0
        write(sheet, (left + 56, y + 2), f"{sure:.2f}", size=13, colour=DIM)
        for place, condition in enumerate(CONDITIONS):
            row = found[level, str(condition)]
            _draw_bar(draw, sheet, name_end + place * _BAR, y, row)
    return top + LINE + len(LEVELS) * _ROW


def _draw_bar(
    draw: ImageDraw.ImageDraw, sheet: Image.Image, left: int, top: int, row: dict[str, object]
) -> None:
    """Draw a cell: the shares of the grades, and the likeliest grade with its probability."""
    shares = np.array([float(str(row[name])) for name in PROBABILITIES])
    width = _BAR - 16
    ends = left + np.rint(np.concatenate([[0.0], np.cumsum(shares)]) * width).astype(int)
    for name, start, end in zip(PROBABILITIES, ends, ends[1:], strict=False):
        if end > start:
            draw.rectangle((start, top, end - 1, top + 7), fill=GRADE_COLOURS[name])
    best = PROBABILITIES[int(shares.argmax())]
    words = f"{best.replace('normal_mild', 'normal, mild')} {shares.max():.0%}"
    if row["source"] == "prior":
        words += " (prior)"
    write(sheet, (left, top + 10), words, size=13, colour=INK if best != "normal_mild" else DIM)


def _draw_key(sheet: Image.Image, left: int, top: int) -> None:
    draw, x = ImageDraw.Draw(sheet), left
    for name, colour in GRADE_COLOURS.items():
        draw.rectangle((x, top + 5, x + 11, top + 12), fill=colour)
        words = name.replace("_", " or ")
        write(sheet, (x + 17, top), words, size=13, colour=DIM)
        x += 40 + 8 * len(words)
    words = "confidence: that the point is at this level and that the level has this name"
    write(sheet, (x + 10, top), words, size=13, colour=DIM)


def _write_doubts(sheet: Image.Image, left: int, top: int, study: StudyOutcome) -> None:
    doubts = study.doubts
    shown = doubts[:_MOST_DOUBTS]
    if len(doubts) > _MOST_DOUBTS:
        shown[-1] = f"and {len(doubts) - _MOST_DOUBTS + 1} more, in predictions.json"
    for number, doubt in enumerate(shown):
        colour = GRADE_COLOURS["moderate"]
        write(sheet, (left, top + number * 19), f"! {doubt}"[:_LONGEST], size=13, colour=colour)


def _short_name(condition: Condition) -> str:
    names = {"spinal": "canal", "foraminal": "foramen", "subarticular": "subarticular"}
    side = {Side.LEFT: "left ", Side.RIGHT: "right ", None: ""}[condition.side]
    return f"{side}{names[condition.pooled]}"
