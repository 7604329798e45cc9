"""Phantom patients whose slices lie as planned: level points by annotation, and the truth."""

from dataclasses import dataclass

import polars as pl

from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.coordinates.landmarks import annotated_landmarks
from lsdc.challenges.lumbar.phantom.study import Order, plan_studies
from lsdc.challenges.lumbar.phantom.tables import LEVELS, StudyRecord
from tests.challenges.lumbar.planned import planned_annotations, planned_index


@dataclass(frozen=True)
class Patients:
    """Training studies of the phantom's hard geometry.

    Attributes:
        studies: the plans.
        instances: as the index has them.
        annotations: as `lsdc.challenges.lumbar.competition.tables` reads them.
        points, landmarks: as the annotations have them.
        truth: study_id, level, x_mm, y_mm, z_mm of the canal's middle.
    """

    studies: list[StudyRecord]
    instances: pl.DataFrame
    annotations: pl.DataFrame
    points: pl.DataFrame
    landmarks: pl.DataFrame
    truth: pl.DataFrame


def plan_patients(count: int, *, seed: int) -> Patients:
    """Plan patients: up to 15 degrees oblique, scoliotic, in all orders, some incomplete."""
    order = Order(count, 0, seed, "balanced", 320, "hard")
    studies = plan_studies(order)
    instances = planned_index(order).instances
    annotations = planned_annotations(order)
    points = annotated_points(instances, annotations)
    truth = [
        (study.study_id, level, *point)
        for study in studies
        for level, point in zip(LEVELS, study.spine.canal_points_mm().tolist(), strict=True)
    ]
    return Patients(
        studies,
        instances,
        annotations,
        points,
        annotated_landmarks(points, instances, annotations),
        pl.DataFrame(truth, schema=["study_id", "level", "x_mm", "y_mm", "z_mm"], orient="row"),
    )
