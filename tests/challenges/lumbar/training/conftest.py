"""Crops of random pixels to train on, and training in the test process."""

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.jobs import fold, predict
from tests.challenges.lumbar.training.random_crops import N_STUDIES, Data
from tests.in_process import run_jobs_here


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    root = tmp_path_factory.mktemp("crops")
    random = np.random.default_rng(0)
    studies = [100 + number for number in range(N_STUDIES + 2)]
    rows = [(study, str(level)) for study in studies for level in LEVELS][:-1]  # one level missing
    crops = random.integers(0, 256, (len(rows), 3, 32, 32), dtype=np.uint8)
    np.save(root / "crops.npy", crops)
    pl.DataFrame(
        {
            "row": pl.Series(range(len(rows)), dtype=pl.Int32),
            "split": ["train" if study < 100 + N_STUDIES else "test" for study, _ in rows],
            "study_id": [study for study, _ in rows],
            "level": [level for _, level in rows],
            "side": pl.Series([None] * len(rows), dtype=pl.String),
            "mask": [[True, True, number % 3 > 0] for number in range(len(rows))],
        }
    ).write_parquet(root / "samples.parquet")
    labels = [
        (study, str(condition), str(level), int(random.integers(3)) if study > 100 else None)
        for study in studies[:N_STUDIES]
        for condition in CONDITIONS
        for level in LEVELS
    ]
    schema = {"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8}
    pl.DataFrame(labels, schema=schema, orient="row").write_parquet(root / "labels.parquet")
    pl.DataFrame(
        {
            "study_id": studies[:N_STUDIES],
            "fold": pl.Series([number % 2 for number in range(N_STUDIES)], dtype=pl.Int32),
        }
    ).write_parquet(root / "folds.parquet")
    return Data(root, root / "labels.parquet", root / "folds.parquet")


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the children's work in this process, since importing torch again takes seconds."""
    run_jobs_here(monkeypatch, fold, predict)
