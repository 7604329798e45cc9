from pathlib import Path

import pytest
import torch

from lsdc.training.checkpoint import Progress, load_progress, save_progress


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    progress = Progress(
        epoch=3, states={"model": {"weight": torch.arange(3.0)}}, epochs=[{"score": 0.5}]
    )
    save_progress(tmp_path / "resume.pt", progress, "this training")
    return tmp_path / "resume.pt"


def test_progress_comes_back(saved: Path) -> None:
    progress = load_progress(saved, "this training")
    assert progress.epoch == 3
    assert torch.equal(progress.states["model"]["weight"], torch.arange(3.0))
    assert [path.name for path in saved.parent.iterdir()] == ["resume.pt"]


def test_progress_of_another_training_is_not_taken_up(saved: Path) -> None:
    assert load_progress(saved, "another training").epoch == 0


@pytest.mark.parametrize("kept_bytes", [0, 10, 700])
def test_damaged_or_missing_file_is_a_fresh_start(saved: Path, kept_bytes: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept_bytes])
    assert load_progress(saved, "this training").epoch == 0
    saved.unlink()
    assert load_progress(saved, "this training").epoch == 0
