"""Plain CSV files are read as others are, only faster."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lsdc.errors import DataError
from lsdc.tables.checked_csv import read_csv
from lsdc.tables.plain_csv import read_plain

PLAIN = "ID,Label,Note\nID_b_any,1,\nID_a_any, 0 ,x\n"


def outcome(path: Path, content: bytes) -> tuple[list[str], list[tuple[object, ...]]] | str:
    path.write_bytes(content)
    try:
        table = read_csv(path, ["b", "a"], ["d", "c"])
    except DataError as error:
        return str(error)
    return table.columns, table.rows()


CELLS = st.text("x1 \t.", max_size=3)
LINES = [st.lists(CELLS, min_size=width, max_size=width).map(",".join) for width in (2, 3, 4)]
TABLES = [st.lists(lines, max_size=5).map("\n".join) for lines in LINES]


@given(
    st.sampled_from(["a,b\n", "a,b,c\n", "c,b,d,a\n", "b,a\r\n", "a,b,b\n", "a,c\n"]),
    st.one_of(*TABLES, st.text('x1, \t\n\r;"é\0', max_size=24)),
    st.booleans(),
)
@example("a,b\n", "1,2\n3,4", True)
@example("a,b\n", "\n1,2\n\n ,\n3,4\n\n", False)
@example("a,b,c\n", "1,2\n3,4,5,6\n", False)
@settings(max_examples=150, deadline=None)
def test_plain_file_is_read_like_one_with_a_quoted_header(
    header: str, rows: str, marked: bool
) -> None:
    """A quoted header makes a file not plain, and changes neither cells nor lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        mark = b"\xef\xbb\xbf" if marked else b""
        as_given = outcome(path, mark + (header + rows).encode())
        quoted = outcome(path, mark + (f'"{header[0]}"{header[1:]}{rows}').encode())
        assert as_given == quoted


def test_columns_are_returned_in_the_asked_order(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(PLAIN)
    found = read_plain(path, ["Label", "ID"], ["Gone", "Note"])
    assert found is not None
    assert found.columns == ["Label", "ID", "Note"]
    assert found.rows() == [("1", "ID_b_any", None), ("0", "ID_a_any", "x")]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace("x", '"x"'),
        PLAIN.replace("x", "é"),
        PLAIN.replace("x", "\0"),
        PLAIN.replace("x", "x,"),
        PLAIN.replace(",x", ""),
        PLAIN.replace("1,\n", "1\n").replace("x", "x,"),  # the commas are as many as they should be
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("Note", "Label"),
        PLAIN.replace("Label", "label"),
        "ID,Label,Note\n",
        "",
    ],
)
def test_other_files_are_left_to_the_strict_reader(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content, encoding="utf-8", newline="")
    assert read_plain(path, ["ID", "Label"]) is None


def test_missing_file_is_left_to_the_strict_reader(tmp_path: Path) -> None:
    assert read_plain(tmp_path / "none.csv", ["ID", "Label"]) is None
