"""Twins: the same images under two ids are found by pixels, reported, and kept in one fold."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import RLELossless

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.folds import assign_folds, hold_out, write_folds
from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.dicom_index.folder_index import index_tree
from lsdc.dicom_index.index import Index
from lsdc.dicom_index.twins import Twins, describe_twins, groups_of_twins
from tests.dicom_index.indexing import build_index, write_slice


def write_series(
    folder: Path, study: int, series: int, *, seed: int, slices: int = 5, **tags: object
) -> None:
    """Write slices of random pixels, equal for equal seeds, one file per instance number."""
    rng = np.random.default_rng(seed)
    for n in range(1, slices + 1):
        pixels = rng.integers(0, 4096, (16, 16), dtype=np.uint16).tobytes()
        write_slice(
            folder / f"{study}/{series}/{n}.dcm",
            number=n,
            position=(0, 0, 4 * n),
            study=f"{study}",
            series=f"{study}.{series}",
            PixelData=pixels,
            **tags,
        )


def index_of(root: Path, out: Path) -> Index:
    out.mkdir(exist_ok=True)
    index_tree(root, out)
    return Index.load(out)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return two studies of two series each, at the same positions, with different images."""
    images = tmp_path / "train_images"
    for seed, (study, series) in enumerate([(1, 10), (1, 11), (2, 20), (2, 21)]):
        write_series(images, study, series, seed=seed)
    return images


def change_headers(folder: Path) -> None:
    """Anonymise again: change ids and dates, and the last decimals of the position."""
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.77", "2.25.78"
        dataset.PatientID, dataset.StudyDate = "ANONYMOUS", "19990101"
        dataset.ImagePositionPatient = [0.0004, -0.0004, dataset.ImagePositionPatient[2]]
        dataset.save_as(path)


def compress(folder: Path) -> None:
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        dataset.save_as(path)


def lose_half(folder: Path) -> None:
    for path in sorted(folder.rglob("*.dcm"))[:2]:
        path.unlink()


def renumber(folder: Path) -> None:
    for path in folder.rglob("*.dcm"):
        path.rename(path.with_name(f"9{path.name}"))


@pytest.mark.parametrize(
    ("change", "images"),
    [
        (lambda folder: None, 5),  # noqa: ARG005
        (change_headers, 5),
        (compress, 5),
        (renumber, 5),
        (lose_half, 3),
    ],
)
def test_study_with_a_second_id_is_found(
    change: object, images: int, tree: Path, tmp_path: Path
) -> None:
    shutil.copytree(tree / "1/10", tree / "3/30")
    change(tree / "3/30")  # type: ignore[operator]
    index = index_of(tree, tmp_path / "out")
    assert index.twins.rows() == [("train", 3, 30, "train", 1, 10, images)]
    assert describe_twins(index.twins) == ["3 = 1"]
    report = examine(None, index)
    assert report.finding("studies_with_the_same_images").count == 1
    assert report.finding("series_with_the_same_images").count == 0


def test_series_of_one_study_with_the_same_images_are_found(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "1/10", tree / "1/12")
    index = index_of(tree, tmp_path / "out")
    assert describe_twins(index.twins) == ["1/12 = 1/10"]
    assert groups_of_twins(index.twins, "train") == {}
    assert examine(None, index).finding("series_with_the_same_images").count == 1


def test_different_images_at_the_same_position_are_not_twins(tree: Path, tmp_path: Path) -> None:
    assert index_of(tree, tmp_path / "out").twins.is_empty()


def test_blank_images_are_not_twins(tmp_path: Path) -> None:
    for study in (1, 2):
        for n in range(1, 4):
            path = tmp_path / f"train_images/{study}/9/{n}.dcm"
            write_slice(path, number=n, position=(0, 0, n))
    assert index_of(tmp_path / "train_images", tmp_path / "out").twins.is_empty()


def test_phantom_has_no_twins(phantom: Path, tmp_path: Path) -> None:
    assert index_of(phantom, tmp_path / "out").twins.is_empty()


# Twins in a competition are reported and share a fold.

AGAIN, TESTED = 10**10, 10**10 + 1


@pytest.fixture
def doubled(phantom: Path, tmp_path: Path) -> Path:
    """Return the phantom with copies of its first training study in training and in test."""
    root = tmp_path / "competition"
    shutil.copytree(phantom, root)
    first = pl.read_csv(root / "train.csv")["study_id"].min()
    for name in ("train", "train_label_coordinates", "train_series_descriptions"):
        add_study(root / f"{name}.csv", root / f"{name}.csv", first, AGAIN)
    add_study(
        root / "train_series_descriptions.csv", root / "test_series_descriptions.csv", first, TESTED
    )
    shutil.copytree(root / f"train_images/{first}", root / f"train_images/{AGAIN}")
    shutil.copytree(root / f"train_images/{first}", root / f"test_images/{TESTED}")
    return root


def add_study(source: Path, table: Path, study: int, name: int) -> None:
    rows = pl.read_csv(source, infer_schema=False).filter(study_id=str(study))
    rows = rows.with_columns(study_id=pl.lit(str(name)))
    pl.concat([pl.read_csv(table, infer_schema=False), rows]).write_csv(table)


def test_twins_across_splits_are_reported_and_share_a_fold(
    doubled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    competition = open_competition(doubled)
    first = int(competition.labels.filter(pl.col("study_id") != AGAIN)["study_id"].min())
    train, test = tmp_path / "train", tmp_path / "test"
    for folder in (train, test):
        folder.mkdir()
    build_index(competition, "train", train)
    assert f"1 pair of ids with the same images: {AGAIN} = {first}" in caplog.text
    build_index(competition, "test", test, other_split=train)
    assert f"1 pair of ids with the same images: test {TESTED} = train {first}" in caplog.text
    index = Index.load(train)
    for seed in range(4):
        write_folds(
            competition.labels,
            index.studies,
            train,
            folds=3,
            seed=seed,
            strict=False,
            twins=index.twins,
        )
        dealt = dict(pl.read_parquet(train / "folds.parquet").iter_rows())
        assert dealt[AGAIN] == dealt[first]


studies = st.lists(st.integers(1, 10**9), min_size=6, max_size=20, unique=True)


@settings(deadline=None)  # the first example imports scikit-learn
@given(ids=studies, seed=st.integers(0, 9), data=st.data())
def test_twins_are_never_separated_and_other_folds_do_not_change(
    ids: list[int], seed: int, data: st.DataObject
) -> None:
    labels = pl.DataFrame(
        [(study, "spinal_canal_stenosis", "l1_l2", study % 3) for study in ids],
        schema={"study_id": pl.Int64, "condition": pl.String, "level": pl.String, "grade": pl.Int8},
        orient="row",
    )
    plain = assign_folds(labels, ids, 2, seed)
    assert assign_folds(labels, ids, 2, seed, {}).equals(plain)
    together = sorted(data.draw(st.sets(st.sampled_from(ids), min_size=2, max_size=3)))
    twins = dict.fromkeys(together, together[0])
    dealt = dict(assign_folds(labels, ids, 2, seed, twins).iter_rows())
    assert sorted(dealt) == sorted(ids)
    assert len({dealt[study] for study in together}) == 1
    held_out = set(hold_out(labels, ids, 0.5, seed, twins))
    assert len({study in held_out for study in together}) == 1


def pairs(*found: Sequence[int]) -> pl.DataFrame:
    rows = [("train", one, 1, "train", other, 2, 5) for one, other in found]
    return pl.DataFrame(rows, schema=pl.Schema(Twins), orient="row")


def test_twins_of_twins_are_one_group() -> None:
    found = pairs((5, 3), (7, 5), (9, 8), (4, 4))
    assert groups_of_twins(found, "train") == {3: 3, 5: 3, 7: 3, 8: 8, 9: 8}
    assert groups_of_twins(found, "test") == {}
