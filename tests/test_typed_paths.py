"""A path is the same folder to whoever reads it, and what cannot be one is refused in a line."""

import os
from pathlib import Path

import pytest

from lsdc.errors import SettingsError
from lsdc.store.home import resolve_home
from lsdc.typed_paths import from_root, is_from_root


def test_a_path_is_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/of/mine")
    assert from_root(Path("~/a")) == Path("/of/mine/a")
    for name in ("~nobody", "a~", "$HOME", "s3:a", "-a"):
        assert from_root(Path(name)) == tmp_path / name
        assert resolve_home(Path(name)) == tmp_path / name
    with pytest.raises(SettingsError, match="a name that is not UTF-8") as caught:
        from_root(Path(os.fsdecode(b"a\xff")))
    assert "\n" not in str(caught.value)


def test_folder_that_we_are_in_is_part_of_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / os.fsdecode(b"a\xff")
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(SettingsError, match="a name that is not UTF-8"):
        from_root(Path("home"))
    assert from_root(tmp_path / "home") == tmp_path / "home"


def test_own_folder_counts_as_the_root_and_a_name_with_its_sign_does_not() -> None:
    assert all(is_from_root(Path(name)) for name in ("/a", "~", "~/a"))
    assert not any(is_from_root(Path(name)) for name in ("a", "~nobody", "~nobody/a", "a/~"))


def test_own_folder_of_nobody_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(SettingsError, match="~/a: your home folder is not known; set HOME"):
        from_root(Path("~/a"))
