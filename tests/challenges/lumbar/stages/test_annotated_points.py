"""Training with annotated points (`coordinates.source`), as in the lab log."""

from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.annotations import correct_annotations
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates, locate_test
from lsdc.challenges.lumbar.stages.folds import assign_folds
from tasks.request import RunRequest
from tasks.run import open_run
from tests.tasks.conftest import indexed

CONFIG = CoordinatesConfig(
    source="annotated", image_size=32, axial_image_size=32, width=4, epochs=1, min_steps=4
)


@pytest.mark.slow_geometry
def test_training_points_are_annotated_and_test_points_predicted(
    phantom: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = open_run(
        LumbarRun, RunRequest.of(experiment="demo", data=phantom, home=tmp_path / "home", folds=2)
    )
    experiment = run.experiment.model_copy(update={"coordinates": CONFIG})
    run = run.model_copy(update={"experiment": experiment})
    index = indexed(run, "train")

    folds, annotations = assign_folds.fn(run, index), correct_annotations.fn(run, index)
    given = annotations.file(run.root, "annotations.parquet")
    table = pl.read_parquet(given)
    bare = table["study_id"].max()
    table.filter(pl.col("study_id") != bare).write_parquet(given)
    learnt = learn_coordinates.fn(run, index, folds, annotations)
    located = locate_test.fn(run, indexed(run, "test"), learnt)

    points = pl.read_parquet(learnt.file(run.root, "points.parquet"))
    answers = pl.read_csv(phantom / "answers" / "points.csv")
    both = points.filter(source="annotated").join(answers, on=["study_id", "level"])
    assert len(both) >= 25
    assert (both["z_mm"] - both["z_mm_right"]).abs().max() < 2.0
    studies = pl.read_parquet(index.file(run.root, "studies.parquet"))
    assert f"no level is found in 1 of {len(studies)} studies" in caplog.text
    assert f"so they have no samples: {bare}\n" in caplog.text
    test = pl.read_parquet(located.file(run.root, "points.parquet"))
    assert "annotated" not in set(test["source"])
    assert {record.name for record in learnt.files} >= {
        "fold-0-sagittal.safetensors",
        "fold-1-axial.safetensors",
    }
