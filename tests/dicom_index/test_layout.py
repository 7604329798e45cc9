"""Layout: index and run find the same files for any folders from unpacking or exporting."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.dicom_index.folder_index import index_tree
from lsdc.dicom_index.index import Index
from lsdc.dicom_index.layout import Layout, layout_of
from lsdc.errors import DataError
from tests.dicom_index.indexing import build_index, write_slice, write_tables

KEY = ["study_id", "series_id", "instance_number", "series_description"]


def rename_files(ending: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for path in list((root / "train_images").rglob("*.dcm")):
            path.rename(path.with_suffix(ending))

    return change


def rename_folders(pattern: str, name: Callable[[str], str]) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for folder in sorted(root.glob(pattern)):
            folder.rename(folder.with_name(name(folder.name)))

    return change


def put_inside(pattern: str, name: str) -> Callable[[Path], None]:
    """Move the contents of each matching folder into a new folder inside it."""

    def change(root: Path) -> None:
        for folder in sorted(root.glob(pattern)):
            aside = folder.rename(folder.with_name("aside"))
            folder.mkdir()
            aside.rename(folder / name)

    return change


def link_images(root: Path) -> None:
    (root / "train_images").rename(root.parent / "elsewhere")
    (root / "train_images").symlink_to(root.parent / "elsewhere")


def unpack_in_a_folder(root: Path) -> None:
    (root / "rsna").mkdir()
    (root / "train_images").rename(root / "rsna/train_images")


CHANGES: dict[str, Callable[[Path], None]] = {
    "unchanged": rename_files(".dcm"),
    "no extension": rename_files(""),
    "capitals": rename_files(".DCM"),
    "ima": rename_files(".ima"),
    "zeros before a number": rename_folders("train_images/*/*/*.dcm", lambda name: f"00{name}"),
    "zeros before a study": rename_folders("train_images/*", lambda name: f"00{name}"),
    "zeros before a series": rename_folders("train_images/*/*", lambda name: f"0{name}"),
    "folders in capitals": rename_folders("train_images", str.upper),
    "unpacked twice": put_inside("train_images", "train_images"),
    "by part": put_inside("train_images", "part 1"),
    "by date": put_inside("train_images", "20240501"),
    "a folder in the study": put_inside("train_images/*", "DICOM"),
    "a folder in the series": put_inside("train_images/*/*", "DICOM"),
    "a number in the series": put_inside("train_images/*/*", "1"),
    "linked": link_images,
    "in an extra folder": unpack_in_a_folder,
}


def as_run(root: Path, out: Path) -> Index:
    out.mkdir()
    build_index(open_competition(root), "train", out)
    return Index.load(out)


def as_tree(root: Path, out: Path) -> Index:
    out.mkdir()
    index_tree(root, out, listing=open_competition(root))
    return Index.load(out)


@pytest.fixture(scope="module")
def expected(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return as_run(phantom, tmp_path_factory.mktemp("expected") / "out")


@pytest.mark.parametrize("name", CHANGES)
def test_run_and_tree_index_find_the_same_files(
    name: str, phantom: Path, expected: Index, tmp_path: Path
) -> None:
    root = tmp_path / "competition"
    root.mkdir()
    for path in phantom.glob("*.csv"):
        shutil.copy(path, root)
    shutil.copytree(phantom / "train_images", root / "train_images")
    CHANGES[name](root)
    run, tree = as_run(root, tmp_path / "run"), as_tree(root, tmp_path / "tree")
    for found in (run, tree):
        own = found.series.filter(split="train")
        assert own.select("images", "quarantined").equals(
            expected.series.select("images", "quarantined")
        )
        instances = found.instances.filter(split="train")
        assert instances.select(KEY).equals(expected.instances.select(KEY))
        assert len(found.quarantine) == len(expected.quarantine) == 3
    assert run.instances["path"].equals(tree.instances.filter(split="train")["path"])


@pytest.mark.parametrize("odd", [True, False])
def test_series_with_other_file_extensions_are_reported(
    odd: bool, phantom: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "competition"
    shutil.copytree(phantom, root)
    series = sorted((root / "train_images").glob("*/*"))[0]
    for path in list(series.iterdir()):
        path.rename(path.with_suffix(".DCM" if odd else ".dcm"))
    as_run(root, tmp_path / "out")
    said = [line for line in caplog.messages if "STUDY/SERIES/NUMBER.dcm" in line]
    assert len(said) == odd
    assert not odd or f" {series.parent.name}/{series.name}" in said[0]
    assert not odd or ": 1 series with other paths" in said[0]


def test_both_splits_may_contain_the_same_study(phantom: Path, tmp_path: Path) -> None:
    root = tmp_path / "competition"
    shutil.copytree(phantom, root)
    series = pl.read_csv(root / "train_series_descriptions.csv")
    study = series["study_id"][0]
    tested = root / "test_series_descriptions.csv"
    own = series.filter(study_id=study)
    pl.concat([pl.read_csv(tested), own]).write_csv(tested)
    (root / f"test_images/{study}").symlink_to(root / f"train_images/{study}")
    found = as_tree(root, tmp_path / "out")
    both = found.series.filter(study_id=study).group_by("split", maintain_order=True).agg("images")
    assert both["split"].to_list() == ["train", "test"]
    assert both["images"][0].equals(both["images"][1])
    assert both["images"][0].min() > 0


ids = st.integers(min_value=1, max_value=30)
listed_pairs = st.frozensets(st.tuples(ids, ids), min_size=1, max_size=6)
between = st.lists(st.sampled_from(["DICOM", "part", "a.b", "x1"]), max_size=2)


@given(listed=listed_pairs, data=st.data(), zeros=st.integers(0, 3))
def test_listed_series_is_found_below_any_other_folders(
    listed: frozenset[tuple[int, int]], data: st.DataObject, zeros: int
) -> None:
    layout = Layout({"/data/train_images": "train"}, {"train": listed})
    study, series = data.draw(st.sampled_from(sorted(listed)))
    names = ["/data/train_images", *data.draw(between), "0" * zeros + str(study)]
    names += [*data.draw(between), "0" * zeros + str(series), *data.draw(between)]
    assert layout.place("/".join(names)) == ("train", study, series)


@given(st.lists(st.sampled_from(["DICOM", "7", "007", "8", "x"]), max_size=5))
def test_without_tables_the_first_two_numbers_below_images_are_the_ids(names: list[str]) -> None:
    numbers = [int(name) for name in names if name.isdigit()]
    expected = ("test", *numbers[:2]) if len(numbers) > 1 else None
    assert layout_of(None).place("/".join(["/1/2/Test_Images", *names])) == expected
    assert layout_of(None).place("/".join(["/1/2/images", *names])) is None


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Return a function that makes listing a folder fail with an error number, for any user."""
    scandir, refused = os.scandir, dict[str, int]()

    def scan(folder: Any) -> Any:
        if number := refused.get(str(folder)):
            raise OSError(number, os.strerror(number), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    return lambda folder, number: refused.update({str(folder): number})


SERIES = [("100", "200", "Sagittal T1"), ("100", "300", "Axial T2")]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write_tables(root, SERIES)
    for study, series, _ in SERIES:
        write_slice(root / "train_images" / study / series / "1.dcm")
    return root


@pytest.mark.parametrize("closed", ["100", "100/200", "100/200/7"])
@pytest.mark.parametrize("index_images", [as_run, as_tree])
def test_unreadable_folder_of_a_listed_study_is_quarantined(
    closed: str,
    index_images: Callable[[Path, Path], Index],
    small: Path,
    tmp_path: Path,
    refusing: Callable[[Path, int], None],
) -> None:
    folder = small / "train_images" / closed
    folder.mkdir(exist_ok=True)
    refusing(folder, errno.EACCES)
    (row,) = index_images(small, tmp_path / "out").quarantine.iter_rows(named=True)
    assert (row["path"], row["study_id"]) == (str(folder), 100)
    assert row["series_id"] == (None if closed == "100" else 200)


@pytest.mark.parametrize("closed", ["train_images", "train_images/part"])
def test_unreadable_folder_that_may_hold_listed_studies_is_refused(
    closed: str, small: Path, tmp_path: Path, refusing: Callable[[Path, int], None]
) -> None:
    (small / "train_images/part").mkdir()
    refusing(small / closed, errno.EACCES)
    if closed.endswith("part"):
        as_run(small, tmp_path / "out")  # all listed series are found
        shutil.move(small / "train_images/100", tmp_path)
    with pytest.raises(DataError, match=f"{closed}: no permission to read.*, and 1 listed"):
        layout_of(open_competition(small)).study_folders("train", [100])


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("folder", ["", "train_images", "train_images/100", "train_images/100/200"])
def test_folder_with_a_transient_error_is_not_treated_as_empty(
    folder: str, number: int, small: Path, tmp_path: Path, refusing: Callable[[Path, int], None]
) -> None:
    refusing(small / folder, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        as_run(small, tmp_path / "out")
