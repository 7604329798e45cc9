"""Table of headers: one row per file; an invalid answer of a child affects only its files."""

import math
import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdc.dicom import header_table
from lsdc.dicom.frames import NO_NUMBER, HeaderBatch, unpack
from lsdc.dicom.header_table import BROKEN, HeaderBlock, Headers
from lsdc.dicom.headers import Format, Header
from lsdc.dicom.slots import NO_SLOT
from lsdc.dicom.supervisor import Failure, Read
from tests.dicom.reading import AXIAL, outcome_of

MISSING = Format(*[None] * len(Format._fields))
WIDE = AXIAL._replace(bits_stored=12, high_bit=11, series_id=2**63 - 1, number_of_frames=1)
CT = WIDE._replace(
    study_name="ID_0a1b2c3d4e",
    modality="CT",
    patient="0123456789abcdef",
    rescale_intercept=-1024.0,
    window_centers=(36.0, 36.0),
    window_widths=(80.0,),
)
ENHANCED = WIDE._replace(number_of_frames=2, frames=tuple(map(float, range(24))))
STATUS = (1234, 1_700_000_000_123_456_789)

numbers = st.floats(allow_nan=False, allow_infinity=False)
headers = st.builds(
    Header,
    st.sampled_from([MISSING, WIDE, WIDE._replace(photometric=None, rows=512), CT, ENHANCED]),
    st.none() | st.integers(-(2**32), 2**32),
    st.none() | st.tuples(numbers, numbers, numbers),
    st.none() | st.integers(0, 2**32 - 1),
)


def answer(*read: Header) -> Read:
    """Return the answer of a child about files, as the parent receives it."""
    batch = HeaderBatch()
    for header in read:
        batch.add(header, STATUS, NO_SLOT)
    frame = unpack(bytearray(b"".join(batch.rest())))
    assert frame is not None
    head, body = frame
    return Read(head["count"], head, body)


def rows_of(*parts: tuple[list[str], Read | Failure]) -> list[dict[str, Any]]:
    every = [name for names, _ in parts for name in names]
    block = HeaderBlock(pl.Series(every, dtype=pl.String))
    turn = 0
    for names, outcome in parts:
        block.add(np.arange(turn, turn + len(names)), outcome)
        turn += len(names)
    table = block.table()
    assert len(block) == len(table)
    assert table.schema == pl.Schema(Headers)
    return table.to_dicts()


@given(st.lists(st.lists(headers, min_size=1, max_size=5), min_size=1, max_size=4))
def test_headers_survive_the_table(batches: list[list[Header]]) -> None:
    turn = 0
    parts, expected = [], {}
    for batch in batches:
        names = [f"/{turn + i}.dcm" for i in range(len(batch))]
        turn += len(batch)
        parts.append((names, answer(*batch)))
        expected |= dict(zip(names, batch, strict=True))
    rows = rows_of(*parts)
    assert {row["path"]: outcome_of(row) for row in rows} == expected
    assert all((row["bytes"], row["mtime_ns"]) == STATUS for row in rows)
    assert all(row["lasting"] for row in rows)


def test_no_files_give_an_empty_table() -> None:
    assert rows_of() == []


def test_failure_is_a_row_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(b"12345")
    said = Failure("not DICOM", status=(5, 7))
    rows = rows_of(
        ([f"{path}"], answer(Header(WIDE, 1, None))),
        ([f"{path}"], said),
        ([f"{path}"], Failure("killed by SIGSEGV")),
        ([f"{path}"], Failure("no answer within 30 s", passing=True)),
    )
    reasons = [None, "not DICOM", "killed by SIGSEGV", "no answer within 30 s"]
    assert [row["reason"] for row in rows] == reasons
    # A status that was not known at reading is read now; the file may have changed since.
    status = path.stat().st_size, path.stat().st_mtime_ns
    seen = [(row["bytes"], row["mtime_ns"]) for row in rows]
    assert seen == [STATUS, (5, 7), status, status]
    assert [row["lasting"] for row in rows] == [True, True, False, False]


@pytest.mark.parametrize("name", ["gone.dcm", "a\0b.dcm"])
def test_file_without_a_status_is_a_row(tmp_path: Path, name: str) -> None:
    (row,) = rows_of(([f"{tmp_path}/{name}"], Failure("cannot be opened")))
    assert (row["bytes"], row["mtime_ns"], row["lasting"]) == (None, None, False)


def test_dangling_link_is_listed_with_its_own_size(tmp_path: Path) -> None:
    link = tmp_path / "caf\udce9"
    link.symlink_to("nowhere")
    (row,) = rows_of(([f"{tmp_path}/caf%E9"], Failure("cannot be opened")))
    assert (row["bytes"], row["lasting"]) == (len("nowhere"), False)
    assert row["mtime_ns"] == os.lstat(link).st_mtime_ns  # the name is not UTF-8


GOOD = answer(Header(WIDE, 1, (1.0, 2.0, 3.0)), Header(WIDE, 2, None))


def with_formats(*formats: Any) -> Read:
    return Read(2, {"count": 2, "formats": list(formats)}, GOOD.body)


def with_value(index: int, value: Any) -> Read:
    form: list[Any] = [list(v) if isinstance(v, tuple) else v for v in WIDE]
    form[index] = value
    return with_formats(form)


def with_code(code: int) -> Read:
    integers = array("q", [code, *STATUS, 1, 2, 0, *STATUS, NO_NUMBER, NO_NUMBER])
    return Read(2, GOOD.head, bytearray(integers.tobytes()) + GOOD.body[80:])


ORIENTATION = Format._fields.index("image_orientation")
WINDOWS = Format._fields.index("window_centers")
FRAMES = Format._fields.index("frames")
ECHO_TIME = Format._fields.index("echo_time")
PHOTOMETRIC = Format._fields.index("photometric")
NOISE = {
    "no formats": Read(2, {"count": 2}, GOOD.body),
    "formats that are not a list": Read(2, {"count": 2, "formats": {"0": 1}}, GOOD.body),
    "no format at all": with_formats(),
    "a body cut off": Read(2, GOOD.head, GOOD.body[:-1]),
    "a body too long": Read(2, GOOD.head, GOOD.body + b"\0" * 8),
    "an empty body": Read(2, GOOD.head, bytearray()),
    "a body of other files": Read(2, GOOD.head, answer(Header(WIDE, 1, None)).body),
    "a code below all": with_code(-1),
    "a code beyond all": with_code(1),
    "a huge code": with_code(2**62),
    "a format that is not a list": with_formats("DOE^JANE"),
    "a format cut off": with_formats(list(WIDE)[:-1]),
    "a format too long": with_formats([*WIDE, 1]),
    "a text for a number": with_value(0, "24"),
    "a truth for a number": with_value(0, True),
    "a fraction for a number": with_value(0, 24.5),
    "a text for a fraction": with_value(ECHO_TIME, "102.5"),
    "a number beyond 64 bits": with_value(0, 2**64),
    "a number for a text": with_value(PHOTOMETRIC, 1),
    "half a letter for a text": with_value(PHOTOMETRIC, "\ud800"),
    "a list for a text": with_value(PHOTOMETRIC, ["MONOCHROME2"]),
    "a list too short": with_value(ORIENTATION, [1.0] * 5),
    "a list of texts": with_value(ORIENTATION, ["1.0"] * 6),
    "a list with a hole": with_value(ORIENTATION, [1.0] * 5 + [None]),
    "no windows": with_value(WINDOWS, []),
    "a window of text": with_value(WINDOWS, ["40"]),
    "no frames": with_value(FRAMES, []),
    "half a frame": with_value(FRAMES, [1.0] * 6),
    "a frame of texts": with_value(FRAMES, ["1.0"] * 12),
    "a number for a list": with_value(ORIENTATION, 1.0),
}


@pytest.mark.parametrize("what", NOISE)
def test_invalid_answer_affects_only_its_own_files(tmp_path: Path, what: str) -> None:
    files = [tmp_path / f"{n}.dcm" for n in range(6)]
    for n, file in enumerate(files):
        file.write_bytes(bytes(n))
    names = [os.fspath(file) for file in files]
    rows = rows_of((names[:2], GOOD), (names[2:4], NOISE[what]), (names[4:], GOOD))
    by_name = {row["path"]: row for row in rows}
    assert len(rows) == len(by_name) == 6
    for name in names[2:4]:
        assert by_name[name]["reason"] == BROKEN
        assert not by_name[name]["lasting"]  # another child may succeed
        assert by_name[name]["bytes"] == names.index(name)
        assert by_name[name]["photometric"] is None
    for name in [*names[:2], *names[4:]]:
        assert by_name[name]["reason"] is None


def test_position_of_nan_is_missing() -> None:
    (row,) = rows_of((["/1.dcm"], answer(Header(WIDE, 1, (math.nan, 0.0, 0.0)))))
    assert row["position_mm"] is None


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the code of the reader, which `reading_version` reads."""
    here = Path(header_table.__file__).parent
    for path in here.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(header_table, "__file__", os.fspath(tmp_path / "header_table.py"))
    return tmp_path


def test_version_changes_with_the_code_of_the_reader(sources: Path) -> None:
    version = header_table.reading_version()
    assert header_table.reading_version() == version
    with (sources / "headers.py").open("a") as code:
        code.write("# A comment changes the version.\n")
    assert header_table.reading_version() != version


def test_version_changes_with_the_libraries_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    version = header_table.reading_version()
    monkeypatch.setattr(header_table, "_version", lambda _: "99")
    assert header_table.reading_version() != version
