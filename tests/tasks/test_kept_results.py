"""Earlier results are kept as copies, with a warning, if new ones differ."""

import json
import logging
import shutil
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.oof import score_oof
from lsdc.challenges.lumbar.stages.submission import assemble_submission
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, make_manifest, store_folder
from tasks.request import RunRequest
from tasks.results import ensure_local
from tasks.run import Run, open_run


@pytest.fixture
def run(phantom: Path, tmp_path: Path) -> Run:
    return open_run(
        LumbarRun, RunRequest.of(experiment="demo", data=phantom, home=tmp_path / "home", folds=2)
    )


@pytest.fixture
def folds(run: Run) -> Manifest:
    """Write two folds of the competition's studies."""
    labels = open_competition(run.data).labels
    studies = labels["study_id"].unique(maintain_order=True)
    dealt = pl.DataFrame({"study_id": studies}).with_columns(
        fold=(pl.int_range(pl.len()) % 2).cast(pl.Int32)
    )
    with write_folder(run.root / "folds") as out:
        labels.write_parquet(out / "labels.parquet")
        labels.clear().write_parquet(out / "holdout.parquet")
        dealt.write_parquet(out / "folds.parquet")
        return store_folder(run.root, "folds", out, rows=len(studies))


def of_rows(row_ids: list[str], share: float) -> pl.DataFrame:
    shares = dict(zip(PROBABILITIES, (share, 0.9 - share, 0.1), strict=True))
    return pl.DataFrame({"row_id": row_ids}).with_columns(
        **{name: pl.lit(value) for name, value in shares.items()}
    )


def submit(run: Run, folds: Manifest, share: float) -> bytes:
    run.folder.mkdir(parents=True, exist_ok=True)
    rows = of_rows(list(open_competition(run.data).row_ids), share)
    rows.write_parquet(run.folder / "predictions.parquet")
    made = make_manifest(
        run.root, "predict", run.folder, rows=len(rows), names=["predictions.parquet"]
    )
    assemble_submission.fn(run, folds, made)
    return (run.folder / "submission.csv").read_bytes()


def test_earlier_submission_is_kept_if_the_new_one_differs(
    run: Run, folds: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lsdc")
    first = submit(run, folds, 0.5)
    assert submit(run, folds, 0.5) == first
    assert list(run.folder.glob("submission-*")) == []
    assert caplog.messages == []

    second = submit(run, folds, 0.6)
    assert second != first
    (former,) = run.folder.glob("submission-*.csv")
    assert former.read_bytes() == first
    (said,) = caplog.messages
    assert f"{run.folder / 'submission.csv'}: differs from the earlier one" in said
    assert said.endswith(former.name)


def trained(run: Run, folds: Manifest, fold: int) -> Manifest:
    dealt = pl.read_parquet(folds.file(run.root, "folds.parquet")).filter(fold=fold)
    labels = pl.read_parquet(folds.file(run.root, "labels.parquet")).join(dealt, on="study_id")
    ids = labels.select(pl.format("{}_{}_{}", "study_id", "condition", "level")).to_series()
    out = run.fold(fold)
    out.mkdir(parents=True)
    rows = of_rows(ids.to_list(), 0.5).with_columns(fold=pl.lit(fold, dtype=pl.Int32))
    rows.write_parquet(out / "oof.parquet")
    rows.clear().drop("fold").write_parquet(out / "holdout.parquet")
    (out / "fit.json").write_text(json.dumps({"selected": False}))
    return make_manifest(run.root, "train", out, rows=1, names=["oof.parquet", "holdout.parquet"])


def test_warning_if_fewer_folds_are_scored_than_before(
    run: Run, folds: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lsdc")
    both = [trained(run, folds, fold) for fold in (0, 1)]
    score_oof.fn(run, folds, both[:1])
    score_oof.fn(run, folds, both)
    assert caplog.messages == []
    score_oof.fn(run, folds, both[1:])
    (said,) = caplog.messages
    assert f"{run.folder}: the out-of-fold table and scores had 2 folds (score " in said
    assert "and now have 1" in said
    (former,) = run.folder.glob("oof-*.parquet")
    assert former.name in said
    assert sorted(pl.read_parquet(former)["fold"].unique()) == [0, 1]
    (scores,) = run.folder.glob("scores-*.json")
    assert sorted(json.loads(scores.read_text())["folds"]) == ["0", "1"]
    assert list(run.folder.glob("holdout-*")) == []  # it has not changed


def test_damaged_scores_are_written_again(
    run: Run, folds: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    both = [trained(run, folds, fold) for fold in (0, 1)]
    for damaged in ("{", "[]", '{"folds": 3}'):
        (run.folder / "scores.json").write_text(damaged)
        score_oof.fn(run, folds, both)
        assert len(json.loads((run.folder / "scores.json").read_text())["folds"]) == 2
    assert list(run.folder.glob("*-*Z.*")) == []


def test_fetched_results_keep_the_earlier_ones(
    run: Run, folds: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [trained(run, folds, fold) for fold in (0, 1)]
    monkeypatch.setenv("LSDC_STORE", str(tmp_path / "store"))
    there = open_run(
        LumbarRun, RunRequest.of(experiment="demo", data=run.data, home=run.root, folds=2)
    )
    here = open_run(
        LumbarRun, RunRequest.of(experiment="demo", data=run.data, home=tmp_path / "here", folds=2)
    )
    assert there.shared is not None
    submit(there, folds, 0.5)
    made = make_manifest(run.root, "submission", run.folder, rows=1, names=["submission.csv"])
    one = score_oof.fn(run, folds, both[:1])
    for manifest in (made, one):
        there.shared.publish(manifest.stage, "a" * 64, manifest, run.root)
    score_oof.fn(run, folds, both)
    shutil.copytree(run.folder, here.folder)
    (here.folder / "submission.csv").write_text("sent")
    for manifest in (made, one):
        assert ensure_local(here, manifest)
    (former,) = here.folder.glob("submission-*.csv")
    assert former.read_text() == "sent"
    (former,) = here.folder.glob("oof-*.parquet")
    assert sorted(pl.read_parquet(former)["fold"].unique()) == [0, 1]
    assert sorted(pl.read_parquet(here.folder / "oof.parquet")["fold"].unique()) == [0]
