"""Pictures of cases for the gallery of a report: a slice, its neighbours, and its study."""

from collections.abc import Sequence
from functools import partial

from PIL import Image

from lsdc.challenges.hemorrhage.report.page.gallery import Images
from lsdc.challenges.hemorrhage.report.pictures.profile import draw_profile
from lsdc.challenges.hemorrhage.report.pictures.stacks import MOST_WINDOWS, Stack, Stacks
from lsdc.challenges.hemorrhage.report.pictures.tiles import draw_tile
from lsdc.challenges.hemorrhage.report.words import LABEL_NAMES, SHORT_NAMES
from lsdc.report.drawing import GROUND, Box, encode_webp, write
from lsdc.report.pictures import Picture, Pictures
from lsdc.store.home import Home

WIDTH, GAP, TEXT = 720, 6, 24
_ROW = 46  # height of a label's row in the chart
_PROFILE = 6 * _ROW + TEXT + 8


def images_of_cases(home: Home, run: str, cases: int) -> Images:
    """Return how a report draws images of this many cases of a run; see `draw_pictures`."""
    return Images(cases, partial(draw_pictures, home, run))


def draw_pictures(home: Home, run: str, shown: Sequence[tuple[str, str]]) -> Pictures:
    """Draw slices of a run.

    Args:
        home: the home.
        run: the run.
        shown: the ids of images, each with the label that it is shown for.

    Returns:
        A picture for each image.

    Raises:
        DataError: the run has no index, or an image is not in it.
    """
    stacks = Stacks(home, run)
    studies = stacks.studies_of([image for image, _ in shown])
    found = {}
    for image, label in sorted(shown, key=lambda each: studies.get(each[0], "")):
        stack = stacks.read(studies.get(image, ""))
        at = stack.find(image)
        sheet = draw_case(stack, at, stacks.windows)
        seen = _describe(stack, at, label, stacks.windows)
        found[image] = Picture(encode_webp(sheet), sheet.width, sheet.height, seen)
    return found


def draw_case(stack: Stack, at: int, windows: Sequence[str]) -> Image.Image:
    """Draw a slice in its windows, the slices below and above it, and the study's predictions.

    Args:
        stack: the study.
        at: the place of the slice, from 0.
        windows: what each channel shows.
    """
    count = min(len(windows), MOST_WINDOWS)
    # A single window leaves room for its neighbours beside it.
    rows = (
        [[(-1, 0), (0, 0), (1, 0)]]
        if count == 1
        else [
            [(0, window) for window in range(count)],
            [(offset, window) for offset in (-1, 1) for window in range(count)],
        ]
    )
    sides = [(WIDTH - GAP * (len(row) - 1)) // len(row) for row in rows]
    height = sum(sides) + GAP * (len(rows) + 1) + _PROFILE
    sheet = Image.new("RGB", (WIDTH, height), GROUND)
    top = 0
    for row, side in zip(rows, sides, strict=True):
        for number, (offset, window) in enumerate(row):
            box = Box(number * (side + GAP), top, side, side)
            _draw(sheet, box, stack, (at + offset, window), windows if offset == 0 else ())
        top += side + GAP
    room = Box(4, top + GAP, WIDTH - 10, _PROFILE)
    draw_profile(sheet, room, stack, names=SHORT_NAMES, size=TEXT, at=at)
    return sheet


def _draw(
    sheet: Image.Image,
    box: Box,
    stack: Stack,
    shown: tuple[int, int],
    windows: Sequence[str],
) -> None:
    """Draw one window of a slice, named by the window, or else by the slice's number."""
    place, window = shown
    is_there = 0 <= place < len(stack)
    pixels = stack.pixels[place] if is_there else None
    missing = "no pixels" if is_there else "end of stack"
    size = TEXT - 4 if windows else TEXT - 8
    draw_tile(sheet, box, None if pixels is None else pixels[window], missing, size=size - 2)
    if windows or (is_there and window == 0):
        text = windows[window] if windows else f"slice {place + 1}"
        write(sheet, (box.left + 5, box.top + 3), text, size=size, halo=True)


def _describe(stack: Stack, at: int, label: str, windows: Sequence[str]) -> tuple[str, ...]:
    """Return a line on the slice, and one on each label."""
    row = stack.slices.row(at, named=True)
    place = "" if row["along_mm"] is None else f", at {row['along_mm']:.1f} mm along the stack"
    lines = [
        f"Shown for {LABEL_NAMES[label].lower()}: slice {at + 1} of {len(stack)}{place}, image "
        f"{row['image_id']}; windows {', '.join(windows[:MOST_WINDOWS])}"
    ]
    for number, (part, name) in enumerate(LABEL_NAMES.items()):
        present = "present" if stack.labels[at, number] == 1 else "absent"
        value = stack.probabilities[at, number]
        lines.append(f"{name} ({SHORT_NAMES[part]}): {present}, predicted with {value:.3f}")
    return tuple(lines)
