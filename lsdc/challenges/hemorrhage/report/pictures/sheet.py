"""Sheets: all slices of a study in their windows, with labels and predictions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lsdc.challenges.hemorrhage.report.pictures.attention import (
    Attention,
    attention_height,
    draw_attention,
    find_attention,
)
from lsdc.challenges.hemorrhage.report.pictures.profile import LABEL_COLOURS, draw_profile
from lsdc.challenges.hemorrhage.report.pictures.stacks import MOST_WINDOWS, Stack, Stacks
from lsdc.challenges.hemorrhage.report.pictures.tiles import draw_tile
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES, SHORT_NAMES
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.challenges.hemorrhage.vocabulary import Label
from lsdc.messages import counted
from lsdc.report.drawing import BRIGHT, DIM, GROUND, RULE, Box, Colour, font, write
from lsdc.store.files import write_atomic
from lsdc.store.home import Home

WIDTH, MARGIN, GAP = 1600, 24, 14
TITLE, LEGEND = 92, 30
MARK, CAPTION, ROW_GAP = 6, 52, 12
_PER_ROW = {1: 6, 2: 4, 3: 3}
_PROFILE = 6 * 58 + 34
_DOUBT: Colour = (255, 196, 84)
_DOUBT_LINE = 22
_SHOWN = 0.05  # smaller probabilities are left out of captions
_SUBTYPES = [part for part in PARTS if part != Label.ANY]


def inspect_study(home: Home, run: str, study: str, out: Path) -> None:
    """Write a PNG of all slices of a study, with labels and predictions out of fold.

    Below them are maps of what the predictions rest on.

    Args:
        home: the home.
        run: the run; of a test study it shows the predictions for the submission.
        study: the study's id.
        out: the path of the PNG.

    Raises:
        DataError: the run has no index, or no such study.
        SettingsError, StageError: see `training.occlusion.map_occlusion`.
    """
    stacks = Stacks(home, run)
    stack = stacks.read(study)
    attention = find_attention(home, run, stack)
    sheet = draw_sheet(stack, stacks.windows, attention, run=run)
    with write_atomic(out) as temporary:
        sheet.save(temporary, format="PNG")


def draw_sheet(
    stack: Stack, windows: Sequence[str], attention: Attention, *, run: str
) -> Image.Image:
    """Draw the sheet of a run's study as an image, WIDTH px wide."""
    slices = draw_stack(
        stack,
        windows,
        f"Study {stack.study_id}",
        _describe(stack, run),
        marks="Marked: labels. Below, in their colours: probabilities of 0.05 and more.",
    )
    inner = WIDTH - 2 * MARGIN
    looked = Box(MARGIN, slices.height, inner, attention_height(attention, inner))
    sheet = Image.new("RGB", (WIDTH, looked.bottom + MARGIN), GROUND)
    sheet.paste(slices, (0, 0))
    draw_attention(sheet, looked, stack, attention)
    return sheet


def draw_stack(
    stack: Stack,
    windows: Sequence[str],
    title: str,
    about: Sequence[str],
    *,
    marks: str,
    doubts: Sequence[str] = (),
) -> Image.Image:
    """Draw all slices of a stack and its probabilities, as an image WIDTH px wide.

    Args:
        stack: the stack.
        windows: what each channel shows.
        title: the headline.
        about: what is known of it, for the second line.
        marks: what the marks at the slices mean.
        doubts: lines on what may be wrong.
    """
    count = min(len(windows), MOST_WINDOWS)
    per_row = _PER_ROW[count]
    room = (WIDTH - 2 * MARGIN - GAP * (per_row - 1)) // per_row
    tile = room // count
    rows = -(-len(stack) // per_row)
    step = MARK + tile + CAPTION + ROW_GAP
    legend = MARGIN + TITLE + _DOUBT_LINE * len(doubts)
    top = legend + LEGEND
    height = top + rows * step + GAP + _PROFILE + MARGIN
    sheet = Image.new("RGB", (WIDTH, height), GROUND)
    _write_title(sheet, title, about, windows[:count])
    for number, doubt in enumerate(doubts):
        line = MARGIN + TITLE - 6 + number * _DOUBT_LINE
        write(sheet, (MARGIN, line), f"! {doubt}", size=16, colour=_DOUBT)
    _write_legend(sheet, legend, marks)
    for place in range(len(stack)):
        row, column = divmod(place, per_row)
        left = MARGIN + column * (room + GAP)
        _draw_slice(sheet, Box(left, top + row * step, tile * count, tile), stack, place, count)
    chart = Box(MARGIN, top + rows * step + GAP, WIDTH - 2 * MARGIN, _PROFILE)
    draw_profile(sheet, chart, stack, names=LABEL_NAMES, size=17)
    return sheet


def _describe(stack: Stack, run: str) -> list[str]:
    known = ~np.isnan(stack.labels[:, -1])
    words = [stack.split, f"run {run}", counted(len(stack), "slice")]
    if known.any():
        bleeds = int((stack.labels[known, -1] == 1).sum())
        words.append(f"{counted(bleeds, 'slice')} with haemorrhage")
    else:
        words.append("no labels")
    what = "out of fold" if stack.split == "train" else "for the submission"
    predicted = not np.isnan(stack.probabilities).all()
    return [*words, f"predictions {what}" if predicted else "no predictions"]


def _write_title(
    sheet: Image.Image, title: str, about: Sequence[str], windows: Sequence[str]
) -> None:
    write(sheet, (MARGIN, MARGIN - 4), title, size=30)
    write(sheet, (MARGIN, MARGIN + 36), "  ·  ".join(about), size=16, colour=DIM)
    shown = f"Windows, from left to right: {', '.join(windows)}"
    write(sheet, (MARGIN, MARGIN + 60), shown, size=16, colour=DIM)


def _write_legend(sheet: Image.Image, top: int, marks: str) -> None:
    """Write the abbreviations, and how slices are marked."""
    left: float = MARGIN
    for part, name in LABEL_NAMES.items():
        left = _chip(sheet, left, top, part) + 6
        write(sheet, (left, top + 9), name, size=15, colour=DIM, anchor="lm")
        left += font(15).getlength(name) + 22
    write(sheet, (WIDTH - MARGIN, top + 9), marks, size=15, colour=DIM, anchor="rm")


def _draw_slice(sheet: Image.Image, box: Box, stack: Stack, place: int, count: int) -> None:
    """Draw the windows of a slice, a strip in the colours of its labels above, captions below."""
    labels, given = stack.labels[place], stack.probabilities[place]
    present = [part for part, value in zip(PARTS, labels, strict=True) if value == 1]
    _strip(sheet, box, present)
    pixels = stack.pixels[place]
    for window in range(count):
        tile = Box(box.left + window * box.height, box.top + MARK, box.height, box.height)
        shown = None if pixels is None else pixels[window]
        draw_tile(sheet, tile, shown, "no pixels", size=14)
    top = box.bottom + MARK + 4
    number = stack.slices["slice"][place]
    write(sheet, (box.left, top + 9), str(number), size=18, anchor="lm")
    left: float = box.left + 34
    for part in present:
        if part != Label.ANY or len(present) == 1:
            left = _chip(sheet, left, top, part) + 5
    by_label = dict(zip(PARTS, given, strict=True))
    if np.isnan(given).all():
        write(sheet, (box.right, top + 9), "no prediction", size=15, colour=DIM, anchor="rm")
        return
    text = f"any {by_label[Label.ANY]:.2f}"
    colour = BRIGHT if by_label[Label.ANY] >= _SHOWN else DIM
    write(sheet, (box.right, top + 9), text, size=15, colour=colour, anchor="rm")
    left = box.left + 34
    for part in sorted(_SUBTYPES, key=lambda each: -by_label[each]):
        if by_label[part] >= _SHOWN:
            words = f"{SHORT_NAMES[part]} {by_label[part]:.2f}"
            write(sheet, (left, top + 32), words, size=15, colour=LABEL_COLOURS[part], anchor="lm")
            left += font(15).getlength(words) + 12


def _strip(sheet: Image.Image, box: Box, present: Sequence[str]) -> None:
    """Draw the strip above a slice: parts in the colours of its labels, or a thin line."""
    draw = ImageDraw.Draw(sheet)
    own = [part for part in present if part != Label.ANY] or list(present)
    for number, part in enumerate(own):
        ends = [box.left + box.width * each // len(own) for each in (number, number + 1)]
        corners = (ends[0], box.top, ends[1] - 1, box.top + MARK - 2)
        draw.rectangle(corners, fill=LABEL_COLOURS[part])
    if not own:
        line = (box.left, box.top + MARK - 2, box.right - 1, box.top + MARK - 2)
        draw.line(line, fill=RULE)


def _chip(sheet: Image.Image, left: float, top: float, part: str) -> float:
    """Draw a label's abbreviation on its colour; return where it ends."""
    text = SHORT_NAMES[part]
    right = left + font(14).getlength(text) + 10
    ImageDraw.Draw(sheet).rounded_rectangle((left, top, right, top + 19), 4, LABEL_COLOURS[part])
    write(sheet, ((left + right) / 2, top + 10), text, size=14, colour=GROUND, anchor="mm")
    return right
