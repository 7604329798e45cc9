"""Sources: studies without tables are found, and their series are told and chosen."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.sources import ListedStudies, Studies, open_source
from lsdc.challenges.lumbar.scoring.prior import prior_table
from lsdc.errors import DataError
from lsdc.predict.workplace import Workplace
from lsdc.training.process import ignore
from tests.challenges.lumbar.predict.loose import (
    add_series,
    colour,
    described,
    halve,
    scatter,
    series_of,
    turn,
    with_tags,
    write_wrong_files,
)
from tests.dicom_index.indexing import build_index

Read = Callable[[Path], Studies]
T1, T2, AXIAL = "Sagittal T1", "Sagittal T2/STIR", "Axial T2"


@pytest.fixture
def read(phantom: Path, tmp_path: Path) -> Read:
    """Return a function that reads all studies below a folder, in one block.

    There are no models, so the tags have to tell the contrast.
    """
    labels = open_competition(phantom).labels
    models = TrainedModels(
        "none", EXPERIMENTS.load("demo"), {}, tmp_path / "none", prior_table(labels)
    )
    numbers = iter(range(100))

    def read_all(root: Path) -> Studies:
        work = tmp_path / f"work-{next(numbers)}"
        work.mkdir()
        at = Workplace(work, work / "log", "cpu", 1, ignore)
        source = open_source(
            root,
            models,
            at,
            studies_at_once=100,
            leave_out=work,
            may_be_empty=False,
            on_files=lambda _read, _files: None,
        )
        (block,) = source.blocks
        return source.read(block)

    return read_all


def kinds_of(studies: Studies) -> dict[str, list[str]]:
    """Return the kinds of the used series by the name of the study's folder below `loose`."""
    used = studies.instances.filter(pl.col("used_as").is_not_null()).with_columns(
        folder=pl.col("path").str.extract(r"/loose/([^/]*)/")
    )
    return {
        folder: sorted(own.unique("series_id")["used_as"].to_list())
        for (folder,), own in used.group_by("folder")
    }


def test_scattered_studies_have_the_kinds_of_the_tables(
    phantom: Path, read: Read, tmp_path: Path
) -> None:
    listed = described(phantom, "train") | described(phantom, "test")
    for number, study in enumerate(sorted(phantom.glob("*_images/*"))):
        scatter(study, tmp_path / "loose" / study.name, seed=number)
    found = read(tmp_path / "loose")
    assert len(found.ids) == len(listed) == 8
    assert kinds_of(found) == {study: sorted(own.values()) for study, own in listed.items()}
    assert {each.by for each in found.told} == {"tags"}
    assert len(found.quarantine) == 1  # the truncated file; without .dcm the others are no images
    truth = Path(shutil.copytree(phantom, tmp_path / "table"))
    (tmp_path / "index").mkdir()
    build_index(open_competition(truth), "train", tmp_path / "index", max_bad=1.0)
    images = pl.read_parquet(tmp_path / "index" / "instances.parquet")
    trained = found.instances.filter(pl.col("path").str.contains("|".join(listed)))
    place = ["row_spacing_mm", "column_spacing_mm", "rows", "columns", "used_as"]
    counted = images.group_by(place).len()
    assert counted.join(trained.group_by(place).len(), on=place, how="anti").is_empty()


@pytest.fixture
def several(phantom: Path, tmp_path: Path) -> Path:
    """Write a study with many further series, and files of wrong types."""
    listed = described(phantom, "test")
    name = next(study for study, own in listed.items() if set(own.values()) == {T1, T2, AXIAL})
    study, kinds = phantom / "test_images" / name, listed[name]
    out = tmp_path / "loose" / name
    scatter(study, out)
    t1, t2, axial = (series_of(study, kinds, kind) for kind in (T1, T2, AXIAL))
    add_series(t1, out, 1, halve)
    add_series(t2, out, 2, with_tags(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), every=3)
    add_series(t2, out, 3, with_tags(ImageType=["DERIVED", "SECONDARY", "MPR"]))
    add_series(t2, out, 4, with_tags(), every=100)
    add_series(axial, out, 5, with_tags(EchoTime=12, RepetitionTime=600))
    add_series(axial, out, 6, colour, every=8)
    add_series(t1, out, 7, turn)
    add_series(t1, out, 8, with_tags(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), every=5)
    return out


def test_further_series_are_left_out_with_the_reason(several: Path, read: Read) -> None:
    found = read(several)
    assert len(found.ids) == 1
    assert sorted(str(each.kind) for each in found.told if not each.left_out) == [AXIAL, T1, T2]
    reasons = sorted(each.left_out for each in found.told if each.left_out)
    for reason, words in zip(
        reasons,
        [
            "1 image, expected at least 3",
            "a second Sagittal T1; series",
            "a second Sagittal T2/STIR; series",
            "axial T1, which the models do not use",
            "coronal slices",
            "localizer, by ImageType",
        ],
        strict=True,
    ):
        assert reason.startswith(words)
    assert found.instances["used_as"].count() == sum(
        each.found.images for each in found.told if not each.left_out
    )
    assert found.quarantine["reason"].str.contains("RGB").sum() > 0
    assert "secondary capture" in found.others["what"].to_list()


def test_wrong_files_are_named_and_a_fifo_does_not_stop_it(
    several: Path, read: Read, tmp_path: Path
) -> None:
    whole = kinds_of(read(several.parent))
    image = next(path for path in several.rglob("*") if path.is_file())
    write_wrong_files(several.parent / "wrong", image)
    os.mkfifo(several.parent / "wrong" / "pipe.dcm")
    found = read(several.parent)
    assert kinds_of(found) == whole
    names = [path.rpartition("/")[2] for path in found.quarantine["path"]]
    assert {"cut.dcm", "empty.dcm", "text.dcm", "pipe.dcm"} <= set(names)
    others = {path.rpartition("/")[2] for path in found.others["path"]}
    assert {"zeros", "notes.txt"} <= others
    files = {path for path in several.parent.rglob("*") if not path.is_dir()}
    tables = (found.instances, found.quarantine, found.others)
    assert {Path(path) for table in tables for path in table["path"]} == files


def test_a_study_of_one_slice_has_no_series_to_use(
    phantom: Path, read: Read, tmp_path: Path
) -> None:
    image = next((phantom / "test_images").rglob("*.dcm"))
    (tmp_path / "loose").mkdir()
    shutil.copy(image, tmp_path / "loose" / "only")
    found = read(tmp_path / "loose")
    assert len(found.ids) == 1
    assert found.instances["used_as"].count() == 0
    assert [each.left_out for each in found.told] == ["1 image, expected at least 3 positions"]


def test_a_folder_without_dicom_files_is_refused(read: Read, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    with pytest.raises(DataError, match="none of 0 files below it is a readable DICOM file"):
        read(tmp_path / "loose")
    (tmp_path / "loose" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="none of 1 file below"):
        read(tmp_path / "loose")


def test_tables_are_read_as_by_a_run_without_those_of_training(
    phantom: Path, tmp_path: Path
) -> None:
    root = tmp_path / "competition"
    root.mkdir()
    shutil.copytree(phantom / "test_images", root / "test_images")
    shutil.copy(phantom / "test_series_descriptions.csv", root)
    at = Workplace(tmp_path, tmp_path / "log", "cpu", 1, ignore)
    models = TrainedModels("none", EXPERIMENTS.load("demo"), {}, tmp_path, pl.DataFrame())
    source = open_source(
        root,
        models,
        at,
        studies_at_once=1,
        leave_out=tmp_path,
        may_be_empty=False,
        on_files=lambda *_: None,
    )
    assert isinstance(source, ListedStudies)
    read = [source.read(block) for block in source.blocks]
    competition = open_competition(phantom)
    (tmp_path / "index").mkdir()
    build_index(competition, "test", tmp_path / "index")
    expected = pl.read_parquet(tmp_path / "index" / "instances.parquet")
    found = pl.concat([each.instances for each in read])
    names = pl.col("path").str.extract(r"(test_images/.*)$")
    times = ["mtime_ns"]
    assert found.with_columns(names).drop(times).equals(expected.with_columns(names).drop(times))
