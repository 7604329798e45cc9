"""A competition's test folder with studies that lack something, or hold something else."""

import shutil
from pathlib import Path

import polars as pl
import pydicom

_TAGS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "EchoTime")
_FIRST_ID = 9_000_001


def write_hostile(data: Path, root: Path, *, damaged_tables: bool) -> dict[str, int]:
    """Write a test folder and return the id of each kind of study.

    The study `whole` is the last one of `data`; all others are made of it.

    Args:
        data: a competition with test studies.
        root: a new folder.
        damaged_tables: whether the table of the series cannot be read.
    """
    (root / "test_images").mkdir(parents=True)
    table = pl.read_csv(data / "test_series_descriptions.csv", infer_schema=False)
    sizes = table.group_by("study_id", maintain_order=True).len()
    whole = int(sizes.filter(pl.col("len") == sizes["len"].max())["study_id"][0])
    series = table.filter(study_id=str(whole))
    kinds = {"whole": whole}
    _copy(data, whole, root, whole)
    for kind, change in _CHANGES.items():
        kinds[kind] = _FIRST_ID + len(kinds)
        change(_copy(data, whole, root, kinds[kind]))
    kinds["no images"] = _FIRST_ID + len(kinds)
    listed = [series.with_columns(study_id=pl.lit(str(each))) for each in kinds.values()]
    pl.concat(listed).write_csv(root / "test_series_descriptions.csv")
    kinds["not listed"] = _FIRST_ID + len(kinds)
    if damaged_tables:
        (root / "test_series_descriptions.csv").write_bytes(b"\x00\xff\xfe not a table\n" * 9)
    sample = pl.read_csv(data / "sample_submission.csv", infer_schema=False)
    cells = sample.filter(pl.col("row_id").str.starts_with(f"{whole}_"))
    rows = [
        cells.with_columns(pl.col("row_id").str.replace(str(whole), str(each)))
        for each in kinds.values()
    ]
    strange = cells.head(2).with_columns(row_id=pl.Series(["spinal", f"{whole}_knee_l4_l5"]))
    pl.concat([*rows, strange]).write_csv(root / "sample_submission.csv")
    return kinds


def _copy(data: Path, study: int, root: Path, name: int) -> list[Path]:
    """Copy a study and return its series."""
    folder = root / "test_images" / str(name)
    shutil.copytree(data / "test_images" / str(study), folder)
    return sorted(folder.iterdir())


def _drop_series(series: list[Path]) -> None:
    for folder in series[1:]:
        shutil.rmtree(folder)


def _keep_one_slice(series: list[Path]) -> None:
    for folder in series:
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()


def _drop_tags(series: list[Path]) -> None:
    for path in _files(series):
        image = pydicom.dcmread(path)
        for tag in _TAGS:
            if tag in image:
                delattr(image, tag)
        image.save_as(path)


def _wrong_types(series: list[Path]) -> None:
    for number, path in enumerate(_files(series)):
        image = pydicom.dcmread(path)
        image.Rows, image.BitsAllocated = (60000, 16) if number % 2 else (1, 1)
        image.save_as(path)


def _cut_short(series: list[Path]) -> None:
    for path in _files(series):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def _empty(series: list[Path]) -> None:
    for path in _files(series):
        path.write_bytes(b"")


def _text(series: list[Path]) -> None:
    for path in _files(series):
        path.write_bytes(b"\x89PNG\r\n" + b"no image at all " * 40)


def _folders(series: list[Path]) -> None:
    for path in _files(series)[::2]:
        path.unlink()
        path.mkdir()


def _files(series: list[Path]) -> list[Path]:
    return [path for folder in series for path in sorted(folder.iterdir())]


_CHANGES = {
    "missing series": _drop_series,
    "one slice": _keep_one_slice,
    "no tags": _drop_tags,
    "wrong types": _wrong_types,
    "cut short": _cut_short,
    "empty": _empty,
    "text": _text,
    "folders": _folders,
}
