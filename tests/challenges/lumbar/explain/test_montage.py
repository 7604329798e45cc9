"""Montages: planted weights, maps and points are drawn at their slots, and nowhere else."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lsdc.challenges.lumbar.explain.montage import (
    BLOCK_GAP,
    GAP,
    HEADING,
    MARGIN,
    STEP,
    TILE,
    draw_montage,
    lay_out,
)
from lsdc.challenges.lumbar.explain.slots import Slot, read_slots
from lsdc.challenges.lumbar.explain.tiles import BAR
from lsdc.challenges.lumbar.explain.trained import TrainedRun
from lsdc.challenges.lumbar.report.drawing import LEVEL_COLOURS
from lsdc.challenges.lumbar.report.study import StudyResults
from lsdc.challenges.lumbar.vocabulary import Condition, SeriesDescription
from lsdc.report.drawing import Box, encode_webp
from tests.challenges.lumbar.explain.conftest import EXPERIMENT, SmallRun

LEVEL = "l3_l4"
CANAL = Condition.SPINAL_CANAL_STENOSIS
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def study(made_run: SmallRun, studies: list[int]) -> StudyResults:
    return TrainedRun(made_run.home, made_run.name).gather(studies[1])


@pytest.fixture(scope="module")
def slots(study: StudyResults) -> tuple[Slot, ...]:
    return read_slots(study, EXPERIMENT)[LEVEL, None]


def drawn(study: StudyResults, slots: tuple[Slot, ...], planted: int) -> Image.Image:
    """Draw a montage in which one slot has all weight, and its lower left cell all effect."""
    weights, maps = np.zeros(len(slots)), np.zeros((len(slots), 8, 8))
    weights[planted], maps[planted, -1, 0] = 1, 0.5
    return draw_montage(
        slots, study.marks, weights, maps, level=LEVEL, condition=CANAL, words="words"
    )


def tiles(slots: tuple[Slot, ...]) -> list[Box]:
    found = []
    for block in lay_out(slots):
        left = MARGIN + block.column * (TILE + GAP) + BLOCK_GAP * (block.column > 0)
        top = MARGIN + block.row * STEP + HEADING
        found += [Box(left + k * (TILE + GAP), top, TILE, TILE) for k in range(block.count)]
    return found


def part(sheet: Pixels, box: Box) -> Pixels:
    return sheet[box.top : box.bottom, box.left : box.right].astype(int)


def redness(pixels: Pixels) -> NDArray[np.int64]:
    return pixels[..., 0] - pixels[..., 1:].max(axis=-1)


def test_every_slot_has_a_tile_of_its_own(slots: tuple[Slot, ...]) -> None:
    boxes = tiles(slots)
    assert len(boxes) == len(slots)
    corners = [(box.left, box.top) for box in boxes]
    assert sorted(corners, key=lambda corner: corner[::-1]) == corners
    assert len(set(corners)) == len(slots)


@pytest.mark.parametrize("planted", [0, 12, 24])
def test_map_and_bar_are_drawn_at_their_slot_alone(
    study: StudyResults, slots: tuple[Slot, ...], planted: int
) -> None:
    sheet = np.array(drawn(study, slots, planted))
    for number, box in enumerate(tiles(slots)):
        bar = sheet[box.bottom + 5, box.left : box.right]
        filled = (bar == BAR).all(axis=-1)
        assert filled.all() if number == planted else not filled.any()
        # Markers and lines have other colours and are thin.
        red = redness(part(sheet, box))
        corner = np.median(red[-TILE // 8 :, : TILE // 8])
        assert corner > 60 if number == planted else corner < 5
        assert np.median(red[: TILE // 2, TILE // 2 :]) < 5


def test_point_is_drawn_on_the_nearest_slice_of_each_kind(
    study: StudyResults, slots: tuple[Slot, ...]
) -> None:
    sheet, boxes = np.array(drawn(study, slots, 0)), tiles(slots)
    marked = set()
    for number, box in enumerate(boxes):
        middle = part(sheet, box)[TILE // 2 - 3 : TILE // 2 + 3, TILE // 2 - 3 : TILE // 2 + 3]
        if (np.abs(middle - LEVEL_COLOURS[LEVEL]).max(axis=-1) < 12).mean() > 0.8:
            marked.add(number)  # the annotated point is solid, at the crop's centre
    nearest = {
        min(
            (number for number, slot in enumerate(slots) if slot.description == kind),
            key=lambda number: abs(slots[number].offset_mm or 0),
        )
        for kind in SeriesDescription
    }
    assert marked == nearest


def test_large_pictures_are_compressed_further() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    plain = Image.new("RGB", (800, 800))
    assert len(encode_webp(plain)) < 3000
    with_noise = Image.fromarray(noise).reduce(4).resize((800, 800))
    assert len(encode_webp(with_noise)) < 60_000
