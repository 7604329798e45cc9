"""The picture of folds: colours, ink and gaps where they belong."""

from pathlib import Path

import numpy as np
import pytest

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.competition.tables import Fragment
from lsdc.challenges.ink.folds import assign_folds, find_regions
from lsdc.challenges.ink.report.fold_picture import draw_folds
from tests.challenges.ink.made_fragments import write_fragment


@pytest.fixture
def fragments(tmp_path: Path) -> list[Fragment]:
    """Write three fragments of which the second, a triangle, is the largest."""
    square = np.zeros((60, 40), dtype=bool)
    square[10:50, 5:35] = True
    masks = {"1": square, "2": np.tri(120, 80, dtype=bool), "10": square}
    return [write_fragment(tmp_path, name, "train", mask) for name, mask in masks.items()]


def test_the_picture_shows_each_fold_in_its_colour_ink_on_it_and_darker_gaps(
    fragments: list[Fragment],
) -> None:
    regions = find_regions(fragments, (1, 3, 1))
    folds = assign_folds(regions, 5)
    pictures = {each.name: (read_mask(each.mask), None) for each in fragments}
    plain = np.asarray(draw_folds(regions, folds, pictures, 0)).astype(int)
    area = {tuple(colour) for colour in plain[40:160].reshape(-1, 3).tolist()}
    assert len(area) > 6  # five folds, the ground and the room; letters beside them
    gaps = np.asarray(draw_folds(regions, folds, pictures, 8)).astype(int)
    changed = (gaps != plain).any(axis=(1, 2)).nonzero()[0] - 40  # rows of the second fragment
    _, second, third = regions.filter(fragment="2")["first_row"]
    expected = {row for edge in (second, third) for row in range(edge - 8, edge + 8)}
    assert set(changed.tolist()) <= expected
    assert len(changed) > 20
    assert gaps.sum() < plain.sum()
    inked = pictures | {each.name: (read_mask(each.mask),) * 2 for each in fragments[:1]}
    assert np.asarray(draw_folds(regions, folds, inked, 0)).sum() > plain.sum()
