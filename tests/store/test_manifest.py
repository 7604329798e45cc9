"""Manifests: digests of results, and whether their files are intact."""

import os
from pathlib import Path

from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, make_manifest, store_folder


def settle_text(home: Path, text: str) -> Manifest:
    with write_folder(home / "crops") as out:
        (out / "crops.npy").write_text(text)
        return store_folder(home, "crops", out, rows=1)


def test_same_content_has_the_same_path_and_digest(tmp_path: Path) -> None:
    first, again = settle_text(tmp_path, "pixels"), settle_text(tmp_path, "pixels")
    assert (first.path, first.digest) == (again.path, again.digest)
    assert settle_text(tmp_path, "other pixels").digest != first.digest


def test_files_in_folders_of_a_result_are_a_part_of_it(tmp_path: Path) -> None:
    def store(text: str) -> Manifest:
        with write_folder(tmp_path / "crops") as out:
            (out / "inner").mkdir()
            (out / "inner/file.txt").write_text(text)
            return store_folder(tmp_path, "crops", out, rows=1)

    first = store("a")
    assert [record.name for record in first.files] == ["inner/file.txt"]
    assert store("b").digest != first.digest
    first.file(tmp_path, "inner/file.txt").unlink()
    assert not first.is_intact(tmp_path)


def test_damaged_copy_is_replaced(tmp_path: Path) -> None:
    manifest = settle_text(tmp_path, "pixels")
    manifest.file(tmp_path, "crops.npy").write_text("damage")

    again = settle_text(tmp_path, "pixels")

    assert again.is_intact(tmp_path)
    assert again.file(tmp_path, "crops.npy").read_text() == "pixels"


def test_manifest_detects_missing_and_changed_files(tmp_path: Path) -> None:
    manifest = settle_text(tmp_path, "pixels")
    path = manifest.file(tmp_path, "crops.npy")
    assert manifest.is_intact(tmp_path)

    stat = path.stat()
    path.write_text("pixelz")  # as long as before
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert not manifest.is_intact(tmp_path)

    path.unlink()
    assert not manifest.is_intact(tmp_path)


def test_touched_file_with_the_same_bytes_is_intact(tmp_path: Path) -> None:
    manifest = settle_text(tmp_path, "pixels")
    os.utime(manifest.file(tmp_path, "crops.npy"), ns=(0, 0))
    assert manifest.is_intact(tmp_path)


def test_home_may_move(tmp_path: Path) -> None:
    manifest = settle_text(tmp_path / "here", "pixels")
    (tmp_path / "here").rename(tmp_path / "there")
    assert manifest.is_intact(tmp_path / "there")


def test_only_named_files_are_in_the_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo"
    folder.mkdir(parents=True)
    (folder / "oof.parquet").write_text("rows")
    (folder / "notes.txt").write_text("mine")

    manifest = make_manifest(tmp_path, "oof", folder, rows=1, names=["oof.parquet"])
    (folder / "notes.txt").write_text("changed")

    assert [record.name for record in manifest.files] == ["oof.parquet"]
    assert manifest.is_intact(tmp_path)


def test_manifest_survives_json(tmp_path: Path) -> None:
    manifest = settle_text(tmp_path, "pixels")
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_files_without_their_notes_are_not_intact(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo" / "fold-0"
    folder.mkdir(parents=True)
    (folder / "oof.parquet").write_text("rows")
    (folder / "fit.json").write_text("made in 3 s")
    manifest = make_manifest(
        tmp_path, "train", folder, rows=1, names=["oof.parquet"], notes=["fit.json"]
    )
    (folder / "fit.json").write_text("made in 4 s")
    assert manifest.is_intact(tmp_path)
    (folder / "fit.json").unlink()
    assert not manifest.is_intact(tmp_path)
