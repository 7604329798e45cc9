"""Privacy: no table, cache or log contains data of a file that identify a patient."""

import logging
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from pydicom.datadict import DicomDictionary

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.dicom_index.folder_index import catalog_tree, index_tree
from lsdc.dicom_index.index import Index, log_index
from lsdc.store.home import open_home
from tests.leaks import find_leaks

NAME = "MUSTERFRAU^ERIKA"
FOREIGN_NAME = "MÜLLER^JÖRG"
PATIENT_ID = "PATID-7731-X"
BIRTH_DATE = "19640812"
UID = "1.2.276.0.76.3.1.19640812.7731.4"
# Parts are searched as well, since a parser may split a value.
SECRETS = ["MUSTERFRAU", "ERIKA", "MÜLLER", "JÖRG", "7731-X", BIRTH_DATE, "1964-08-12", UID]

_LONG = {"OB", "OW", "SQ", "UC", "UN", "UR", "UT"}
# The planted value of each VR; numbers written as text (DS, IS) are garbled with one.
_PLANTED: dict[str, str] = {
    **dict.fromkeys(["LO", "SH", "LT", "ST", "UT", "UC", "UR", "CS", "AE", "AS"], PATIENT_ID),
    "PN": NAME,
    "DA": BIRTH_DATE,
    "DT": f"{BIRTH_DATE}101112",
    "TM": f"10{BIRTH_DATE}",
    "UI": UID,
    "DS": f"1.5\\{NAME}",
    "IS": f"7{PATIENT_ID}",
}
Elements = dict[int, tuple[str, bytes]]

_IMAGE: Elements = {
    0x00080005: ("CS", b"ISO_IR 192"),
    0x00180050: ("DS", b"4.0"),
    0x00185100: ("CS", b"HFS"),
    0x0020000D: ("UI", UID.encode()),
    0x0020000E: ("UI", f"{UID}.1".encode()),
    0x00200013: ("IS", b"7"),
    0x00200032: ("DS", b"1.0\\2.0\\3.0"),
    0x00200037: ("DS", b"1\\0\\0\\0\\1\\0"),
    0x00280002: ("US", struct.pack("<H", 1)),
    0x00280004: ("CS", b"MONOCHROME2"),
    0x00280010: ("US", struct.pack("<H", 16)),
    0x00280011: ("US", struct.pack("<H", 16)),
    0x00280030: ("DS", b"0.5\\0.5"),
    0x00280100: ("US", struct.pack("<H", 16)),
    0x00280101: ("US", struct.pack("<H", 12)),
    0x00280102: ("US", struct.pack("<H", 11)),
    0x00280103: ("US", struct.pack("<H", 0)),
    0x7FE00010: ("OW", bytes(512)),
}
# What only CT is asked for.
_CT: Elements = {
    0x00080018: ("UI", UID.encode()),
    0x00080060: ("CS", b"CT"),
    0x00100020: ("LO", PATIENT_ID.encode()),
    0x00281050: ("DS", b"36\\36"),
    0x00281051: ("DS", b"80\\80"),
    0x00281052: ("DS", b"-1024"),
    0x00281053: ("DS", b"1"),
}
# The text elements that the reader reads; each of them may be garbled.
_ASKED_FOR = [tag for tag, (vr, _) in (_IMAGE | _CT).items() if vr in _PLANTED] + [0x00280008]


def element(tag: int, vr: str, value: bytes, *, implicit: bool = False) -> bytes:
    """Return one element, padded to an even length."""
    value += b"\0" * (len(value) % 2) if vr in ("UI", "OB") else b" " * (len(value) % 2)
    group = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return group + struct.pack("<I", len(value)) + value
    if vr in _LONG:
        return group + vr.encode() + b"\0\0" + struct.pack("<I", len(value)) + value
    return group + vr.encode() + struct.pack("<H", len(value)) + value


def encode(elements: Elements, *, implicit: bool = False, meta: Elements | None = None) -> bytes:
    """Return a file with these elements."""
    syntax = b"1.2.840.10008.1.2" if implicit else b"1.2.840.10008.1.2.1"
    head: Elements = {
        0x00020002: ("UI", b"1.2.840.10008.5.1.4.1.1.4"),
        0x00020003: ("UI", UID.encode()),
        0x00020010: ("UI", syntax),
        0x00020013: ("SH", PATIENT_ID.encode()),
        0x00020016: ("AE", NAME.encode()),
        **(meta or {}),
    }
    group = b"".join(element(tag, *head[tag]) for tag in sorted(head))
    start = bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(group)))
    rest = (element(tag, *elements[tag], implicit=implicit) for tag in sorted(elements))
    return start + group + b"".join(rest)


def plant() -> Elements:
    """Return all text elements of the DICOM dictionary, and private ones, with planted values."""
    planted: Elements = {}
    for tag, (vr, *_) in DicomDictionary.items():
        if vr in _PLANTED and 0x00080000 <= tag < 0x7FE00000:
            planted[tag] = vr, _PLANTED[vr].encode()
    planted[0x00100010] = "PN", FOREIGN_NAME.encode()
    planted[0x00100030] = "DA", BIRTH_DATE.encode()
    item = element(0x00100010, "PN", NAME.encode()) + element(0x00100020, "LO", b"1964-08-12")
    nested = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item
    planted[0x00081120] = "SQ", nested
    for group in (0x0009, 0x0019, 0x0029):
        planted[group << 16 | 0x0010] = "LO", PATIENT_ID.encode()
        planted[group << 16 | 0x1001] = "PN", NAME.encode()
        planted[group << 16 | 0x1002] = "UN", FOREIGN_NAME.encode("utf-16-le")
        planted[group << 16 | 0x1003] = "OB", FOREIGN_NAME.encode("latin-1")
    return planted


_FEW = [0x00080020, 0x00100010, 0x00100020, 0x00100030, 0x00101000, 0x00091001, 0x00204000]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return files that identify a patient in every element: valid, garbled and broken."""
    root = tmp_path / "tree"
    root.mkdir()
    everything = plant()
    few = {tag: everything[tag] for tag in _FEW}
    long, short = everything | _IMAGE, few | _IMAGE
    files = {
        "long": encode(long),
        "long-implicit": encode(long, implicit=True),
        "short": encode(short),
        "short-implicit": encode(short, implicit=True),
        "ct": encode(short | _CT),
        "ct-implicit": encode(long | _CT, implicit=True),
        "all-garbled": encode(_IMAGE | everything),
        "frames": encode(short | {0x00280008: ("IS", PATIENT_ID.encode())}),
        "name-for-syntax": encode(short, meta={0x00020010: ("UI", NAME.encode())}),
        "uid-for-syntax": encode(short, meta={0x00020010: ("UI", UID.encode())}),
        "named-only": (NAME + PATIENT_ID).encode() * 100,
        "preamble": NAME.encode().ljust(128) + encode(short)[128:],
    }
    for tag in _ASKED_FOR:
        for kind in ("LO", "PN", "UI"):
            # With the maximum length of the tag, or more.
            vr = (_IMAGE | _CT).get(tag, ("IS", b""))[0]
            value = _PLANTED[kind].encode()
            image = short | _CT if tag in _CT else short
            files[f"garbled-{tag:08x}-{kind}"] = encode(image | {tag: (vr, value)})
            files[f"sequence-{tag:08x}-{kind}"] = encode(
                image | {tag: ("SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + value)}
            )
    for name in ("long", "short"):
        whole = files[name]
        for share in range(1, 12):
            files[f"{name}-cut-{share}"] = whole[: len(whole) * share // 12]
        for at in range(140, len(whole), len(whole) // 40):
            broken = bytearray(whole)
            broken[at : at + 4] = b"\xff\xff\xff\x7f"
            files[f"{name}-broken-{at}"] = bytes(broken)
    for name, content in files.items():
        (root / f"{name}.dcm").write_bytes(content)
    return root


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder for temporary files, also of children."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    tempfile.tempdir = None


def test_planted_files_identify_the_patient(tree: Path) -> None:
    for name in ("long", "short-implicit"):
        content = (tree / f"{name}.dcm").read_bytes()
        assert PATIENT_ID.encode() in content
        assert BIRTH_DATE.encode() in content
    assert len(plant()) > 2500
    assert find_leaks(SECRETS, folders=[tree], texts=[])


def test_index_stores_nothing_that_identifies_a_patient(
    tree: Path,
    tmp_path: Path,
    temporary: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, headers, home = (tmp_path / name for name in ("out", "headers", "home"))
    out.mkdir()
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):  # the second time with cached headers
            indexed = index_tree(tree, out, headers=headers)
        catalog_tree(tree, open_home(home), CATALOG)
        log_index(None, Index.load(out))
    assert indexed.files == len(list(tree.iterdir()))
    assert indexed.instances > 10
    assert indexed.quarantined > 50
    usable = pl.read_parquet(out / "instances.parquet")["path"].to_list()
    for name in ("long", "long-implicit", "short", "short-implicit", "preamble", "ct"):
        assert f"{tree}/{name}.dcm" in usable
    texts = [caplog.text, *capfd.readouterr()]
    assert "quarantined" in texts[0]
    assert find_leaks(SECRETS, folders=[out, headers, home, temporary], texts=texts) == []
