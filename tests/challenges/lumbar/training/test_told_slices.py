"""A fold trained on a phantom with `loss.slice_weight`: its attention peaks at annotated slices."""

import numpy as np
import polars as pl
import pytest
import torch

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.coordinates.annotated import annotated_points
from lsdc.challenges.lumbar.crops.marks import find_marks
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training import train_fold_child
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.samples import as_samples, read_table
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from lsdc.training.checkpoint import restore_weights
from lsdc.training.process import ignore
from lsdc.training.samples import Samples, batch_of
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.dicom_index.indexing import build_index

pytestmark = pytest.mark.slow_training

STUDIES, HELD_OUT = 16, 4
# Slices at equal steps over the series, so that the slot of the annotated slice depends on where
# the spine lies in the scan.
EXPERIMENT = Experiment.model_validate(
    {
        "name": "told",
        "slices": {
            "sagittal": "even",
            "side_slices": 0,
            "middle_slices": 9,
            "axial_slices": 3,
        },
        "crops": {"size_px": 40, "sagittal_window_mm": 60, "axial_window_mm": 80},
        "model": {"backbone": "test_efficientnet_gn", "pretrained": False, "width": 32},
        "loss": {"slice_weight": 1.0},
        "training": {"epochs": 16, "batch_size": 8, "learning_rate": 3e-3},
    }
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> FoldJob:
    """Cut the crops of a phantom around its annotated points, and train a fold on them."""
    root = tmp_path_factory.mktemp("told")
    write_phantom(
        root / "data", Order(studies=STUDIES, test=0, seed=1, max_size=96, geometry="hard")
    )
    competition = open_competition(root / "data")
    build_index(competition, "train", root)
    instances = pl.read_parquet(root / "instances.parquet")
    measure_offsets(instances, annotated_points(instances, competition.annotations), None, root)
    slices = pl.read_parquet(root / "slices.parquet")
    choice, config = EXPERIMENT.slices, EXPERIMENT.crops
    cut_crops(instances, slices, choice, config, root)
    table = read_table(root, "train")
    marks = find_marks(instances, slices, competition.annotations, table, choice, config)
    marks.write_parquet(root / "marks.parquet")
    competition.labels.write_parquet(root / "labels.parquet")
    studies = table["study_id"].unique().sort()
    fold = (pl.int_range(len(studies), eager=True) >= HELD_OUT).cast(pl.Int32)
    pl.DataFrame({"study_id": studies, "fold": fold}).write_parquet(root / "folds.parquet")
    job = FoldJob(
        experiment=EXPERIMENT,
        fold=0,
        crops=root,
        labels=root / "labels.parquet",
        folds=root / "folds.parquet",
        marks=root / "marks.parquet",
        out=root / "fold",
        identity="told",
        seed=0,
        device="cpu",
        threads=2,
        workers=0,
    )
    job.out.mkdir()
    train_fold_child.work(job, ignore)
    return job


def split(job: FoldJob) -> tuple[Samples, Samples]:
    """Return the samples of the trained folds, and those of the fold held out."""
    table = read_table(job.crops, "train").join(pl.read_parquet(job.folds), on="study_id")
    marks = pl.read_parquet(job.marks or "")
    of_fold = pl.col("fold") == 0
    trained, held_out = (table.filter(part).sort("row") for part in (~of_fold, of_fold))
    return as_samples(job.crops, trained, marks=marks), as_samples(job.crops, held_out, marks=marks)


def test_told_attention_peaks_within_one_slice_of_the_annotated_one(job: FoldJob) -> None:
    trained, held_out = split(job)
    model = build_model(EXPERIMENT, pretrained=False).eval()
    restore_weights(model, job.out / "model.safetensors", of="told")
    batch = batch_of(held_out, range(len(held_out)))
    with torch.inference_mode():
        told = model.told(*model.encode(batch.slices, batch.present))
    assert told is not None
    truth = held_out.labels.slices
    assert truth is not None
    assert trained.labels.slices is not None
    usual = trained.labels.slices.sum(axis=0)  # (conditions, slots), without looking at the image
    places, shares = list_places(EXPERIMENT.slices), []
    for head, condition in enumerate(CONDITIONS):
        known = truth[:, head].any(axis=-1)
        assert known.sum() > 10
        found = told[known, head].argmax(dim=-1).numpy()
        assert {places[place].description for place in found.tolist()} == {condition.shown_on}
        where = [np.flatnonzero(row) for row in truth[known, head]]
        near = [np.abs(own - at).min() <= 1 for own, at in zip(where, found, strict=True)]
        by_place = [np.abs(own - usual[head].argmax()).min() <= 1 for own in where]
        shares.append((np.mean(near), np.mean(by_place)))
        assert np.mean(near) >= 0.9, condition
    told_share, place_share = np.mean(shares, axis=0)
    assert told_share > place_share  # of the slot that is most often annotated, 0.95
