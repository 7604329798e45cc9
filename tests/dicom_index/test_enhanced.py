"""Enhanced MR files give the same instances as classic slices with the same images."""

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.coordinates.views import AXIAL, SAGITTAL, prepare_views
from lsdc.dicom.names import unescape_name
from lsdc.dicom_index.folder_index import index_tree, refuse_bad_tree
from lsdc.dicom_index.index import Index, log_index
from lsdc.errors import StageError
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.dicom.enhanced import Planted, plant_frames, write_enhanced
from tests.dicom_index.indexing import index, read_tables

WHERE = ["position_mm", "orientation", "row_spacing_mm", "column_spacing_mm", "instance_number"]


def convert(folder: Path) -> None:
    """Convert the slices of a series, sorted by number, into one multi-frame file."""
    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    datasets.sort(key=lambda dataset: dataset.InstanceNumber)
    frames = [
        Planted(
            dataset.pixel_array,
            tuple(map(float, dataset.ImagePositionPatient)),
            tuple(map(float, dataset.ImageOrientationPatient)),
            tuple(map(float, dataset.PixelSpacing)),
            float(dataset.get("EchoTime", 0)),
            float(dataset.get("RescaleSlope", 1)),
            float(dataset.get("RescaleIntercept", 0)),
        )
        for dataset in datasets
    ]
    first = datasets[0]
    same = ("PhotometricInterpretation", "BitsStored", "HighBit")
    shutil.rmtree(folder)
    write_enhanced(
        folder / "1.dcm",
        frames,
        StudyInstanceUID=first.StudyInstanceUID,
        SeriesInstanceUID=first.SeriesInstanceUID,
        **{keyword: first[keyword].value for keyword in same},
    )


@pytest.fixture(scope="module")
def study(walked) -> int:
    """Return a study whose series are numbered from 1 and have images of one shape and format."""
    alike = ["rows", "columns", "photometric", "bits_stored"]
    good = (
        walked.table("instances")
        .group_by("study_id", "series_id")
        .agg(
            (pl.col("instance_number").sort() == pl.int_range(1, pl.len() + 1)).all().alias("one"),
            (pl.struct(alike).n_unique() == 1).alias("two"),
        )
        .group_by("study_id")
        .agg(good=(pl.col("one") & pl.col("two")).all(), series=pl.len())
        .filter(pl.col("good") & (pl.col("series") >= 3))
    )
    return int(good["study_id"].min())


def test_enhanced_study_gives_the_same_crops_and_views_as_classic_slices(
    walked, study: int, phantom: Path, tmp_path: Path
) -> None:
    root = tmp_path / "competition"
    shutil.copytree(phantom, root)
    for folder in (root / f"train_images/{study}").iterdir():
        convert(folder)
    index_tree(root, tmp_path, listing=open_competition(root))
    own = pl.col("study_id") == study
    classic = walked.table("instances").filter(own).sort("series_id", "instance_number")
    enhanced = read_tables(tmp_path)["instances"].filter(own).sort("series_id", "instance_number")
    assert enhanced["path"].n_unique() == enhanced["series_id"].n_unique()
    assert enhanced["frame"].to_list() == enhanced["instance_number"].to_list()
    assert classic.select(WHERE).equals(enhanced.select(WHERE))
    slices = walked.table("slices").filter(own)
    crops, views = [], []
    for name, instances in (("classic", classic), ("enhanced", enhanced)):
        out = tmp_path / name
        cut_crops(instances, slices, SlicesConfig(), CropsConfig(size_px=32), out)
        crops.append(np.load(out / "crops.npy"))
        for kinds in (SAGITTAL, AXIAL):
            images = out / "images.npy"
            prepare_views(
                instances, kinds, images, size=48, field_mm=200.0, processes=1,
                on_progress=lambda *_: None,
            )  # fmt: skip
            views.append(np.load(images))
    np.testing.assert_array_equal(*crops)
    assert crops[0].any()
    for one, other in zip(views[:2], views[2:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_multi_frame_file_counts_as_one_file_for_max_bad(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(10):
        (tmp_path / f"tree/{n}.dcm").parent.mkdir(exist_ok=True)
        (tmp_path / f"tree/{n}.dcm").write_bytes(bytes(4096))
    write_enhanced(tmp_path / "tree/good", plant_frames(20))
    index(tmp_path / "tree", tmp_path / "out")
    found = Index.load(tmp_path / "out")
    log_index(None, found)
    assert "10 of 11 files quarantined" in caplog.text
    with pytest.raises(StageError, match="10 of 11 files cannot be used"):
        refuse_bad_tree(found, None, max_bad=0.5)


def test_frames_without_a_position_affect_no_other_frames(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    path = write_enhanced(tree / "IM1", plant_frames(6))
    dataset = pydicom.dcmread(path)
    for number in (1, 4):
        del dataset.PerFrameFunctionalGroupsSequence[number].PlanePositionSequence
    dataset.save_as(path)
    out = tmp_path / "out"
    out.mkdir()
    indexed = index_tree(tree, out)
    tables = read_tables(out)
    assert (indexed.files, indexed.instances, indexed.quarantined) == (1, 4, 1)
    assert tables["instances"]["frame"].to_list() == [1, 3, 4, 6]
    assert tables["instances"]["instance_number"].is_unique().all()
    (row,) = tables["quarantine"].iter_rows(named=True)
    assert "no usable ImagePositionPatient" in row["reason"]
    assert unescape_name(row["path"]) == os.fsencode(path)


def test_single_frame_files_keep_their_instance_numbers(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number, frame in enumerate(plant_frames(5), start=11):
        write_enhanced(tree / f"IM{number}", [frame], InstanceNumber=number)
    out = tmp_path / "out"
    out.mkdir()
    index_tree(tree, out)
    instances = read_tables(out)["instances"]
    assert instances["instance_number"].to_list() == [11, 12, 13, 14, 15]
    assert instances["frame"].to_list() == [1] * 5
    assert instances["normal_position_mm"].to_list() == [0.0, 4.0, 8.0, 12.0, 16.0]
    assert instances["echo_time_ms"].to_list() == [102.5] * 5
