"""Annotations: the annotated points to learn from, raw or corrected."""

import logging

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.quality.corrections import (
    Evidence,
    describe_corrections,
    write_annotations,
)
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.store.files import digest_file, write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.stage import stage

log = logging.getLogger("lsdc.annotations")


@stage(
    "annotations",
    code=(
        "lsdc.challenges.lumbar.quality.corrections",
        "lsdc.challenges.lumbar.competition.tables",
    ),
    libraries=("numpy", "polars"),
    uses=lambda inputs: {
        "points": digest_file(inputs["run"].data / "train_label_coordinates.csv"),
        "listed": digest_file(inputs["run"].data / "train_series_descriptions.csv"),
        "annotations": inputs["run"].annotations,
    },
    run_name="annotations",
    timeout_hours=1,
)
def correct_annotations(run: LumbarRun, index: Manifest) -> Manifest:
    """Write the annotations that the run learns from, and the corrections made."""
    competition = open_competition(run.data)
    evidence = Evidence(
        competition.series.filter(split="train"),
        run.table(index, "instances"),
        run.table(index, "series"),
    )
    with write_folder(run.root / "annotations") as out:
        made = write_annotations(
            competition.annotations, evidence, out, corrected=run.annotations == "clean"
        )
        if len(made):
            log.warning("annotations: %s", describe_corrections(made))
        return store_folder(run.root, "annotations", out, rows=len(competition.annotations))
