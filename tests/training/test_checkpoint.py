import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lsdc.training.checkpoint import Progress, load_progress, save_progress, save_weights

NOT_TENSORS = pickle.dumps({"identity": "this training", "epoch": Path()}, protocol=2)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    progress = Progress(
        epoch=3, states={"model": {"weight": torch.arange(3.0)}}, epochs=[{"score": 0.5}]
    )
    save_progress(tmp_path / "resume.pt", progress, "this training")
    return tmp_path / "resume.pt"


def test_saved_progress_is_loaded(saved: Path) -> None:
    progress = load_progress(saved, "this training")
    assert progress.epoch == 3
    assert torch.equal(progress.states["model"]["weight"], torch.arange(3.0))
    assert [path.name for path in saved.parent.iterdir()] == ["resume.pt"]


def test_checkpoint_of_another_training_is_ignored(saved: Path) -> None:
    assert load_progress(saved, "another training").epoch == 0


def test_missing_checkpoint_starts_from_the_beginning_without_a_warning(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    assert load_progress(tmp_path / "resume.pt", "this training", told.append).epoch == 0
    assert not told


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda whole: whole[:10], lambda whole: whole[:700], lambda _: NOT_TENSORS],
    ids=["empty", "ten bytes", "cut", "other classes"],
)
def test_damaged_checkpoint_is_reported_and_renamed(
    damage: Callable[[bytes], bytes], saved: Path
) -> None:
    damaged = damage(saved.read_bytes())
    saved.write_bytes(damaged)
    told: list[dict[str, Any]] = []
    assert load_progress(saved, "this training", told.append).epoch == 0
    (line,) = told
    aside = saved.with_name("damaged-resume.pt")
    assert "cannot be read" in line.text
    assert str(aside) in line.text
    assert aside.read_bytes() == damaged
    assert not saved.exists()


def test_checkpoint_that_cannot_be_opened_is_an_error(saved: Path) -> None:
    saved.unlink()
    saved.symlink_to(saved.name)  # a circular link, which even root cannot open
    with pytest.raises(OSError, match=r"resume\.pt"):
        load_progress(saved, "this training")
    assert saved.is_symlink()


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_permissions_of_weights_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save_weights(tmp_path / "model.safetensors", {"weight": torch.arange(3.0)})
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode)
    assert mode == 0o666 & ~umask
