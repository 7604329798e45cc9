"""The public API: the results of a run for programs and notebooks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import lsdc
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.errors import DataError, SettingsError
from lsdc.store.files import write_folder
from lsdc.store.garbage import pin_results
from lsdc.store.home import open_home
from lsdc.store.manifest import store_folder
from lsdc.store.runs import EXPERIMENT_FILE
from lsdc.training.checkpoint import save_weights

EXPERIMENT = EXPERIMENTS.load("demo")
CONDITION = "spinal_canal_stenosis"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a home with a run of one study: two levels, one fold, planted crops."""
    root = tmp_path_factory.mktemp("home")
    opened = open_home(root)
    rows = [(0, "train", 7, "l4_l5"), (1, "train", 7, "l5_s1"), (0, "test", 8, "l4_l5")]
    samples = pl.DataFrame(rows, ["row", "split", "study_id", "level"], orient="row")
    count, size = EXPERIMENT.slices.count, EXPERIMENT.crops.size_px
    samples = samples.with_columns(
        side=pl.lit(None, dtype=pl.String), mask=pl.lit([True] * (count - 1) + [False])
    )
    made = []
    for split, value in (("test", 9), ("train", 1)):
        own = samples.filter(split=split)
        with write_folder(root / "crops") as out:
            own.write_parquet(out / "samples.parquet")
            images = np.full((len(own), count, size, size), value, dtype=np.uint8)
            images[-1] += 1
            np.save(out / "crops.npy", images)
            made.append(store_folder(root, "crops", out, rows=len(own)))
    labels = [(7, CONDITION, "l4_l5", 2), (7, CONDITION, "l5_s1", 0)]
    with write_folder(root / "folds") as out:
        table = pl.DataFrame(labels, ["study_id", "condition", "level", "grade"], orient="row")
        table.write_parquet(out / "labels.parquet")
        made.append(store_folder(root, "folds", out, rows=2))
    folder = opened.run("demo")
    (folder / "fold-0").mkdir(parents=True)
    pin_results(opened, "demo", made)
    (folder / EXPERIMENT_FILE).write_text(EXPERIMENT.model_dump_json())
    (folder / "scores.json").write_text('{"score": 0.5}')
    predicted = pl.DataFrame({"row_id": [f"7_{CONDITION}_l4_l5", f"7_{CONDITION}_l5_s1"]})
    thirds = {name: pl.lit(1 / 3) for name in ("normal_mild", "moderate", "severe")}
    predicted.with_columns(**thirds).write_parquet(folder / "oof.parquet")
    torch.manual_seed(3)
    save_weights(
        folder / "fold-0" / "model.safetensors",
        build_model(EXPERIMENT, pretrained=False).state_dict(),
    )
    return root


def test_run_results_have_scores_crops_labels_and_a_model(home: Path) -> None:
    assert lsdc.list_runs(home) == ["demo"]
    run = lsdc.load_run(home, "demo")
    assert run.scores == {"score": 0.5}
    assert run.experiment == EXPERIMENT
    (crops,) = run.crops(7, "l5_s1")
    assert (crops.images == 2).all()
    assert crops.present.tolist() == [True] * (EXPERIMENT.slices.count - 1) + [False]
    assert crops.labels.rows() == [(CONDITION, 0)]
    model = run.model(0)
    torch.manual_seed(3)
    planted = build_model(EXPERIMENT, pretrained=False).eval()
    slices = torch.tensor(crops.images)[None]
    present = torch.tensor(crops.present)[None]
    with torch.no_grad():
        assert torch.equal(model(slices, present).grades, planted(slices, present).grades)


def test_metric_scores_the_tables_of_a_run(home: Path) -> None:
    run = lsdc.load_run(home, "demo")
    found = lsdc.score(run.labels, run.oof)
    assert found.spinal == pytest.approx(np.log(3))


def test_missing_results_are_refused(home: Path, tmp_path: Path) -> None:
    run = lsdc.load_run(home, "demo")
    with pytest.raises(DataError, match="no crops of study 8, level l4_l5"):
        run.crops(8, "l4_l5")  # a test study
    with pytest.raises(DataError, match=r"fold-1/model\.safetensors: no such file"):
        run.model(1)
    with pytest.raises(SettingsError, match="no run named 'dmeo', found: demo"):
        lsdc.load_run(home, "dmeo")
    with pytest.raises(DataError, match="no home of lsdc"):
        lsdc.list_runs(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_importing_lsdc_is_light_and_lists_public_names() -> None:
    script = (
        "import sys, lsdc; print(*sorted(name for name in sys.modules if name.startswith("
        "('lsdc.', 'torch', 'polars', 'prefect')))); print(*dir(lsdc)); print(lsdc.score.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    imported, public, name = done.stdout.split("\n")[:3]
    assert imported == ""
    assert public.split() == sorted(lsdc.__all__)
    assert name == "score"
