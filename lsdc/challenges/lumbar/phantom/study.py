"""One phantom study: planned without painting, then written as DICOM files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.lumbar.phantom.anatomy import Spine, draw_patient
from lsdc.challenges.lumbar.phantom.dicom_files import SeriesWriter, StudyTags
from lsdc.challenges.lumbar.phantom.grades import GradeMix, deal_grades
from lsdc.challenges.lumbar.phantom.image import Scene
from lsdc.challenges.lumbar.phantom.planning import SeriesPlan, plan_series
from lsdc.challenges.lumbar.phantom.pose import (
    LUMBAR_VERTEBRAE,
    GeometryMix,
    pose_of,
    with_vertebrae,
)
from lsdc.challenges.lumbar.phantom.quirks import harden, quirks_of
from lsdc.challenges.lumbar.phantom.tables import Grades, Split, StudyRecord
from lsdc.challenges.lumbar.phantom.tissues import TISSUES, vary
from lsdc.phantom import Pieces

_SERIES_IDS = (10**6, 2**32)
_PURPOSES = ("plan", "images", "pose", "marks")


@dataclass(frozen=True)
class Order:
    """The parameters of a phantom; the same parameters always give the same bytes.

    Attributes:
        studies: the number of training studies; from six on, every oddity of real data is present.
        test: the number of test studies; a series is missing in the first one.
        seed: the seed of all random draws.
        grades: "balanced" thirds, or "real" frequencies.
        max_size: the longest side of an image, in pixels.
        geometry: "usual", or "hard": oblique, crooked, off-centre, incomplete; see `pose`.
        scatter_mm: the standard deviation of annotated points from the truth along each axis; their
            slice is chosen by the scattered position. The answers keep the truth.
        vertebrae: the number of lumbar vertebrae of all patients, 4 to 6. With 5, a few patients of
            hard geometry have six.
    """

    studies: int
    test: int
    seed: int
    grades: GradeMix = "balanced"
    max_size: int = 320
    geometry: GeometryMix = "usual"
    scatter_mm: float = 0.0
    vertebrae: int = LUMBAR_VERTEBRAE

    @property
    def total(self) -> int:
        """The number of training and test studies together."""
        return self.studies + self.test


def plan_studies(order: Order) -> list[StudyRecord]:
    """Plan all studies of a phantom, training ones first; fast, since no image is painted."""
    rng = np.random.default_rng(order.seed)
    train = deal_grades(order.studies, order.grades, rng)
    dealt = np.concatenate([train, deal_grades(order.test, order.grades, rng)])
    drawn = rng.choice(2**31, size=order.total, replace=False) + 1_000_003
    # The tables list studies by id, in the order of the studies' numbers.
    study_ids = np.concatenate([np.sort(drawn[: order.studies]), np.sort(drawn[order.studies :])])
    return [
        _plan_study(order, number, int(study_ids[number]), dealt[number])
        for number in range(order.total)
    ]


def write_study(root: Path, order: Order, number: int, record: StudyRecord) -> None:
    """Paint and write all series of the number-th study."""
    rng = _chance(order, number, "images")
    scene = Scene(record.spine)
    for series_id, plan in record.series:
        tags = StudyTags(
            seed=order.seed, number=number, study_id=record.study_id, series_id=series_id
        )
        folder = root / f"{record.split}_images" / str(record.study_id) / str(series_id)
        _write_series(SeriesWriter(folder, plan, tags), scene, plan, rng)


STUDIES = Pieces(Order, plan_studies, write_study, "lsdc.challenges.lumbar.phantom.worker")


def _plan_study(order: Order, number: int, study_id: int, grades: Grades) -> StudyRecord:
    rng = _chance(order, number, "plan")
    split: Split = "train" if number < order.studies else "test"
    index = number if split == "train" else number - order.studies
    quirks = quirks_of(index, split, rng)
    # A separate random stream keeps the usual studies unchanged, to the byte.
    poses = _chance(order, number, "pose")
    pose = pose_of(index, split, order.geometry, poses)
    if order.vertebrae != LUMBAR_VERTEBRAE:
        pose = with_vertebrae(pose, order.vertebrae)
    if order.geometry == "hard":
        quirks = harden(quirks, index, split, poses)
    spine = Spine(draw_patient(grades, rng, pose))
    plans = plan_series(spine, quirks, pose, order.max_size, rng)
    series_ids: NDArray[Any] = rng.integers(*_SERIES_IDS, size=len(plans))
    truth = spine.structure_points_mm()
    scatter = _chance(order, number, "marks").normal(0.0, order.scatter_mm, truth.shape)
    return StudyRecord(
        split=split,
        study_id=study_id,
        grades=grades,
        empty_labels=quirks.empty_labels,
        pose=pose,
        series=tuple(zip(series_ids.tolist(), plans, strict=True)),
        spine=spine,
        marked_mm=truth + scatter,
    )


def _chance(order: Order, number: int, purpose: str) -> np.random.Generator:
    """Return a random stream per study and purpose, independent of which process writes what."""
    return np.random.default_rng((order.seed, number, _PURPOSES.index(purpose)))


def _write_series(
    writer: SeriesWriter, scene: Scene, plan: SeriesPlan, rng: np.random.Generator
) -> None:
    tissues = vary(TISSUES[plan.contrast], rng)
    shading, noise = rng.uniform(0.3, 0.7), np.float32(rng.uniform(0.012, 0.03))
    gain = np.float32(rng.uniform(900.0, 2600.0))
    images = scene.slices(plan.planes, tissues, shading)
    for number, plane, image in zip(plan.instance_numbers, plan.planes, images, strict=True):
        grain = rng.standard_normal(image.shape, dtype=np.float32) * noise
        writer.write(number, plane, np.abs(image + grain) * gain)
    if plan.broken_files:
        writer.write_broken_files()
