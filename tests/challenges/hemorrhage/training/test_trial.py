"""Trials: a model is built and run before its input is prepared."""

import json
from pathlib import Path
from typing import Any

import pytest

from lsdc.challenges.hemorrhage.training import trial_child
from lsdc.challenges.hemorrhage.training.network import build_model
from lsdc.challenges.hemorrhage.training.trial import TrialJob
from lsdc.errors import SettingsError, StageError
from lsdc.jobs import trial
from lsdc.jobs.trial import try_model
from lsdc.training.checkpoint import save_weights
from tests.challenges.hemorrhage.training.planted import small


def try_here(*settings: str, **job: Any) -> None:
    """Try a model in this process, which has already loaded torch."""
    common = {"pretrained": False, "device": "cpu", "threads": 1}
    trial_child.work(TrialJob(experiment=small(*settings), **(common | job)), lambda _: None)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["model.neighbours=[-1, 0, 1]", "slices.windows=[[40, 80], [80, 200], [40, 380]]"],
        ["model.backbone=test_resnet", "training.precision=bfloat16"],
    ],
    ids=str,
)
def test_trainable_models_pass(settings: list[str]) -> None:
    try_here(*settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model.backbone=resnet19"], "timm has no model 'resnet19'; did you mean 'resnet"),
        (
            ["model.backbone=inception_v3"],
            r"inception_v3 cannot be trained on slices of 32 x 32 px, .* a larger slices.size_px",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_untrainable_models_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        try_here(*settings)


def test_initial_weights_must_fit_the_model(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    save_weights(weights, build_model(small(), pretrained=False).state_dict())
    try_here("needs.weights=ich-exp10", start_from=weights)
    with pytest.raises(StageError, match="these weights do not fit the model of ich-exp10"):
        try_here("needs.weights=ich-exp10", "model.width=16", start_from=weights)


def test_model_is_tried_once_per_model_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(trial, "run_child", lambda *_, **__: tried.append("tried"))

    def attempt(*settings: str) -> int:
        job = TrialJob(experiment=small(*settings), pretrained=False, device="cpu", threads=1)
        try_model(job, kept=tmp_path / "kept.json", log=tmp_path / "children.log")
        return len(tried)

    assert attempt() == 1
    assert attempt("training.epochs=9", "sequence.kind=none") == 1
    assert attempt("slices.size_px=64") == 2
    assert attempt("model.neighbours=[-1, 0, 1]") == 3
    assert len(json.loads((tmp_path / "kept.json").read_text())) == 3
