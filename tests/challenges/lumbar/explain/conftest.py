"""A run with two trained folds on a phantom, whose models have random weights."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.model import ModelConfig
from lsdc.challenges.lumbar.explain import attention, attention_child
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.store.home import Home, open_home
from lsdc.training.checkpoint import save_weights
from lsdc.training.process import ignore
from tests.challenges.lumbar.report.conftest import SLICES, results, studies

__all__ = ["results", "studies"]  # fixtures of the sheets' tests

EXPERIMENT = Experiment(
    name="demo",
    slices=SLICES,
    crops=CropsConfig(size_px=16),
    model=ModelConfig(backbone="test_efficientnet_gn", width=16, pretrained=False),
)


@dataclass(frozen=True)
class SmallRun:
    """A run by home and name."""

    home: Home
    name: str = "demo"

    @property
    def folder(self) -> Path:
        return self.home.run(self.name)


def write_run(
    home: Home, results: Path, in_folds: list[int], experiment: Experiment, *, folds: int = 2
) -> SmallRun:
    """Write a run with these results, whose studies are in its folds in turn."""
    run = SmallRun(home)
    folder = home.root / "all" / "0"
    shutil.copytree(results, folder)
    numbers = pl.Series([number % folds for number in range(len(in_folds))], dtype=pl.Int32)
    table = pl.DataFrame({"study_id": in_folds, "fold": numbers})
    table.write_parquet(folder / "folds.parquet")
    run.folder.mkdir(parents=True)
    (run.folder / "rests-on.json").write_text(json.dumps(["all/0"]))
    (run.folder / "experiment.json").write_text(experiment.model_dump_json())
    for fold in range(folds):
        torch.manual_seed(fold)
        (run.folder / f"fold-{fold}").mkdir()
        state = build_model(experiment, pretrained=False).state_dict()
        save_weights(run.folder / f"fold-{fold}" / "model.safetensors", state)
    return run


@pytest.fixture(scope="session")
def made_run(
    results: Path, studies: list[int], tmp_path_factory: pytest.TempPathFactory
) -> SmallRun:
    """Write a home with a run: studies in the folds 0 and 1 in turn, the last one in none."""
    home = open_home(tmp_path_factory.mktemp("explained") / "home")
    return write_run(home, results, studies[:-1], EXPERIMENT)


@pytest.fixture
def small_run(made_run: SmallRun, tmp_path: Path) -> SmallRun:
    """Return a copy of the run, which the test may change."""
    shutil.copytree(made_run.home.root, tmp_path / "home")
    return SmallRun(open_home(tmp_path / "home"))


def run_in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Run the child's work in this process, since importing torch again takes seconds."""

    def run_here(module: str, job: attention.ExplainJob, **_: Any) -> dict[str, Any]:
        assert module == attention_child.__name__
        sent = type(job).model_validate_json(job.model_dump_json())
        return dict(json.loads(json.dumps(attention_child.work(sent, ignore))))

    patch.setattr(attention, "run_child", run_here)


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the child's work in this process."""
    run_in_this_process(monkeypatch)
