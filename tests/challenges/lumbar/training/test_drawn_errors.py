"""Training on crops with margins and spare slices, with and without drawn errors of points."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.coordinates.errors import PointErrors
from lsdc.challenges.lumbar.crops.frames import frame_table, write_frame
from lsdc.challenges.lumbar.slices.slots import list_stored, stored_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS
from tests.challenges.lumbar.training.random_crops import EXPERIMENT, Data

IN_FOLD = [100, 102, 104, 106]


def framed(**augment: object) -> Experiment:
    parts = EXPERIMENT.model_dump()
    parts["crops"]["margin"] = 0.25
    parts["slices"]["spare_slices"] = 1
    parts["augment"] |= augment
    return Experiment.model_validate(parts)


@pytest.fixture
def frames(data: Data, tmp_path: Path) -> Data:
    """Put margins and spare slices of random pixels around the crops."""
    root, experiment = tmp_path / "frames", framed()
    root.mkdir()
    choice, config = experiment.slices, experiment.crops
    crops, samples = np.load(data.root / "crops.npy"), data.root / "samples.parquet"
    mask = np.array(pl.read_parquet(samples)["mask"].to_list(), dtype=bool)
    slots, count = stored_places(choice), len(list_stored(choice))
    assert (slots, count) == ([1, 4, 7], 9)
    random = np.random.default_rng(1)
    shape = (len(crops), count, *config.stored_shape)
    stored = random.integers(0, 256, shape, dtype=np.uint8)
    above, beside = config.margins
    stored[:, slots, above:-above, beside:-beside] = crops
    kept = np.ones((len(crops), count), dtype=bool)
    kept[:, slots] = mask
    np.save(root / "crops.npy", stored)
    (root / "samples.parquet").write_bytes(samples.read_bytes())
    frame_table(kept, np.ones((*kept.shape, 2), dtype=np.float32)).write_parquet(
        root / "frames.parquet"
    )
    write_frame(choice, config, root)
    errors = [
        (study, str(condition), "l1_l2", *random.normal(0, 2, 5))
        for study in range(100, 108)
        for condition in CONDITIONS
    ]
    table = pl.DataFrame(errors, schema=pl.Schema(PointErrors), orient="row")
    table.write_parquet(root / "errors.parquet")
    return replace(data, root=root)


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


@pytest.mark.usefixtures("same_process")
def test_margins_and_spare_slices_alone_change_nothing(
    data: Data, frames: Data, tmp_path: Path
) -> None:
    plain = EXPERIMENT.model_copy(update={"augment": framed().augment})
    data.train(tmp_path / "plain", experiment=plain)
    frames.train(tmp_path / "framed", experiment=framed())
    for name in ("model.safetensors", "oof.parquet", "history.parquet"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "framed" / name).read_bytes()
    frames.train(tmp_path / "drawn", experiment=framed(point_mm="measured", point_slices=0.7))
    assert weights(tmp_path / "drawn") != weights(tmp_path / "framed")


@pytest.mark.usefixtures("same_process")
def test_only_what_training_studies_have_around_their_crops_is_used(
    frames: Data, tmp_path: Path
) -> None:
    """Neither margins nor errors of the fold's own studies reach the model or its predictions."""
    drawn = framed(point_mm="measured", point_slices="measured")
    frames.train(tmp_path / "a", experiment=drawn)
    own = pl.col("study_id").is_in(IN_FOLD)
    rows = pl.read_parquet(frames.root / "samples.parquet").filter(own)["row"].to_numpy()
    stored = np.load(frames.root / "crops.npy")
    shown = stored[rows][:, [1, 4, 7], 4:-4, 4:-4].copy()
    stored[rows] = 255 - stored[rows]
    stored[np.ix_(rows, [1, 4, 7], range(4, 36), range(4, 36))] = shown
    np.save(frames.root / "crops.npy", stored)
    errors = pl.read_parquet(frames.root / "errors.parquet")
    errors.with_columns(y_mm=pl.when(own).then(9.0).otherwise("y_mm")).write_parquet(
        frames.root / "errors.parquet"
    )
    frames.train(tmp_path / "b", experiment=drawn)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert (tmp_path / "a/oof.parquet").read_bytes() == (tmp_path / "b/oof.parquet").read_bytes()
