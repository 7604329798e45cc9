"""Table files from other programs: they are read correctly, or refused with the reason."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lsdc.challenges.hemorrhage.competition.tables import open_competition
from tests.challenges.hemorrhage.competition.small_tables import TABLES, TRAIN, refusal

PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"


def as_csv(root: Path, name: str, change: Callable[[str], bytes]) -> None:
    (root / name).write_bytes(change((root / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (PAGE, f"{TRAIN}: is a web page (HTML), expected UTF-8 text"),
        (b"\n\n" + PAGE.lower(), f"{TRAIN}: is a web page"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", f"{TRAIN}: is a PNG image"),
        (b"PK\x03\x04....", "a ZIP archive"),
        (b"caf\xe9\n", "line 1 contains the byte 0xE9"),
    ],
)
def test_file_that_is_not_a_table_is_refused_with_its_content(
    root: Path, content: bytes, said: str
) -> None:
    (root / TRAIN).write_bytes(content)
    assert said in refusal(root)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.encode("utf-16"), "is encoded in UTF-16, expected UTF-8"),
        (lambda text: (text + "é,").encode("latin-1"), "0xE9, which is not valid UTF-8"),
        (lambda text: text.encode() + bytes(300), "300 NUL bytes at the end, from line "),
        (lambda text: text.replace(",", ";").encode(), "separated by semicolons, expected commas"),
        (lambda text: text.replace(",", "\t").encode(), "separated by tabs, expected commas"),
        (lambda text: f"sep=,\n{text}".encode(), "the first line is 'sep=,', which only Excel"),
        (lambda text: text.rstrip().rsplit(",", 1)[0].encode(), ": the row is truncated"),
        (lambda text: text.rstrip().encode() + b",,5\n", " as in the header"),
        (lambda text: text.rstrip().encode() + b',"', "unbalanced quotes in the row"),
        (lambda text: text.replace("Label", "Label,ID", 1).encode(), "occurs twice"),
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
        lambda text: text.replace(",0", "\t, 0").encode(),
        lambda text: re.sub(r"[^,\n]+", r'"\g<0>"', text).encode(),
    ],
)
def test_line_ends_spaces_and_quotes_do_not_change_tables(
    root: Path, name: str, change: Callable[[str], bytes]
) -> None:
    before = open_competition(root)
    as_csv(root, name, change)
    after = open_competition(root)
    assert after.labels.equals(before.labels)
    assert after.row_ids.to_list() == before.row_ids.to_list()
