"""Trials and results depend on the libraries that networks of ink are built from."""

from pathlib import Path

import pytest

from lsdc.challenges.ink.stages.maps import predict_fold, predict_test
from lsdc.challenges.ink.stages.training import train_fold
from lsdc.challenges.ink.training.trial import TrialJob
from lsdc.jobs import trial
from lsdc.store.manifest import Manifest
from tasks.stage import Stage
from tests.challenges.ink.training.planted import small


def install(version: str, patch: pytest.MonkeyPatch) -> None:
    """Let another version of MONAI be installed, and one version of all others."""
    versions = {"monai": version}
    patch.setattr("lsdc.store.fingerprint._version", lambda name: versions.get(name, "1"))


@pytest.mark.parametrize("stage", [train_fold, predict_fold, predict_test], ids=lambda it: it.name)
def test_results_of_another_monai_are_not_reused(
    stage: Stage[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("1", monkeypatch)
    before = stage.code_fingerprint()
    install("2", monkeypatch)
    assert stage.code_fingerprint() != before


def test_models_are_tried_anew_with_another_monai(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(trial, "run_child", lambda *_, **__: tried.append("tried"))
    job = TrialJob(experiment=small(), pretrained=False, device="cpu", threads=1)

    def attempt() -> int:
        trial.try_model(job, kept=tmp_path / "kept.json", log=tmp_path / "children.log")
        return len(tried)

    install("1", monkeypatch)
    assert [attempt(), attempt()] == [1, 1]
    install("2", monkeypatch)
    assert [attempt(), attempt()] == [2, 2]
