"""Table files from other programs: they are read correctly, or refused with the reason."""

import csv
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.errors import DataError
from lsdc.tables.checked_csv import read_csv
from tests.challenges.lumbar.competition.small_tables import TABLES, refusal


def test_crlf_byte_order_mark_and_blank_lines_are_ignored(root: Path) -> None:
    before = open_competition(root).labels
    text = (root / "train.csv").read_text(encoding="utf-8").replace("\n", "\r\n") + "\r\n\r\n"
    (root / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert open_competition(root).labels.equals(before)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"study_id\n1,2,3\n", "no column"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "train.csv: is a PNG image"),
        (b"PK\x03\x04....", "an Excel workbook"),
        (b"caf\xe9\n", "line 1 holds the byte 0xE9"),
    ],
)
def test_file_that_is_not_a_table_is_refused_with_its_content_type(
    root: Path, content: bytes, said: str
) -> None:
    (root / "train.csv").write_bytes(content)
    assert said in refusal(root)


def as_csv(root: Path, name: str, change: Callable[[str], bytes]) -> None:
    (root / name).write_bytes(change((root / name).read_text(encoding="utf-8")))


def quoted(text: str) -> str:
    """Put quotes around each cell of a table."""
    return re.sub(r"[^,\n]+", r'"\g<0>"', text)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.encode("utf-16"), "is written in UTF-16, expected UTF-8"),
        (lambda text: text.encode("utf-16-le"), "is written in UTF-16, expected UTF-8"),
        (lambda text: text.encode("utf-16-be"), "is written in UTF-16, expected UTF-8"),
        (lambda text: text.encode("utf-32"), "is written in UTF-32, expected UTF-8"),
        (lambda text: (text + "é,").encode("latin-1"), "holds the byte 0xE9, which is not UTF-8"),
        (lambda text: text.encode() + bytes(300), "300 NUL bytes at the end, from line "),
        (lambda text: f"{text[:-3]}\0{text[-3:]}".encode(), "holds a NUL byte"),
        (lambda text: text.replace(",", ";").encode(), "separated by semicolons, expected commas"),
        (lambda text: text.replace(",", "\t").encode(), "separated by tabs, expected commas"),
        (lambda text: quoted(text).replace(",", ";").encode(), "separated by semicolons"),
        (lambda text: quoted(text).replace(",", "\t").encode(), "separated by tabs, expected"),
        (lambda text: f"sep=;\n{text}".replace(",", ";").encode(), "begins with 'sep=;', a line"),
        (lambda text: f"sep=,\n{text}".encode(), "begins with 'sep=,', a line for Excel"),
        (lambda text: text.encode("utf-32-le"), "is written in UTF-32, expected UTF-8"),
        (lambda text: text.encode("utf-32-be"), "is written in UTF-32, expected UTF-8"),
        (lambda text: text.rstrip().rsplit(",", 2)[0].encode(), ": the row is cut"),
        (lambda text: text.rstrip().encode() + b",,5\n", "expected the"),
        (lambda text: text.rstrip().encode() + b',"', "the quotes of the row in line"),
        (lambda text: text.replace(",", ",severe,severe,x,x,study_id,", 1).encode(), "twice"),
    ],
)
def test_wrong_encoding_or_separator_of_a_table_is_named(
    root: Path, name: str, change: Callable[[str], bytes], said: str
) -> None:
    as_csv(root, name, change)
    message = refusal(root)
    assert message.startswith(f"{root / name}: ")
    assert said in message


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "\r\n\r\n").encode("utf-8-sig"),
        lambda text: text.rstrip().encode(),
        lambda text: quoted(text).encode(),
    ],
)
def test_line_ends_and_quotes_do_not_change_tables(
    root: Path, name: str, change: Callable[[str], bytes]
) -> None:
    before = open_competition(root)
    as_csv(root, name, change)
    after = open_competition(root)
    assert after.labels.equals(before.labels)
    assert after.annotations.equals(before.annotations)
    assert after.series.equals(before.series)
    assert after.row_ids == before.row_ids


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_rows_of_wrong_length_are_refused(data: st.DataObject) -> None:
    """Any table is read as written, or refused at the first row of the wrong length."""
    cell = st.text('ab1é,;"\n \t', max_size=4).map(lambda text: text.strip() or "x")
    width = data.draw(st.integers(2, 4))
    rows = data.draw(st.lists(st.lists(cell, min_size=1, max_size=5), min_size=1, max_size=6))
    columns = [f"c{number}" for number in range(width)]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".csv") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
        file.flush()
        odd = [row for row in rows if len(row) != width]
        if not odd:
            read = read_csv(Path(file.name), columns)
            assert [list(row) for row in read.drop("line").iter_rows()] == rows
            return
        before = rows[: rows.index(odd[0])]
        line = 2 + sum(1 + "".join(row).count("\n") for row in before)
        with pytest.raises(DataError, match=f"line {line} has {len(odd[0])} "):
            read_csv(Path(file.name), columns)
