"""Trials: a model is built and run before its input is prepared."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.training.trial import TrialJob
from lsdc.challenges.lumbar.training.trial_child import work
from lsdc.errors import SettingsError, StageError
from lsdc.jobs import trial
from lsdc.jobs.trial import try_model
from lsdc.training.checkpoint import save_weights

SMALL = ["slices.axial_slices=1", "slices.side_slices=1", "slices.middle_slices=1"]


IN_3D = [
    *("model.encoder=volume", "model.backbone=resnet10", "model.encoder_width=4"),
    *("model.pixels=sample", "crops.size_px=32"),
]


def try_here(*settings: str, **job: Any) -> None:
    """Try a model in this process, which has already loaded torch."""
    experiment = EXPERIMENTS.load("demo", [*SMALL, *settings])
    common = {"pretrained": False, "device": "cpu", "threads": 1}
    work(TrialJob(experiment=experiment, **(common | job)), lambda _: None)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["model.slices_as=channels", "model.rnn=none", "model.slice_pool=mean"],
        ["model.backbone=test_resnet", "crops.size_px=32", "training.precision=bfloat16"],
        ["model.axial_backbone=test_resnet", "loss.level_weight=0.1"],
        IN_3D,
    ],
    ids=str,
)
def test_trainable_models_pass(settings: list[str]) -> None:
    try_here(*settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model.backbone=resnet19"], "timm has no model 'resnet19'; did you mean 'resnet"),
        (["model.backbone=vgg11", "model.drop_path=0.1"], "timm cannot create vgg11 with"),
        ([*IN_3D, "model.backbone=test_resnet"], "model: backbone 'test_resnet': expected one of"),
        ([*IN_3D, "model.axial_backbone=resnet10"], "axial_backbone 'resnet10': encoder 'volume'"),
        (
            ["model.backbone=inception_v3", "crops.size_px=32"],
            r"inception_v3 cannot be trained on slices of 32 x 32 px, .*try a larger crops.size_px",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_untrainable_models_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        try_here(*settings)
    assert "\n" not in str(raised.value)


def test_missing_device_is_refused() -> None:
    with pytest.raises(SettingsError, match="device: 'cuda:99' cannot be used here"):
        try_here(device="cuda:99")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "test_resnet.pth"
    weights.write_bytes(b"not weights")
    with pytest.raises(SettingsError, match="not the weights of test_resnet"):
        try_here("model.backbone=test_resnet", weights=weights, pretrained=True)


def test_initial_weights_must_fit_the_model(tmp_path: Path) -> None:
    experiment = EXPERIMENTS.load("demo", SMALL)
    weights = tmp_path / "model.safetensors"
    save_weights(weights, build_model(experiment, pretrained=False).state_dict())
    try_here("needs.weights=exp114", start_from=weights)
    with pytest.raises(StageError, match="these weights do not fit the model of exp114"):
        try_here("needs.weights=exp114", "model.width=32", start_from=weights)


def test_model_is_tried_once_per_model_settings(tmp_path: Path) -> None:
    kept, log = tmp_path / "kept.json", tmp_path / "logs" / "children.log"

    def attempt(*settings: str) -> bool:
        """Try the model; return whether a child process was started."""
        log.unlink(missing_ok=True)
        try_model(
            TrialJob(
                experiment=EXPERIMENTS.load("demo", [*SMALL, *settings]),
                weights=None,
                pretrained=False,
                device="cpu",
                threads=1,
            ),
            kept=kept,
            log=log,
        )
        return log.exists()

    assert attempt()
    assert not attempt()
    assert not attempt("training.epochs=9", "augment.noise=0.5")
    assert len(json.loads(kept.read_text())) == 1
    with pytest.raises(SettingsError, match="timm has no model"):
        attempt("model.backbone=resnet19")
    assert len(json.loads(kept.read_text())) == 1


def test_trial_is_kept_per_host_and_hub_models_are_tried_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(trial, "run_child", lambda *_, **__: tried.append(socket.gethostname()))

    def attempt(*, pretrained: bool = False) -> None:
        try_model(
            TrialJob(
                experiment=EXPERIMENTS.load("demo", SMALL),
                weights=None,
                pretrained=pretrained,
                device="cpu",
                threads=1,
            ),
            kept=tmp_path / "kept.json",
            log=tmp_path / "children.log",
        )

    for _ in range(2):
        attempt()
    assert len(tried) == 1
    for _ in range(2):
        attempt(pretrained=True)
    assert len(tried) == 3
    monkeypatch.setattr(socket, "gethostname", lambda: "other")
    attempt()
    assert tried[3:] == ["other"]


def test_another_monai_matters_for_3d_encoders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def task_with(version: str, *settings: str) -> Any:
        monkeypatch.setattr("lsdc.store.fingerprint._version", lambda _: version)
        experiment = EXPERIMENTS.load("demo", list(settings))
        return TrialJob(experiment=experiment, pretrained=False, device="cpu", threads=1).task

    assert task_with("1") == task_with("2")
    assert task_with("1", *IN_3D) != task_with("2", *IN_3D)
