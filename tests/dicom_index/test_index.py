"""Index of the listed files of a split."""

import shutil
from pathlib import Path

import polars as pl
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.dicom_index import index
from lsdc.dicom_index.index import join_index, listed_series, read_shard
from lsdc.errors import DataError, StageError
from tests.dicom_index.indexing import NAMES, build_index


def test_every_listed_file_is_either_indexed_or_quarantined(phantom, walked) -> None:
    indexed = set(walked.table("instances")["path"])
    quarantined = set(walked.table("quarantine")["path"])
    files = {str(path) for path in (phantom / "train_images").rglob("*.dcm")}

    assert indexed | quarantined == files
    assert not indexed & quarantined


def test_quarantine_has_reasons(walked) -> None:
    reasons = " / ".join(walked.table("quarantine").sort("path")["reason"])
    assert walked.table("quarantine")["stage"].unique().to_list() == ["index"]
    assert "0 bytes" in reasons
    assert "not DICOM" in reasons
    assert "truncated" in reasons


def test_axial_stacks_are_distinguished_by_orientation(walked) -> None:
    series = walked.table("series")
    axial = series.filter(pl.col("series_description") == "Axial T2")
    sagittal = series.filter(pl.col("series_description") != "Axial T2")
    assert axial["orientation_groups"].max() == 5
    assert sagittal["orientation_groups"].max() == 1


def test_slices_have_distinct_positions_along_the_normal(walked) -> None:
    for _, stack in walked.table("instances").group_by("series_id", "orientation_group"):
        positions = stack["normal_position_mm"].sort()
        gaps = positions.diff().drop_nulls()
        assert (gaps > 0.5).all()


def test_limit_takes_the_first_studies(phantom: Path, tmp_path: Path) -> None:
    competition = open_competition(phantom)
    build_index(competition, "train", tmp_path, limit=2)
    first = competition.series.filter(split="train")["study_id"].unique(maintain_order=True)[:2]
    assert set(pl.read_parquet(tmp_path / "studies.parquet")["study_id"]) == set(first)


def test_study_without_images_is_listed_as_unusable(copy: Path, tmp_path: Path) -> None:
    competition = open_competition(copy)
    study = competition.series.filter(split="train")["study_id"].min()
    shutil.rmtree(copy / "train_images" / str(study))

    build_index(competition, "train", tmp_path)

    studies = pl.read_parquet(tmp_path / "studies.parquet")
    assert studies.filter(~pl.col("usable"))["study_id"].to_list() == [study]
    with pytest.raises(DataError, match=rf"1 study without a usable image: {study}; add"):
        build_index(competition, "train", tmp_path, strict=True)


def test_too_many_bad_files_stop_the_stage_with_the_commonest_reason(
    copy: Path, tmp_path: Path
) -> None:
    competition = open_competition(copy)
    for path in sorted((copy / "train_images").rglob("*.dcm"))[:12]:
        path.write_bytes(b"")
    with pytest.raises(StageError, match=r"index: 1\d of \d+ files.*0 bytes.*raise --max-bad"):
        build_index(competition, "train", tmp_path)

    build_index(competition, "train", tmp_path, max_bad=1.0)
    assert len(pl.read_parquet(tmp_path / "quarantine.parquet")) >= 12


def test_listing_without_any_image_file_is_refused(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "train_images")
    with pytest.raises(DataError, match=r"train_images: none of the \d+ listed series"):
        build_index(open_competition(copy), "train", tmp_path)


def test_second_file_with_the_same_instance_number_is_quarantined(
    copy: Path, tmp_path: Path
) -> None:
    original = next(path for path in sorted((copy / "train_images").rglob("1.dcm")))
    dataset = pydicom.dcmread(original)
    dataset.PixelData = dataset.pixel_array[::-1].tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(original.with_name("01.dcm"))
    build_index(open_competition(copy), "train", tmp_path)
    quarantine = pl.read_parquet(tmp_path / "quarantine.parquet")
    said = quarantine.filter(pl.col("path").str.ends_with("01.dcm"))["reason"].to_list()
    assert said == ["instance number 1 is repeated in the series"]


def test_test_split_without_files_is_accepted(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "test_images")
    assert build_index(open_competition(copy), "test", tmp_path) == 0
    assert not pl.read_parquet(tmp_path / "studies.parquet")["usable"].any()


@pytest.mark.parametrize("portions", [[1, 2, 3], [6], [0, 5, 0, 1]])
def test_index_in_shards_gives_the_same_bytes(
    portions: list[int], phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_ROW_GROUP_SIZE", 50)
    competition, whole = open_competition(phantom), tmp_path / "whole"
    whole.mkdir()
    rows = build_index(competition, "train", whole)
    listed = listed_series(competition, "train")
    shuffled = listed.sample(fraction=1, shuffle=True, seed=1)
    studies, shards = sorted(listed["study_id"].unique()), []
    for number, count in enumerate(portions):
        own, studies = studies[:count], studies[count:]
        shards.append(tmp_path / str(number))
        shards[-1].mkdir()
        read_shard(competition, "train", shuffled.filter(pl.col("study_id").is_in(own)), shards[-1])
    joined = join_index(shards, competition, "train", listed, tmp_path)
    assert joined == rows > 150
    for name in NAMES:
        path = f"{name}.parquet"
        assert (tmp_path / path).read_bytes() == (whole / path).read_bytes()


def test_bad_test_files_and_rows_stop_an_index_only_with_strict(
    copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (copy / "test_images").rglob("*.dcm"):
        path.write_bytes(b"")
    with (copy / "test_series_descriptions.csv").open("a") as table:
        table.write("5,6,Sagital T1\n")
    competition = open_competition(copy)
    build_index(competition, "test", tmp_path, max_bad=0.0)
    assert len(pl.read_parquet(tmp_path / "quarantine.parquet")) == 99
    assert (
        "skipped 1 invalid row of test_series_descriptions.csv: line 7 ('Sagital T1')"
        in caplog.text
    )
    with pytest.raises(DataError, match=r"test_series_descriptions\.csv: line 7 \('Sagital T1'"):
        build_index(competition, "test", tmp_path, strict=True)


def test_listed_series_without_a_file_is_reported(
    copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    competition = open_competition(copy)
    gone, broken = (
        competition.series.filter(split="train").select("study_id", "series_id")[:2].rows()
    )
    shutil.rmtree(copy / "train_images/{}/{}".format(*gone))
    for path in (copy / "train_images/{}/{}".format(*broken)).iterdir():
        path.write_bytes(b"")
    build_index(competition, "train", tmp_path, max_bad=1.0)
    said = caplog.text
    assert "2 listed series without a usable image: " in said
    assert "{}/{} (no file)".format(*gone) in said
    assert "{}/{} (".format(*broken) in said
