"""Weights are checked before anything is prepared, on the machine that uses them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.steps import prepare
from lsdc.challenges.lumbar.training.trial import TrialJob
from lsdc.store.manifest import Manifest
from tasks.common import models
from tasks.common.models import require_model
from tasks.dispatch import TrainingJob
from tasks.request import RunRequest
from tasks.run import Run, open_run

MADE = Manifest(stage="x", path="x/0", digest="0", rows=1, files=())


def run_of(home: Path, **settings: Any) -> Run:
    return open_run(
        LumbarRun, RunRequest.of(experiment="exp118", data=None, home=home, folds=2, **settings)
    )


@pytest.mark.parametrize(
    ("given", "here", "asked"),
    [(False, True, True), (False, False, False), (True, True, True), (True, False, True)],
)
def test_weights_are_checked_where_they_are_used(
    given: bool, here: bool, asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[TrialJob] = []
    monkeypatch.setattr(models, "try_model", lambda job, **_: tried.append(job))
    (tmp_path / "weights.pth").touch()
    weights = tmp_path / "weights.pth" if given else None
    monkeypatch.setattr(models, "trains_on_gpu_pool", lambda: not here)
    require_model(run_of(tmp_path / "home", weights=weights), TrialJob)
    assert [(job.pretrained, job.weights) for job in tried] == [(asked, weights)]


def test_finished_folds_need_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bool] = []
    monkeypatch.setattr(models, "try_model", lambda job, **_: tried.append(job.pretrained))
    run = run_of(tmp_path / "home")
    for fold in range(2):
        require_model(run, TrialJob)
        run.fold(fold).mkdir(parents=True)
        (run.fold(fold) / "fit.json").touch()
    require_model(run, TrialJob)
    assert tried == [True, True, False]


@pytest.mark.parametrize(
    ("settings", "for_training", "told"),
    [
        ([], True, {"tries_model": True}),
        ([], False, {}),  # nothing is trained
        (["model.pretrained=false"], True, {}),
        (["needs.weights=exp114"], True, {}),
    ],
)
def test_worker_checks_the_hubs_weights_before_it_learns_coordinates(
    settings: list[str],
    for_training: bool,
    told: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[TrainingJob] = []

    def train_on_workers(_: Run, jobs: Sequence[TrainingJob], versions: object) -> list[Manifest]:
        sent.extend(jobs)
        return [MADE]

    for name in ("publish_catalog", "refuse_bad_files", "note_so_far", "note_results"):
        monkeypatch.setattr(prepare, name, lambda *_, **__: None)
    for name in ("fix_sides", "cut_crops"):
        monkeypatch.setattr(prepare, name, lambda *_: MADE)
    monkeypatch.setattr(prepare, "read_training", lambda _: (MADE, MADE, MADE))
    monkeypatch.setattr(prepare, "trains_on_gpu_pool", lambda: True)
    monkeypatch.setattr(prepare.learn_coordinates, "find", lambda *_: None)
    monkeypatch.setattr(prepare, "train_on_workers", train_on_workers)
    run = run_of(tmp_path / "home", settings=settings)
    prepare.prepare_training(run, for_training=for_training)
    assert [dict(job.parameters) for job in sent] == [told]
