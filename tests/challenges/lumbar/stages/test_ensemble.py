"""Stages of ensembles: what their keys depend on, and which members are refused."""

import json
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.ensemble import (
    combine_predictions,
    find_members,
    find_predictions,
    fit_ensemble,
)
from lsdc.challenges.lumbar.stages.submission import MadeOf
from lsdc.challenges.lumbar.training.train_fold import RESULTS
from lsdc.errors import StageError
from lsdc.store.files import digest_file
from lsdc.store.manifest import Manifest, make_manifest
from tasks.request import RunRequest
from tasks.run import open_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LumbarRun:
    presets = tmp_path / "presets.toml"
    presets.write_text('[both]\nmembers = ["demo", "exp118"]\n')
    monkeypatch.setenv("LSDC_PRESETS", str(presets))
    request = RunRequest.of(experiment="both", data=None, home=tmp_path / "home", folds=2)
    return open_run(LumbarRun, request)


def manifest(digest: str) -> Manifest:
    return Manifest(stage="x", path=f"x/{digest}", digest=digest, rows=1, files=())


def folds_of(run: LumbarRun) -> Manifest:
    folder = run.root / "folds" / "a"
    folder.mkdir(parents=True)
    pl.DataFrame({"study_id": [1, 2], "fold": [0, 1]}).write_parquet(folder / "folds.parquet")
    return make_manifest(run.root, "folds", folder, rows=2, names=["folds.parquet"])


def train(run: LumbarRun, member: str, split: str) -> None:
    """Write the folders of a member's folds, with the digest of the folds that it used."""
    for fold in range(run.folds):
        folder = run.home.fold(member, fold)
        folder.mkdir(parents=True)
        for name in RESULTS:
            (folder / name).write_text(f"{member} {fold} {name}")
        facts = {"fold": fold, "folds": split, "identity": "a"}
        (folder / "fit.json").write_text(json.dumps(facts))


def test_a_retrained_member_and_each_setting_change_the_key(run: LumbarRun) -> None:
    given = {"demo": [manifest("a")], "exp118": [manifest("b")]}
    key = fit_ensemble.key(run, manifest("f"), given)
    assert fit_ensemble.key(run, manifest("f"), dict(given)) == key
    retrained = given | {"exp118": [manifest("c")]}
    assert fit_ensemble.key(run, manifest("f"), retrained) != key
    assert fit_ensemble.key(run, manifest("g"), given) != key
    for part, change in (("ensemble", {"temperature": True}), ("labels", {"levels": ("l4_l5",)})):
        config = getattr(run.experiment, part).model_copy(update=change)
        experiment = run.experiment.model_copy(update={part: config})
        changed = run.model_copy(update={"experiment": experiment})
        assert fit_ensemble.key(changed, manifest("f"), given) != key
    for more in ({"threads": 7}, {"device": "cpu"}, {"seed": 3}):
        assert fit_ensemble.key(run.model_copy(update=more), manifest("f"), given) == key


def test_other_predictions_of_a_member_change_the_key(run: LumbarRun) -> None:
    key = combine_predictions.key(run, manifest("e"), {"demo": manifest("a")})
    assert combine_predictions.key(run, manifest("e"), {"demo": manifest("b")}) != key
    assert combine_predictions.key(run, manifest("f"), {"demo": manifest("a")}) != key


def test_trained_members_are_found(run: LumbarRun) -> None:
    folds = folds_of(run)
    split = digest_file(folds.file(run.root, "folds.parquet"))
    train(run, "demo", split)
    with pytest.raises(StageError, match="exp118/fold-0: no trained fold, but members needs it"):
        find_members(run, folds)
    train(run, "exp118", split)
    found = find_members(run, folds)
    assert {name: [fold.path for fold in own] for name, own in found.items()} == {
        name: [f"runs/{name}/fold-{fold}" for fold in range(2)] for name in ("demo", "exp118")
    }


def test_a_member_that_was_trained_on_another_split_is_refused(run: LumbarRun) -> None:
    train(run, "demo", "another")
    message = r"demo/fold-0: trained on another split.* run 'lsdc run-local --experiment demo .*2'"
    with pytest.raises(StageError, match=message):
        find_members(run, folds_of(run))


def test_a_member_with_a_missing_file_is_refused(run: LumbarRun) -> None:
    folds = folds_of(run)
    train(run, "demo", digest_file(folds.file(run.root, "folds.parquet")))
    (run.home.fold("demo", 1) / "oof.parquet").unlink()
    with pytest.raises(StageError, match=r"demo/fold-1/oof\.parquet: missing"):
        find_members(run, folds)


def test_predictions_of_other_test_studies_or_models_are_refused(run: LumbarRun) -> None:
    folds = folds_of(run)
    split = digest_file(folds.file(run.root, "folds.parquet"))
    for name in ("demo", "exp118"):
        train(run, name, split)
    members = find_members(run, folds)
    for name, trained in members.items():
        folder = run.home.run(name)
        (folder / "predictions.parquet").write_text(name)
        made_of = MadeOf.of(manifest("test"), trained)
        (folder / "predicted.json").write_text(made_of.model_dump_json())
    assert set(find_predictions(run, members, manifest("test"))) == {"demo", "exp118"}
    with pytest.raises(StageError, match=r"demo/predictions\.parquet: not of the test studies"):
        find_predictions(run, members, manifest("other"))
    (run.home.fold("exp118", 1) / "model.safetensors").write_text("trained again")
    with pytest.raises(StageError, match=r"exp118/predictions\.parquet: .*trains nothing again"):
        find_predictions(run, find_members(run, folds), manifest("test"))


def test_progress_counts_the_stages_of_the_ensemble_alone(run: LumbarRun) -> None:
    assert run.task_runs == [
        *("index train", "folds", "index test", "ensemble", "oof", "predict", "submission"),
        "report",
    ]
