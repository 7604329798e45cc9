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


def test_progress_comes_back(saved: Path) -> None:
    progress = load_progress(saved, "this training")
    assert progress.epoch == 3
    assert torch.equal(progress.states["model"]["weight"], torch.arange(3.0))
    assert [path.name for path in saved.parent.iterdir()] == ["resume.pt"]


def test_progress_of_another_training_is_not_taken_up(saved: Path) -> None:
    assert load_progress(saved, "another training").epoch == 0


def test_missing_file_is_a_fresh_start_without_a_word(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    assert load_progress(tmp_path / "resume.pt", "this training", told.append).epoch == 0
    assert not told


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda whole: whole[:10], lambda whole: whole[:700], lambda _: NOT_TENSORS],
    ids=["empty", "ten bytes", "cut", "other classes"],
)
def test_file_that_cannot_be_read_is_told_of_and_set_aside(
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


def test_file_that_may_not_be_opened_is_no_fresh_start(saved: Path) -> None:
    saved.unlink()
    saved.symlink_to(saved.name)  # a loop, which no one may follow, not even root
    with pytest.raises(OSError, match=r"resume\.pt"):
        load_progress(saved, "this training")
    assert saved.is_symlink()


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_the_umask_says_who_may_read_weights(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save_weights(tmp_path / "model.safetensors", {"weight": torch.arange(3.0)})
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode)
    assert mode == 0o666 & ~umask
