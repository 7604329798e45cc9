"""Phantoms: every piece once, in whichever process; nothing left after an error."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from lsdc.errors import SettingsError
from lsdc.phantom import Pieces, new_folder, require_bounds, write_pieces, write_share


@dataclass(frozen=True)
class Letters:
    """A phantom of letters."""

    word: str
    repeat: int = 1

    @property
    def total(self) -> int:
        """The number of letters."""
        return len(self.word)


def write_letter(root: Path, order: Letters, number: int, letter: str) -> None:
    (root / f"{number}.txt").write_text(letter * order.repeat)


LETTERS = Pieces(Letters, lambda order: order.word, write_letter, "none")


def read(root: Path) -> list[str]:
    return [path.read_text() for path in sorted(root.glob("*.txt"))]


def test_pieces_are_written_once_each_and_counted(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_pieces(
        tmp_path, Letters("abc", 2), LETTERS, on_progress=lambda done, of: calls.append((done, of))
    )
    assert read(tmp_path) == ["aa", "bb", "cc"]
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_shares_of_processes_are_the_whole_and_report_their_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = Letters("abcde")
    job = {"root": str(tmp_path), "shares": 2, **asdict(order)}
    write_share(json.dumps({"share": 1, **job}), LETTERS)
    assert capsys.readouterr().out == "1\n3\n"
    assert read(tmp_path) == ["b", "d"]
    write_share(json.dumps({"share": 0, **job}), LETTERS)
    assert read(tmp_path) == list("abcde")


@pytest.mark.parametrize("exists", [False, True])
def test_folder_appears_once_it_is_complete(tmp_path: Path, *, exists: bool) -> None:
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    with new_folder(out) as unfinished:
        (unfinished / "a.txt").write_text("a")
        assert read(out) == []
    assert read(out) == ["a"]
    assert [*tmp_path.iterdir()] == [out]


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    def write() -> None:
        with new_folder(tmp_path / "out") as unfinished:
            (unfinished / "a.txt").write_text("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [*tmp_path.iterdir()] == []


def test_folder_with_files_or_a_file_is_refused_and_unchanged(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("keep me")
    for out in (tmp_path, mine):
        with pytest.raises(SettingsError, match="new or an empty folder"), new_folder(out):
            pass
    assert read(tmp_path) == ["keep me"]


def test_numbers_out_of_bounds_are_refused_by_name() -> None:
    require_bounds(Letters("abc", 3), {"total": (1, 3), "repeat": (3, 9)})
    with pytest.raises(SettingsError, match="phantom repeat: expected 4 to 9, got 3"):
        require_bounds(Letters("abc", 3), {"total": (1, 3), "repeat": (4, 9)})
