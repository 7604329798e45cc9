"""Unfinished work: whole blocks are taken up again, and nothing else."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter

from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.errors import DataError
from lsdc.predict.blocks import predict_blocks
from lsdc.predict.progress import Progress, Teller, ignore_progress
from lsdc.predict.unfinished import (
    FOLDER,
    Block,
    block_folder,
    done_blocks,
    keep_block,
    unfinished,
    work_key,
)


@dataclass(frozen=True)
class Study:
    """What is known of a study."""

    study_id: str
    share: float
    doubts: tuple[str, ...] = ()


STUDY = Study("ID_7", 0.1 + 0.2, ("a doubt",))
ADAPTER = TypeAdapter(list[Study])


def block_in(folder: Path, *studies: Study) -> Block[Study]:
    folder.mkdir()
    return Block(folder, studies, Quarantine.create_empty(), OtherFiles.create_empty())


def keep(work: Path, number: int, study: Study = STUDY) -> Path:
    """Keep a block of one study."""
    block = block_in(block_folder(work, number), study)
    keep_block(block, ADAPTER)
    return block.folder


def test_kept_studies_are_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    keep(tmp_path, 0)
    keep(tmp_path, 1, Study("ID_8", 1 / 3))
    found = done_blocks(tmp_path, ADAPTER)
    assert [study for block in found for study in block.studies] == [STUDY, Study("ID_8", 1 / 3)]
    assert [block.folder.name for block in found] == ["block-000000", "block-000001"]


def test_blocks_that_were_not_finished_are_removed(tmp_path: Path) -> None:
    keep(tmp_path, 0)
    cut = keep(tmp_path, 1)
    (cut / "done.json").unlink()
    later = keep(tmp_path, 2)  # what came before it is unknown
    found = done_blocks(tmp_path, ADAPTER)
    assert [block.folder.name for block in found] == ["block-000000"]
    assert not cut.exists()
    assert not later.exists()


class Counting:
    """Predicts each study by its id, and is killed at one of the blocks."""

    adapter = ADAPTER

    def __init__(self, killed_at: int | None = None) -> None:
        self.killed_at, self.predicted = killed_at, list[str]()
        self.restored = 0

    def restore(self, blocks: Sequence[Block[Study]]) -> None:
        self.restored = len(blocks)

    def predict(self, ids: Sequence[str], folder: Path, *, is_last: bool) -> Block[Study]:
        block = block_in(folder, *(Study(one, 0.5, ("last",) if is_last else ()) for one in ids))
        if self.restored + len(self.predicted) == self.killed_at:
            raise KeyboardInterrupt
        self.predicted += ids
        return block


def test_a_killed_prediction_goes_on_after_its_last_block(tmp_path: Path) -> None:
    ids = [["a"], ["b"], ["c"]]
    teller = Teller(ignore_progress, ["predicting"])
    killed, second = Counting(killed_at=1), Counting()
    with pytest.raises(KeyboardInterrupt):
        predict_blocks(killed, ids, tmp_path, teller)
    blocks, kept = predict_blocks(second, ids, tmp_path, teller)
    assert (killed.predicted, second.predicted, second.restored, kept) == (["a"], ["b", "c"], 1, 1)
    found = [(study.study_id, study.doubts) for block in blocks for study in block.studies]
    assert found == [("a", ()), ("b", ()), ("c", ("last",))]


def test_each_block_is_told_as_done(tmp_path: Path) -> None:
    seen = list[Progress]()
    teller = Teller(seen.append, ["reading", "predicting"], unit="image")
    predict_blocks(Counting(), [["a"], ["b"]], tmp_path, teller)
    assert [each.done for each in seen] == [0, 1, 1, 2]
    assert {(each.studies, each.unit) for each in seen} == {(2, "image")}


def test_progress_grows_from_block_to_block_and_from_step_to_step() -> None:
    seen = list[Progress]()
    teller = Teller(seen.append, ["reading", "predicting"])
    for before, size in ((0, 2), (2, 1)):
        teller.begin(before, size, 3)
        teller.share(0.5, "half")
        teller.step(1)
    assert [each.done for each in seen] == pytest.approx([0, 0.5, 1, 2, 2.25, 2.5])
    assert [each.words for each in seen[:3]] == ["reading", "reading, half", "predicting"]


def interrupted_work(out: Path, key: str, found: set[str]) -> None:
    with unfinished(out, key) as folder:
        found |= {path.name for path in folder.iterdir()}
        (folder / "result").touch()
        (folder / ".writing-half").touch()
        raise KeyboardInterrupt


def failed_work(out: Path, blocks: int) -> None:
    with unfinished(out, "key") as folder:
        for number in range(blocks):
            keep(folder, number)
        raise DataError("a table")


def test_work_stays_after_an_interrupt_and_goes_with_another_key(tmp_path: Path) -> None:
    for key, expected in (("one", set()), ("one", {"result"}), ("two", set())):
        found = set[str]()
        with pytest.raises(KeyboardInterrupt):
            interrupted_work(tmp_path, key, found)
        assert found == {"key.txt"} | expected
    with unfinished(tmp_path, "two"):
        pass
    assert list(tmp_path.iterdir()) == []


def removed_work(out: Path) -> None:
    with unfinished(out, "key") as folder:
        keep(folder, 0)
        keep(folder, 1)


def test_work_whose_removal_was_killed_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def killed(folder: Path, **_: object) -> None:
        if folder.exists():
            remove(block_folder(folder, 1))
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            removed_work(tmp_path)
    with unfinished(tmp_path, "key") as folder:
        assert [path.name for path in folder.iterdir()] == ["key.txt"]


@pytest.mark.parametrize("blocks", [0, 1])
def test_after_an_error_only_whole_blocks_are_kept(blocks: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError):
        failed_work(out, blocks)
    assert (out / FOLDER).exists() == bool(blocks)


def test_key_changes_with_files_weights_and_what_else_counts(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_text("weights")

    def key(size: int, **uses: object) -> str:
        files = pl.DataFrame({"path": ["a"], "bytes": [size], "mtime_ns": [1]})
        code = ("lsdc.predict.blocks",)
        one = {"code": code, "libraries": ("polars",), "weights": [weights]}
        return work_key(tmp_path, files, uses=uses, **one)

    keys = [key(1), key(2), key(1, device="cpu"), key(1, device="cuda")]
    assert key(1) == keys[0]
    weights.write_text("others")
    keys.append(key(1))
    assert len(set(keys)) == len(keys)
