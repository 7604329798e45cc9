"""Training of a fold with subsets of labels, with missing grades, and with the level head."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.training.labels import labels_to_learn
from lsdc.challenges.lumbar.training.samples import as_samples, count_repeats, read_table
from lsdc.challenges.lumbar.training.train_fold import FoldJob
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.errors import StageError
from lsdc.jobs import fold
from lsdc.jobs.fold import train_fold
from lsdc.training.process import ignore
from lsdc.training.samples import EMPTY_LABEL
from tests.in_process import run_jobs_here

KEY = ["study_id", "condition", "level"]
SHARES = ["normal_mild", "moderate", "severe"]
SMALL: dict[str, Any] = {
    "slices": {"side_slices": 0, "middle_slices": 1, "axial_slices": 1},
    "crops": {"size_px": 32},
    "model": {"backbone": "test_efficientnet_gn", "pretrained": False, "width": 8},
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
}


def experiment_with(name: str = "small", **parts: object) -> Experiment:
    return Experiment.model_validate({"name": name, **SMALL, **parts})


@dataclass(frozen=True)
class Data:
    """Random crops of 6 studies in two folds; every fourth label has no grade."""

    root: Path

    @property
    def labels(self) -> pl.DataFrame:
        return pl.read_parquet(self.root / "labels.parquet")

    def train(
        self, out: Path, experiment: Experiment, *, fold: int = 0, fill_from: Path | None = None
    ) -> pl.DataFrame:
        """Train a fold and return its out-of-fold rows."""
        train_fold(
            FoldJob(
                experiment=experiment,
                fold=fold,
                crops=self.root,
                labels=self.root / "labels.parquet",
                folds=self.root / "folds.parquet",
                out=out,
                identity=experiment.model_dump_json(),
                seed=3,
                device="cpu",
                threads=1,
                workers=0,
                fill_from=fill_from,
            ),
            log=out / "child.log",
            on_event=ignore,
        )
        return pl.read_parquet(out / "oof.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    root = tmp_path_factory.mktemp("crops")
    random = np.random.default_rng(0)
    rows = [(study, str(level)) for study in range(6) for level in LEVELS]
    np.save(root / "crops.npy", random.integers(0, 256, (len(rows), 3, 32, 32), dtype=np.uint8))
    table = pl.DataFrame(rows, schema=["study_id", "level"], orient="row").with_columns(
        row=pl.int_range(len(rows), dtype=pl.Int32),
        split=pl.lit("train"),
        side=pl.lit(None, pl.String),
        mask=pl.lit([True, True, True]),
    )
    table.write_parquet(root / "samples.parquet")
    labels = table.select("study_id", "level").join(
        pl.DataFrame({"condition": [str(condition) for condition in CONDITIONS]}), how="cross"
    )
    grades = [None if n % 4 == 1 else int(random.integers(3)) for n in range(len(labels))]
    labels = labels.with_columns(grade=pl.Series(grades, dtype=pl.Int8))
    labels.select(*KEY, "grade").write_parquet(root / "labels.parquet")
    pl.DataFrame({"study_id": range(6), "fold": [0, 1] * 3}).write_parquet(root / "folds.parquet")
    return Data(root)


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the child's work in this process, since importing torch again takes seconds."""
    run_jobs_here(monkeypatch, fold)


def test_only_configured_conditions_and_levels_are_predicted(data: Data, tmp_path: Path) -> None:
    asked = {"conditions": ["spinal_canal_stenosis"], "levels": ["l4_l5", "l5_s1"]}
    oof = data.train(tmp_path / "out", experiment_with(labels=asked))
    assert oof.select(*KEY).rows() == [
        (study, "spinal_canal_stenosis", level)
        for study in (0, 2, 4)
        for level in ("l4_l5", "l5_s1")
    ]


def test_missing_grades_of_the_training_studies_are_predicted(data: Data, tmp_path: Path) -> None:
    data.train(tmp_path / "out", experiment_with())
    left = pl.read_parquet(tmp_path / "out" / "unlabelled.parquet")
    without = data.labels.filter(pl.col("grade").is_null(), pl.col("study_id") % 2 == 1)
    assert set(left.select(KEY).rows()) == set(without.select(KEY).rows())
    assert left.select(pl.sum_horizontal(SHARES)).to_series().to_list() == pytest.approx(
        [1.0] * len(left)
    )


def test_predictions_of_another_experiment_are_used_as_labels(data: Data, tmp_path: Path) -> None:
    data.train(tmp_path / "first" / "fold-0", experiment_with("first"))
    left = tmp_path / "first" / "fold-0" / "unlabelled.parquet"
    learnt = set()
    for labels in ("hard", "soft"):
        second = experiment_with("second", needs={"labels": "first"}, loss={"labels": labels})
        filled = data.train(tmp_path / labels, second, fill_from=left)
        learnt.add(filled.select(SHARES).to_numpy().tobytes())
    alone = data.train(tmp_path / "alone", experiment_with("alone", loss={"labels": "soft"}))
    assert len(learnt | {alone.select(SHARES).to_numpy().tobytes()}) == 3


def test_missing_predictions_of_another_experiment_are_refused(data: Data, tmp_path: Path) -> None:
    second = experiment_with("second", needs={"labels": "first"})
    nowhere = tmp_path / "first" / "fold-0" / "unlabelled.parquet"
    with pytest.raises(StageError, match=r"needs\.labels needs it; run experiment first first"):
        data.train(tmp_path / "second", second, fill_from=nowhere)


def test_label_settings_and_the_level_head_change_the_training(data: Data, tmp_path: Path) -> None:
    kinds: dict[str, dict[str, object]] = {
        "ignore": {},
        "drop": {"labels": {"empty": "drop", "conditions": ["spinal_canal_stenosis"]}},
        "normal": {"labels": {"empty": "normal_mild"}},
        "level": {"loss": {"level_weight": 1.0}, "augment": {"cutmix": 1.0}},
    }
    scores = {}
    for name, parts in kinds.items():
        oof = data.train(tmp_path / name, experiment_with(name, **parts))
        canal = oof.filter(condition="spinal_canal_stenosis").select(SHARES).to_numpy()
        scores[name] = canal.round(9).tobytes()
    assert len(set(scores.values())) == len(kinds)


def test_labels_are_classes_or_probabilities_and_the_level(data: Data) -> None:
    table = read_table(data.root, "train").head(7)
    classes, level, *_ = as_samples(data.root, table, data.labels, with_level=True).labels
    assert classes.shape == (7, 5)
    assert level is not None
    assert level.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert as_samples(data.root, table, data.labels).labels.group is None
    predicted = data.labels.select(
        *KEY, normal_mild=pl.lit(0.2), moderate=pl.lit(0.3), severe=pl.lit(0.5)
    )
    soft = labels_to_learn(data.labels, experiment_with().labels, predicted, soft=True)
    shares = as_samples(data.root, table, soft).labels.grades
    assert shares.shape == (7, 5, 3)
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    for place, grade in np.ndenumerate(classes):
        if grade == EMPTY_LABEL:
            np.testing.assert_allclose(shares[place], [0.2, 0.3, 0.5])
        else:
            assert shares[place][grade] == 1
    assert (classes == EMPTY_LABEL).any()


def test_levels_are_repeated_by_their_worst_grade() -> None:
    empty = EMPTY_LABEL
    worst_is = {
        (0, 0, 0, 0, 0): 1,
        (0, 1, 0, empty, 0): 3,
        (1, 0, 0, 0, 2): 5,
        (empty,) * 5: 1,
        (empty, empty, empty, empty, 1): 3,
    }
    classes = np.array(list(worst_is))
    assert count_repeats(classes, (1, 3, 5)).tolist() == list(worst_is.values())
    shares = (classes[..., np.newaxis] == np.arange(3)).astype(np.float32)
    shares[0, 2] = 0.2, 0.5, 0.3  # as predicted by another model
    assert count_repeats(shares, (1, 3, 5)).tolist() == [3, 3, 5, 1, 3]


def test_oversampled_grades_take_more_steps(data: Data, tmp_path: Path) -> None:
    severe = (
        data.labels.filter(pl.col("study_id") % 2 == 1)
        .group_by("study_id", "level")
        .agg(pl.col("grade").max())
    )
    once, often = (
        experiment_with(labels={"oversample": times}) for times in ([1, 1, 1], [1, 1, 3])
    )
    plain = experiment_with()
    steps = {}
    for name, experiment in {"plain": plain, "once": once, "often": often}.items():
        data.train(tmp_path / name, experiment)
        steps[name] = len(pl.read_parquet(tmp_path / name / "steps.parquet"))
    shown = len(severe) + 2 * severe.filter(grade=2).height
    assert steps == {"plain": -(-len(severe) // 8), "once": steps["plain"], "often": -(-shown // 8)}
    assert steps["often"] > steps["once"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "once")]
    assert weights[0] == weights[1]
