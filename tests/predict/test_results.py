"""Results replace earlier ones whole, whatever stops the replacement."""

from pathlib import Path

import pytest

from lsdc.predict.results import replace_results
from lsdc.predict.unfinished import FOLDER

NAMES = ["table.csv", "maps", "pictures", "all.json"]


def write_results(folder: Path, names: list[str], text: str) -> None:
    """Write results; those without a suffix are folders of one file, called as its text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / name
        if not path.suffix:
            path.mkdir()
            path /= text
        path.write_text(text)


def read_results(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file() and FOLDER not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Write earlier results, and the folder of new ones, without pictures."""
    made = tmp_path / FOLDER / "made"
    write_results(tmp_path, NAMES, "old")
    write_results(made, ["table.csv", "maps", "all.json"], "new")
    return made


NEW = {"table.csv": "new", "maps/new": "new", "all.json": "new"}


def test_results_replace_all_earlier_ones(made: Path, tmp_path: Path) -> None:
    found = replace_results(made, tmp_path, NAMES)
    assert found == [tmp_path / name for name in ("table.csv", "maps", "all.json")]
    assert read_results(tmp_path) == NEW


def test_after_a_kill_results_that_were_moved_stay(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if path.name == "all.json":
            raise KeyboardInterrupt
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_results(made, tmp_path, NAMES)
    (made / "table.csv").write_text("new")  # tables are written anew, maps are not
    replace_results(made, tmp_path, NAMES)
    assert read_results(tmp_path) == NEW
