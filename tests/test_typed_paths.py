"""Typed paths are made absolute, and invalid ones are refused in one line."""

import os
from pathlib import Path

import pytest

from lsdc.errors import SettingsError
from lsdc.store.home import resolve_home
from lsdc.typed_paths import from_root, is_from_root


def test_path_is_interpreted_literally_except_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/of/mine")
    assert from_root(Path("~/a")) == Path("/of/mine/a")
    for name in ("~nobody", "a~", "$HOME", "s3:a", "-a"):
        assert from_root(Path(name)) == tmp_path / name
        assert resolve_home(Path(name)) == tmp_path / name
    with pytest.raises(SettingsError, match="a name that is not UTF-8") as caught:
        from_root(Path(os.fsdecode(b"a\xff")))
    assert "\n" not in str(caught.value)


def test_current_folder_with_an_invalid_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / os.fsdecode(b"a\xff")
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(SettingsError, match="a name that is not UTF-8"):
        from_root(Path("home"))
    assert from_root(tmp_path / "home") == tmp_path / "home"


def test_path_below_the_home_folder_is_absolute_but_not_tilde_name() -> None:
    assert all(is_from_root(Path(name)) for name in ("/a", "~", "~/a"))
    assert not any(is_from_root(Path(name)) for name in ("a", "~nobody", "~nobody/a", "a/~"))


def test_unknown_home_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(SettingsError, match="~/a: your home folder is not known; set HOME"):
        from_root(Path("~/a"))
