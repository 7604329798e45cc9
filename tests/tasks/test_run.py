"""A run's settings, checked before any work is done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tasks.device
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.errors import SettingsError, StageError
from tasks.identity import require_needs
from tasks.request import RunRequest
from tasks.run import Place, open_run


def test_run_has_the_experiments_settings_with_overrides(tmp_path: Path) -> None:
    changed = ["training.epochs=2", "model.backbone=test_resnet"]
    run = open_run(
        LumbarRun,
        RunRequest.of(experiment="demo", settings=changed, data=None, home=tmp_path, folds=4),
    )
    assert run.experiment.name == "demo"
    assert run.experiment == EXPERIMENTS.load("demo", changed)
    assert run.experiment.training.epochs == 2


def test_unknown_setting_creates_no_home(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"did you mean training\.epochs"):
        open_run(
            LumbarRun,
            RunRequest.of(
                experiment="demo",
                settings=["training.epoch=2"],
                data=None,
                home=tmp_path / "home",
                folds=4,
            ),
        )
    assert not (tmp_path / "home").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux where threads may run")
def test_variables_that_bind_threads_are_ignored(tmp_path: Path) -> None:
    """Scikit-learn loads OpenMP, which binds the thread that loads it, and so all folds."""
    said = subprocess.run(
        [sys.executable, "-c", _OPEN_AND_LOAD, str(tmp_path)],
        env=os.environ | {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, after, log = said.stdout.splitlines()
    assert after == before
    assert "OMP_PROC_BIND=true, OMP_PLACES=cores: ignored" in log


_OPEN_AND_LOAD = """
import logging, os, sys
from pathlib import Path
from lsdc.challenges.lumbar.run import LumbarRun
from tasks.request import RunRequest
from tasks.run import open_run
print(sorted(os.sched_getaffinity(0)))
lines, log = [], logging.getLogger("lsdc.run")
log.setLevel(logging.INFO)
log.addFilter(lambda record: lines.append(record.getMessage()))
open_run(LumbarRun, RunRequest.of(experiment="demo", data=None, home=Path(sys.argv[1]), folds=2))
lines.clear()  # logged before the run had a log, and again in its flow
open_run(LumbarRun, RunRequest.of(experiment="demo", data=None, home=Path(sys.argv[1]), folds=2))
import sklearn.model_selection
print(sorted(os.sched_getaffinity(0)))
print(lines)
"""


def test_weights_are_checked_before_any_work(tmp_path: Path) -> None:
    name = EXPERIMENTS.load("exp118").model.backbone
    home, weights = tmp_path / "home", tmp_path / "weights"
    weights.mkdir()
    with pytest.raises(SettingsError, match=rf"no weights of {name} found, expected {weights}/"):
        open_run(
            LumbarRun,
            RunRequest.of(experiment="exp118", data=None, home=home, folds=4, weights=weights),
        )
    with pytest.raises(SettingsError, match="demo does not use pretrained weights; leave"):
        open_run(
            LumbarRun,
            RunRequest.of(experiment="demo", data=None, home=home, folds=4, weights=weights),
        )
    assert not home.exists()
    (weights / f"{name}.safetensors").touch()
    run = open_run(
        LumbarRun,
        RunRequest.of(experiment="exp118", data=None, home=home, folds=4, weights=weights),
    )
    assert run.weights == weights


def test_each_required_fold_of_another_experiment_is_checked(tmp_path: Path) -> None:
    run = open_run(
        LumbarRun, RunRequest.of(experiment="exp178", data=None, home=tmp_path / "home", folds=2)
    )
    with pytest.raises(StageError, match=r"exp114/fold-0: no trained fold, but needs\.labels"):
        require_needs(run)
    trained = run.home.fold("exp114", 0)
    trained.mkdir(parents=True)
    (trained / "fit.json").write_text("{}")
    require_needs(run.model_copy(update={"only_fold": 0}))
    with pytest.raises(StageError, match=r"exp114/fold-1: .* run experiment exp114 first"):
        require_needs(run)


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a machine with three GPUs."""
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
    monkeypatch.setattr(tasks.device, "_DEVICES", tmp_path / "dev")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def places_of_folds(run: LumbarRun) -> list[Place]:
    return [run.place_of(fold, run.folds_to_train) for fold in run.folds_to_train]


def run_of(root: Path, **settings: object) -> LumbarRun:
    return open_run(
        LumbarRun,
        RunRequest.of(experiment="demo", data=None, home=root / "home", **{"folds": 5, **settings}),
    )


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_each_gpu_trains_one_fold_at_a_time(device: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, device=device, threads=8)
    assert run.in_groups(run.folds_to_train) == [(0, 1, 2), (3, 4)]
    assert places_of_folds(run) == [
        Place(f"{device}:{number}", threads=2, workers=2) for number in (0, 1, 2, 0, 1)
    ]


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("visible", "width"),
    [("2", 1), ("0,2", 2), ("1, 0, 2", 3), ("0,-1,2", 1), ("GPU-8932f937,GPU-2a", 2)],
)
def test_hidden_gpus_train_no_fold(
    visible: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    run = run_of(tmp_path)
    assert len(run.in_groups(run.folds_to_train)[0]) == width


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(("visible", "device"), [("", "auto"), ("-1", "auto"), ("0", "cpu")])
def test_without_gpus_each_thread_trains_a_fold(
    visible: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    run = run_of(tmp_path, device=device, threads=4)
    assert run.in_groups(run.folds_to_train) == [(0, 1, 2, 3), (4,)]
    assert places_of_folds(run) == [Place(device, threads=1, workers=0)] * 5


@pytest.mark.usefixtures("gpus")
def test_single_fold_uses_the_first_gpu(tmp_path: Path) -> None:
    run = run_of(tmp_path, only_fold=3, threads=4)
    assert places_of_folds(run) == [Place("auto:0", threads=4, workers=4)]


@pytest.mark.usefixtures("gpus")
def test_processes_of_a_fold_have_gpus_of_their_own(tmp_path: Path) -> None:
    run = run_of(tmp_path, processes=2, threads=8)  # three GPUs: one fold at a time
    assert run.in_groups(run.folds_to_train) == [(0,), (1,), (2,), (3,), (4,)]
    alone = Place("auto:0", threads=4, workers=4, beside=("auto:1",))
    assert places_of_folds(run) == [alone] * 5


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("processes", "places"),
    [
        (1, [("cuda:0",), ("cuda:1",), ("cuda:2",)]),
        (3, [("cuda:0", "cuda:1", "cuda:2")] * 3),
        (4, [("cuda:0", "cuda:1", "cuda:2", "cuda:0")] * 3),  # two share the first one
    ],
)
def test_processes_share_gpus_only_if_there_are_too_few(
    processes: int, places: list[tuple[str, ...]], tmp_path: Path
) -> None:
    run = run_of(tmp_path, processes=processes, device="cuda", folds=3)
    assert [(place.device, *place.beside) for place in places_of_folds(run)] == places


def test_processes_share_the_threads_without_gpus(tmp_path: Path) -> None:
    run = run_of(tmp_path, processes=2, device="cpu", threads=6, folds=4)
    assert run.in_groups(run.folds_to_train) == [(0, 1, 2), (3,)]
    assert places_of_folds(run) == [Place("cpu", threads=1, workers=0, beside=("cpu",))] * 4
    assert run.settings == run_of(tmp_path, folds=4).settings


@pytest.mark.usefixtures("gpus")
def test_judges_share_the_gpus_as_folds_do(tmp_path: Path) -> None:
    run = run_of(tmp_path, folds=4, threads=8, settings=("labels.distrust=0.9",))
    assert run.judges == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    devices = [run.place_of(pair, run.judges).device for pair in run.judges]
    assert devices == [f"auto:{number}" for number in (0, 1, 2, 0, 1, 2)]


def test_single_fold_needs_a_judge_for_each_other_fold(tmp_path: Path) -> None:
    settings = ("labels.distrust=0.9",)
    assert run_of(tmp_path, folds=4, only_fold=1, settings=settings).judges == [
        (0, 1),
        (1, 2),
        (1, 3),
    ]
    assert run_of(tmp_path, folds=4).judges == []


def test_number_of_threads_is_lsdc_threads_or_one_per_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def threads() -> int:
        return open_run(
            LumbarRun, RunRequest.of(experiment="demo", data=None, home=tmp_path, folds=4)
        ).threads

    monkeypatch.delenv("LSDC_THREADS", raising=False)
    assert threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("LSDC_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("LSDC_THREADS", "0")
    with pytest.raises(SettingsError, match="LSDC_THREADS: expected an integer of at least 1"):
        threads()


def test_environment_sets_how_many_cases_of_a_report_have_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def images(**given: int) -> int:
        return open_run(LumbarRun, RunRequest.of(home=tmp_path, **given)).images

    monkeypatch.delenv("LSDC_IMAGES")
    assert images() == 12
    monkeypatch.setenv("LSDC_IMAGES", "5")
    assert images() == 5
    assert images(images=0) == 0
    monkeypatch.setenv("LSDC_IMAGES", "500")
    assert images() == 200
    monkeypatch.setenv("LSDC_IMAGES", "many")
    with pytest.raises(SettingsError, match="LSDC_IMAGES: expected an integer of at least 0"):
        images()


def test_images_of_a_report_change_no_folder(tmp_path: Path) -> None:
    runs = [open_run(LumbarRun, RunRequest.of(home=tmp_path, images=images)) for images in (0, 12)]
    assert runs[0].settings == runs[1].settings
