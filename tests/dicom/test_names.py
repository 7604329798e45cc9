"""Names: names and texts map one to one, and plain names are unchanged."""

import os
from pathlib import Path

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from lsdc.dicom.names import escape_name, unescape_name

names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


@given(names)
@example(b"caf\xc3\xa9.dcm")
@example(b"caf\xe9 \xff%E9%25%.dcm")
@example(b"\xed\xb2\x80")  # the UTF-8 of a lone surrogate, which is not allowed
@example(b"100%")
def test_escaped_name_can_be_unescaped(name: bytes) -> None:
    text = escape_name(name)
    assert unescape_name(text) == name
    assert escape_name(os.fsdecode(name)) == text
    assert text.encode() == pl.Series([text])[0].encode()  # valid UTF-8, as tables require


@given(names, names)
@example(b"%FF", b"\xff")
@example(b"%25FF", b"%FF")
def test_two_names_never_have_the_same_text(one: bytes, other: bytes) -> None:
    assert (escape_name(one) == escape_name(other)) == (one == other)


@given(st.text(st.characters(max_codepoint=0x7E, blacklist_characters="%\0"), min_size=1))
def test_plain_names_are_unchanged(name: str) -> None:
    assert escape_name(name) == name
    assert unescape_name(name) == name.encode()


@given(st.text(min_size=1).map(lambda text: text.replace("%", "").replace("\0", "")))
def test_letters_of_any_script_are_unchanged(name: str) -> None:
    if name.isprintable():
        assert escape_name(name) == name


@given(names)
def test_text_of_a_path_consists_of_the_texts_of_its_parts(name: bytes) -> None:
    parts = name.split(b"/")
    assert "/".join(map(escape_name, parts)) == escape_name(name)


def test_path_objects_are_escaped(tmp_path: Path) -> None:
    assert escape_name(tmp_path / "50%.dcm") == f"{escape_name(tmp_path)}/50%25.dcm"
