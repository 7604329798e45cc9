"""Scatter of annotations: annotated points scatter around the truth, which does not change."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.study import Order, plan_studies
from lsdc.challenges.lumbar.phantom.tables import StudyRecord, annotation_rows
from lsdc.challenges.lumbar.vocabulary import LEVELS

EXACT = Order(studies=24, test=0, seed=2, grades="balanced", max_size=64)
SCATTERED = replace(EXACT, scatter_mm=1.3)


@pytest.fixture(scope="module")
def scattered() -> list[StudyRecord]:
    return plan_studies(SCATTERED)


def offsets_mm(record: StudyRecord) -> NDArray[np.float64]:
    """Return (n, 2), the offsets of annotated points from the truth along rows and columns."""
    planes = {
        (series, number): plane
        for series, plan in record.series
        for number, plane in zip(plan.instance_numbers, plan.planes, strict=True)
    }
    truth = record.spine.structure_points_mm()
    conditions = ["Spinal", "Left Neural", "Right Neural", "Left Sub", "Right Sub"]
    found = []
    for _, series, number, words, title, x_px, y_px in annotation_rows(record):
        plane = planes[series, number]  # type: ignore[index]
        condition = [str(words).startswith(name) for name in conditions].index(True)
        level = LEVELS.index(str(title).lower().replace("/", "_"))
        x_true, y_true, _ = plane.to_px(truth[condition, level])
        rows_mm, columns_mm = plane.spacing_mm
        found.append([(x_px - x_true) * columns_mm, (y_px - y_true) * rows_mm])  # type: ignore[operator]
    return np.array(found)


def test_annotated_points_scatter_around_the_truth(scattered: list[StudyRecord]) -> None:
    off = np.concatenate([offsets_mm(record) for record in scattered])
    assert len(off) > 500
    np.testing.assert_allclose(off.mean(axis=0), 0.0, atol=0.2)
    np.testing.assert_allclose(off.std(axis=0), 1.3, rtol=0.1)


def test_annotated_slices_are_nearest_to_the_scattered_points(scattered: list[StudyRecord]) -> None:
    alike = []
    for record in scattered:
        slices: dict[object, list[object]] = {}
        for _, series, number, words, title, *_ in annotation_rows(record):
            if "Subarticular" in str(words):
                slices.setdefault(title, []).append((series, number))
        alike += [pair[0] == pair[1] for pair in slices.values() if len(pair) == 2]
    assert 0.5 < np.mean(alike) < 0.75  # 0.62 in the competition's tables


def test_scatter_moves_only_annotations(scattered: list[StudyRecord]) -> None:
    for exact, record in zip(plan_studies(EXACT), scattered, strict=True):
        assert exact.study_id == record.study_id
        np.testing.assert_array_equal(
            exact.spine.structure_points_mm(), record.spine.structure_points_mm()
        )
        np.testing.assert_array_equal(exact.marked_mm, exact.spine.structure_points_mm())
        for (series, plan), (other, same) in zip(exact.series, record.series, strict=True):
            assert (series, plan.instance_numbers) == (other, same.instance_numbers)
            np.testing.assert_array_equal(plan.planes[0].origin_mm, same.planes[0].origin_mm)
