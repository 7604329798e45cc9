"""The search for leaks finds planted texts in every file format."""

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.leaks import find_leaks

NAME = "MÜLLER^JÖRG"
NUMBER = "19640812"


def parquet(path: Path) -> None:
    frame = pl.DataFrame({"text": [f"by {NAME} " * 50] * 2000, "number": [int(NUMBER)] * 2000})
    frame.write_parquet(path.with_suffix(".parquet"), compression="zstd")


def nested_parquet(path: Path) -> None:
    frame = pl.DataFrame({"all": [[{"name": NAME, "born": NUMBER}]] * 3})
    frame.write_parquet(path.with_suffix(".parquet"))


def duck(path: Path) -> None:
    with closing(duckdb.connect(str(path))) as database:
        database.execute("create table t as select ? as name, ? as born", [NAME, int(NUMBER)])


def sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table t (name text, born text)")
        database.execute("insert into t values (?, ?)", [NAME, NUMBER])
        database.commit()


def as_json(path: Path) -> None:
    path.write_text(json.dumps({"name": NAME, "born": NUMBER}))


def encoded(encoding: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(b"\0\1" + f"{NAME.lower()}, {NUMBER}".encode(encoding))


def zipped(path: Path) -> None:
    path.write_bytes(gzip.compress(f"{NAME} {NUMBER}".encode()))


FORMS = {
    "parquet": parquet,
    "nested parquet": nested_parquet,
    "duckdb": duck,
    "sqlite": sqlite,
    "json": as_json,
    "gzip": zipped,
    **{name: encoded(name) for name in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")},
}


@pytest.mark.parametrize("form", FORMS)
def test_text_is_found_in_every_file_format(tmp_path: Path, form: str) -> None:
    (tmp_path / "deeper").mkdir()
    FORMS[form](tmp_path / "deeper/file")
    for secret in (NAME, NUMBER):
        assert find_leaks([secret], folders=[tmp_path], texts=[]), secret
    assert find_leaks(["ERIKA", "19640813"], folders=[tmp_path], texts=[]) == []


def test_text_is_found_in_file_names_and_logs(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    assert len(find_leaks([NAME], folders=[tmp_path], texts=[])) == 1
    assert find_leaks([NAME], folders=[], texts=["nothing", f"read {NAME.lower()}"])
    assert find_leaks([NUMBER], folders=[tmp_path], texts=["nothing"]) == []
