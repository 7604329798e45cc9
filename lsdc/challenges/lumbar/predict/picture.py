"""Pictures: one of each study, with what it was predicted from and the predictions."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageDraw

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.predict.outcome import StudyOutcome
from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS, level_name
from lsdc.challenges.lumbar.report.panels import SAGITTAL, draw_axial, draw_sagittal, read_views
from lsdc.challenges.lumbar.report.study import StudyResults, gather_study
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS, Condition, Side
from lsdc.predict.unfinished import Block
from lsdc.report.drawing import BRIGHT, DIM, GROUND, LINE, Box, Colour, write
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
_DOUBT: Colour = (255, 196, 84)
_DOUBTFUL: Colour = (104, 104, 114)  # text of a doubtful grade, darker than all other text
_FADED = 0.65  # of a doubtful bar's colour that goes over into the background
_HEADLINE, _DOUBT_LINE = 30, 20  # heights
_LONGEST = 150  # letters of the title's second line
_WIDEST = 210  # letters of a doubt's line


def draw_pictures(
    studies: Sequence[StudyOutcome],
    blocks: Sequence[Block[StudyOutcome]],
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
    doubts = _doubt_lines(study)
    top = MARGIN + _HEAD + _height(doubts) + _HEADING
    sheet = Image.new("RGB", (width, top + SIDE + MARGIN), GROUND)
    _write_title(sheet, study, run)
    _write_doubts(sheet, MARGIN + _HEAD, doubts)
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
    _draw_table(sheet, beside, top + AXIAL + 2 * LINE, study, rows)
    return sheet


def _write_title(sheet: Image.Image, study: StudyOutcome, run: str) -> None:
    write(sheet, (MARGIN, MARGIN - 6), f"Study {study.spelled}", size=30)
    words = [f"predicted by the run {run}", *([study.subfolder] if study.subfolder else [])]
    write(sheet, (MARGIN, MARGIN + 34), "  ·  ".join(words)[:_LONGEST], size=15, colour=DIM)


def _heading(study: StudyOutcome, kind: str) -> str:
    """Return the name of a kind of series, and what told it."""
    own = [each for each in study.series if each.kind == kind]
    told = sorted({each.told_by for each in own if each.told_by and each.told_by != "table"})
    doubtful = " (doubtful)" if any(each.doubt for each in own) else ""
    return f"{kind}, told by {' and '.join(told)}{doubtful}" if told else kind


def _draw_table(
    sheet: Image.Image, left: int, top: int, study: StudyOutcome, rows: pl.DataFrame
) -> None:
    """Draw the probabilities of each level and condition as bars, doubtful ones faded."""
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
        is_sure = study.names is not None and study.names.levels[level].is_sure
        write(sheet, (left + 56, y + 2), f"{sure:.2f}", size=13, colour=DIM if is_sure else _DOUBT)
        for place, condition in enumerate(CONDITIONS):
            doubtful = study.is_doubtful(condition, level)
            at = name_end + place * _BAR, y
            _draw_bar(sheet, at, found[level, str(condition)], doubtful=doubtful)


def _draw_bar(
    sheet: Image.Image, at: tuple[int, int], row: dict[str, object], *, doubtful: bool
) -> None:
    """Draw a cell: the shares of the grades, and the likeliest grade with its probability."""
    draw, (left, top) = ImageDraw.Draw(sheet), at
    shares = np.array([float(str(row[name])) for name in PROBABILITIES])
    width = _BAR - 16
    ends = left + np.rint(np.concatenate([[0.0], np.cumsum(shares)]) * width).astype(int)
    for name, start, end in zip(PROBABILITIES, ends, ends[1:], strict=False):
        if end > start:
            colour = _faded(GRADE_COLOURS[name]) if doubtful else GRADE_COLOURS[name]
            draw.rectangle((start, top, end - 1, top + 7), fill=colour)
    best = PROBABILITIES[int(shares.argmax())]
    words = f"{best.replace('normal_mild', 'normal, mild')} {shares.max():.0%}"
    if row["source"] == "prior":
        words += " (prior)"
    elif doubtful:
        words += " (doubtful)"
    colour = _DOUBTFUL if doubtful else BRIGHT if best != "normal_mild" else DIM
    write(sheet, (left, top + 10), words, size=13, colour=colour)


def _faded(colour: Colour) -> Colour:
    red, green, blue = (
        round(own + _FADED * (ground - own)) for own, ground in zip(colour, GROUND, strict=True)
    )
    return red, green, blue


def _draw_key(sheet: Image.Image, left: int, top: int) -> None:
    draw, x = ImageDraw.Draw(sheet), left
    for name, colour in GRADE_COLOURS.items():
        draw.rectangle((x, top + 5, x + 11, top + 12), fill=colour)
        words = name.replace("_", " or ")
        write(sheet, (x + 17, top), words, size=13, colour=DIM)
        x += 40 + 8 * len(words)
    words = "confidence: that the point is at this level and that the level has this name"
    write(sheet, (x + 10, top), words, size=13, colour=DIM)


def _doubt_lines(study: StudyOutcome) -> list[str]:
    """Return a headline and all doubts, broken into lines; nothing without a doubt."""
    if not study.doubts:
        return []
    if study.has_doubtful_names:
        headline = "Do not rely on the names of the levels: each grade may belong to another level"
    else:
        headline = "Doubts"
    lines = [headline]
    for doubt in study.doubts:
        first, *more = textwrap.wrap(doubt, _WIDEST) or [""]
        lines += [f"! {first}", *(f"   {line}" for line in more)]
    return lines


def _height(doubts: Sequence[str]) -> int:
    return _HEADLINE + _DOUBT_LINE * len(doubts) if doubts else 0


def _write_doubts(sheet: Image.Image, top: int, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        y = top + (_HEADLINE + _DOUBT_LINE * (number - 1) if number else 0)
        write(sheet, (MARGIN, y), line, size=15 if number else 22, colour=_DOUBT)


def _short_name(condition: Condition) -> str:
    names = {"spinal": "canal", "foraminal": "foramen", "subarticular": "subarticular"}
    side = {Side.LEFT: "left ", Side.RIGHT: "right ", None: ""}[condition.side]
    return f"{side}{names[condition.pooled]}"
