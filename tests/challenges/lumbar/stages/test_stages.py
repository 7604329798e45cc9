"""Cache keys: the settings and inputs that each stage's result depends on."""

import errno
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prefect.states import Failed

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.stages.annotations import correct_annotations
from lsdc.challenges.lumbar.stages.coordinates import learn_coordinates
from lsdc.challenges.lumbar.stages.crops import cut_crops
from lsdc.challenges.lumbar.stages.folds import assign_folds
from lsdc.challenges.lumbar.stages.index import index_studies
from lsdc.challenges.lumbar.stages.marks import mark_slices
from lsdc.challenges.lumbar.stages.oof import score_oof
from lsdc.challenges.lumbar.stages.submission import predict_test
from lsdc.challenges.lumbar.stages.training import train_fold
from lsdc.errors import DataError, ResumeLaterError, StageError
from lsdc.store.manifest import Manifest
from tasks import stage as stage_module
from tasks.request import RunRequest
from tasks.run import Run, open_run
from tasks.stage import is_transient

Edit = Callable[[Run], Run]


def manifest(digest: str) -> Manifest:
    return Manifest(stage="x", path=f"x/{digest}", digest=digest, rows=1, files=())


INPUTS = {
    "index": (index_studies, {"split": "train"}),
    "folds": (assign_folds, {"index": manifest("a")}),
    "annotations": (correct_annotations, {"index": manifest("a")}),
    "coordinates": (
        learn_coordinates,
        {"index": manifest("a"), "folds": manifest("b"), "annotations": manifest("c")},
    ),
    "crops": (
        cut_crops,
        {
            "split": "train",
            "index": manifest("a"),
            "coordinates": manifest("b"),
            "sides": manifest("c"),
        },
    ),
    "marks": (
        mark_slices,
        {
            name: manifest(name)
            for name in ("index", "annotations", "coordinates", "sides", "crops")
        },
    ),
    "train": (train_fold, {"fold": 0, "crops": manifest("a"), "folds": manifest("b")}),
    "oof": (score_oof, {"folds": manifest("a"), "trained": [manifest("b")]}),
    "predict": (
        predict_test,
        {"index": manifest("i"), "crops": manifest("a"), "trained": [manifest("b")]},
    ),
}


@pytest.fixture
def run(phantom: Path, tmp_path: Path) -> Run:
    return open_run(
        LumbarRun,
        RunRequest.of(experiment="demo", data=phantom, home=tmp_path / "home", folds=2, threads=2),
    )


def keys(run: Run) -> dict[str, str]:
    return {name: stage.key(run, **inputs) for name, (stage, inputs) in INPUTS.items()}


def changed(run: Run, **update: object) -> set[str]:
    before, after = keys(run), keys(run.model_copy(update=update))
    return {name for name in before if before[name] != after[name]}


def with_experiment(run: Run, part: str, **update: object) -> Experiment:
    config = getattr(run.experiment, part).model_copy(update=update)
    return run.experiment.model_copy(update={part: config})


def test_same_run_has_the_same_keys(run: Run) -> None:
    assert changed(run) == set()


@pytest.mark.parametrize("setting", [{"threads": 1}, {"device": "cpu"}, {"only_fold": 1}])
def test_execution_settings_change_no_key(run: Run, setting: dict[str, object]) -> None:
    assert changed(run, **setting) == set()


def test_seed_changes_the_keys_of_folds_and_training(run: Run) -> None:
    assert changed(run, seed=1) == {"folds", "coordinates", "train"}


def test_holdout_changes_only_the_key_of_folds(run: Run) -> None:
    assert changed(run, holdout=0.2) == {"folds"}


def test_raw_and_clean_annotations_have_different_keys(run: Run) -> None:
    assert run.annotations == "clean"
    assert changed(run, annotations="raw") == {"annotations"}


def test_backbone_changes_only_the_keys_of_training_and_prediction(run: Run) -> None:
    experiment = with_experiment(run, "model", backbone="test_resnet")
    assert changed(run, experiment=experiment) == {"train", "predict"}


def test_precision_changes_only_the_keys_of_training_and_prediction(run: Run) -> None:
    experiment = with_experiment(run, "training", precision="bfloat16")
    assert changed(run, experiment=experiment) == {"train", "predict"}


def test_views_change_only_the_keys_of_training_and_prediction(run: Run) -> None:
    experiment = with_experiment(run, "tta", mirror=True)
    assert changed(run, experiment=experiment) == {"train", "predict"}


def test_crop_window_changes_the_keys_of_crops_and_later_stages(run: Run) -> None:
    experiment = with_experiment(run, "crops", axial_window=0.4)
    assert changed(run, experiment=experiment) == {"crops", "marks", "train", "predict"}


def test_slice_settings_change_the_keys_of_crops_and_later_stages(run: Run) -> None:
    experiment = with_experiment(run, "slices", side_distance_mm=16.0)
    assert changed(run, experiment=experiment) == {"crops", "marks", "train", "predict"}


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("model", "head_context", "lstm"),
        ("model", "head_samples", 5),
        ("loss", "view_weight", 0.5),
        ("loss", "slice_weight", 0.5),
    ],
)
def test_heads_change_only_the_keys_of_training_and_prediction(
    run: Run, part: str, setting: str, value: object
) -> None:
    experiment = with_experiment(run, part, **{setting: value})
    assert changed(run, experiment=experiment) == {"train", "predict"}


def test_marks_change_the_key_of_training(run: Run) -> None:
    given = run, 0, manifest("a"), manifest("b")
    assert train_fold.key(*given) != train_fold.key(*given, manifest("c"))
    assert train_fold.key(*given, manifest("c")) != train_fold.key(*given, manifest("d"))


def test_margins_and_spare_slices_change_the_keys_of_training_crops_only(run: Run) -> None:
    wide = with_experiment(run, "crops", margin=0.25)
    more = with_experiment(run, "slices", spare_slices=1)
    for experiment in (wide, more):
        assert "crops" in changed(run, experiment=experiment)
        test = {
            "split": "test",
            **{name: manifest("a") for name in ("index", "coordinates", "sides")},
        }
        after = run.model_copy(update={"experiment": experiment})
        assert cut_crops.key(after, **test) == cut_crops.key(run, **test)


def test_errors_of_points_change_only_the_key_of_training(run: Run) -> None:
    wide = with_experiment(run, "crops", margin=0.25)
    before = run.model_copy(update={"experiment": wide})
    drawn = with_experiment(before, "augment", point_mm=3.0)
    assert changed(before, experiment=drawn) == {"train"}


def test_stall_minutes_change_no_key(run: Run) -> None:
    experiment = with_experiment(run, "training", stall_minutes=1.0)
    assert changed(run, experiment=experiment) == set()


def test_installed_decoder_changes_the_keys_of_stages_that_read_files(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = dict[str, str]()

    def installed(names: Iterable[str]) -> dict[str, str]:
        return {name: versions.get(name, "absent") for name in names}

    monkeypatch.setattr(stage_module, "fingerprint_libraries", installed)
    before = keys(run)
    versions["pylibjpeg-openjpeg"] = "2.0"
    after = keys(run)
    assert {name for name in before if before[name] != after[name]} == {
        *("index", "coordinates", "crops")
    }


def test_inputs_are_keyed_by_content_and_not_by_path(run: Run) -> None:
    moved = manifest("a").model_copy(update={"path": "elsewhere"})
    assert assign_folds.key(run, manifest("a")) == assign_folds.key(run, moved)
    assert assign_folds.key(run, manifest("a")) != assign_folds.key(run, manifest("b"))


def test_touched_image_changes_only_the_key_of_the_index(run: Run, tmp_path: Path) -> None:
    import shutil

    data = tmp_path / "copy"
    shutil.copytree(run.data, data)
    mine = run.model_copy(update={"data": data})
    before = keys(mine)
    next((data / "train_images").rglob("*.dcm")).touch()
    after = keys(mine)
    assert {name for name in before if before[name] != after[name]} == {"index"}


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(errno.EIO, "input/output error"), True),
        (OSError(errno.ENOSPC, "no space left"), False),
        (DataError("a column is missing"), False),
        (StageError("too many bad files"), False),
        (ResumeLaterError("stopped with a checkpoint"), True),
        (ValueError("a bug"), False),
    ],
)
def test_only_transient_errors_are_retried(error: Exception, again: bool) -> None:
    assert is_transient(None, None, Failed(data=error)) is again
