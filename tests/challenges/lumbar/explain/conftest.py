"""A run with two trained folds on a phantom, whose models have random weights."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from lsdc.challenges.lumbar.config.experiment import CropsConfig, Experiment
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


@pytest.fixture(scope="session")
def made_run(
    results: Path, studies: list[int], tmp_path_factory: pytest.TempPathFactory
) -> SmallRun:
    """Write a home with a run: studies in the folds 0 and 1 in turn, the last one in none."""
    run = SmallRun(open_home(tmp_path_factory.mktemp("explained") / "home"))
    folder = run.home.root / "all" / "0"
    shutil.copytree(results, folder)
    pl.DataFrame(
        {
            "study_id": studies[:-1],
            "fold": pl.Series([number % 2 for number in range(len(studies) - 1)], dtype=pl.Int32),
        }
    ).write_parquet(folder / "folds.parquet")
    run.folder.mkdir(parents=True)
    (run.folder / "rests-on.json").write_text(json.dumps(["all/0"]))
    (run.folder / "experiment.json").write_text(EXPERIMENT.model_dump_json())
    for fold in (0, 1):
        torch.manual_seed(fold)
        (run.folder / f"fold-{fold}").mkdir()
        state = build_model(EXPERIMENT, pretrained=False).state_dict()
        save_weights(run.folder / f"fold-{fold}" / "model.safetensors", state)
    return run


@pytest.fixture
def small_run(made_run: SmallRun, tmp_path: Path) -> SmallRun:
    """Return a copy of the run, which the test may change."""
    shutil.copytree(made_run.home.root, tmp_path / "home")
    return SmallRun(open_home(tmp_path / "home"))


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the child's work in this process, since importing torch again takes seconds."""

    def run_here(module: str, job: attention.ExplainJob, **_: Any) -> dict[str, Any]:
        assert module == attention_child.__name__
        sent = type(job).model_validate_json(job.model_dump_json())
        return dict(json.loads(json.dumps(attention_child.work(sent, ignore))))

    monkeypatch.setattr(attention, "run_child", run_here)
