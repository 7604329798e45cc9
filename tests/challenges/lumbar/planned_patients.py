"""Planned phantom patients: their annotated level points, and the true ones."""

from dataclasses import dataclass

import polars as pl

from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.coordinates.landmarks import annotated_landmarks
from lsdc.challenges.lumbar.phantom.study import Order, plan_studies
from lsdc.challenges.lumbar.phantom.tables import StudyRecord
from lsdc.challenges.lumbar.vocabulary import LEVELS
from tests.challenges.lumbar.planned import planned_annotations, planned_index


@dataclass(frozen=True)
class Patients:
    """Training studies of a phantom with hard geometry.

    Attributes:
        studies: the plans.
        instances: the index's instances.
        annotations: the table as `lsdc.challenges.lumbar.competition.tables` reads it.
        points, landmarks: the tables made from the annotations.
        truth: study_id, level, x_mm, y_mm, z_mm of the canal's middle.
    """

    studies: list[StudyRecord]
    instances: pl.DataFrame
    annotations: pl.DataFrame
    points: pl.DataFrame
    landmarks: pl.DataFrame
    truth: pl.DataFrame


def plan_patients(count: int, *, seed: int) -> Patients:
    """Plan patients: up to 15 degrees oblique, scoliotic, in any slice order, some incomplete."""
    order = Order(count, 0, seed, "balanced", 320, "hard")
    studies = plan_studies(order)
    instances = planned_index(order).instances
    annotations = planned_annotations(order)
    points = annotated_points(instances, annotations)
    truth = [
        (study.study_id, str(level), *point)
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
