"""Files of a folder: whose each one is, and results that replace earlier ones as a whole."""

from pathlib import Path

import polars as pl

from lsdc.predict.files import folders_of, relative_to, tabulate_files
from lsdc.predict.results import CSV, JSON, PICTURES, replace_results

IDS = ("study_id", "series_id")


def test_each_file_is_listed_once_with_its_study_and_series() -> None:
    schema = {"study_id": pl.Int64, "series_id": pl.Int64, "path": pl.String}
    used = pl.DataFrame(
        [(7, 12, "b", None), (7, 12, "b", "images"), (7, 11, "c", None)],
        schema=schema | {"used_as": pl.String},
        orient="row",
    )
    rows = [(7, None, "a"), (None, None, "nobody")]
    bad = pl.DataFrame(rows, schema=schema, orient="row")
    assert tabulate_files(used, bad, {7: "007"}, IDS).rows() == [
        ("a", "007", None, None),
        ("b", "007", 12, "images"),
        ("c", "007", 11, None),
    ]


def test_files_are_named_below_the_folder_that_was_read(tmp_path: Path) -> None:
    names = ["x/2/b", "x/1/a", "y/c"]
    paths = [str(tmp_path / name) for name in names]
    files = pl.DataFrame({"study_id": ["one", "one", "two"], "path": paths})
    assert relative_to(tmp_path, files)["path"].to_list() == ["x/1/a", "x/2/b", "y/c"]
    assert folders_of(files, tmp_path) == {"one": "x", "two": "y"}


def test_results_replace_all_earlier_ones(tmp_path: Path) -> None:
    out, made = tmp_path / "out", tmp_path / "made"
    for folder in (out, made):
        folder.mkdir()
        (folder / JSON).write_text(folder.name)
    (out / PICTURES).mkdir()
    (out / PICTURES / "old.png").touch()
    (out / "other.txt").touch()
    (made / CSV).write_text("new")
    written = replace_results(made, out, (CSV, PICTURES, JSON))
    assert written == [out / CSV, out / JSON]
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        CSV: "new",
        JSON: "made",
        "other.txt": "",
    }
