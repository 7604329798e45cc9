"""Names of experiments and runs, which become folder names."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lsdc.errors import SettingsError

LONGEST = 100
_PART = 40  # characters of one part made from free text
_JOINED = 80  # characters of several such parts
BETWEEN = "@"  # in a run's name: EXPERIMENT or EXPERIMENT@DIFFERENCE
RULE = (
    "expected a letter or digit, then letters (a to z), digits, '.', '_' or '-', "
    f"at most {LONGEST} characters, not ending with '.'"
)

_SAFE = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9._-]{{0,{LONGEST - 2}}}[A-Za-z0-9_-])?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LOGS = {"children", "index", "prefect-server"}  # logs in a home's logs/ that belong to no run
# Windows treats these as devices, with any extension.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def require_name(name: str, where: str) -> None:
    """Require an experiment name that is one valid folder name on every file system.

    A run's log is named after its experiment, so the names of other logs are refused as well.

    Raises:
        SettingsError: the name is not valid; the message names the place and what is expected.
    """
    _require_folder(name, where)
    if name.casefold() in _LOGS:
        raise SettingsError(
            f"{where}: {name!r} is the name of another log in the home, {name}.log; choose another "
            "name"
        )


def _require_folder(name: str, where: str) -> None:
    if _DEVICES.fullmatch(name):
        raise SettingsError(
            f"{where}: {name!r} is a device name on Windows, not a folder; choose another name"
        )
    if not _SAFE.fullmatch(name):
        raise SettingsError(f"{where}: {_shown(name)} is not a valid folder name, {RULE}")


def require_run_name(name: str, where: str) -> None:
    """Require a valid run folder name: an experiment's name, optionally `@` and another name."""
    for part in name.split(BETWEEN, maxsplit=1):
        _require_folder(part, where)


def is_run_name(name: str) -> bool:
    """Return whether a name is valid for a run's folder."""
    return all(
        _SAFE.fullmatch(part) and not _DEVICES.fullmatch(part)
        for part in name.split(BETWEEN, maxsplit=1)
    )


def require_no_twins(names: Iterable[str], where: str) -> None:
    """Refuse names that differ in case alone: some file systems make one folder of them."""
    found: dict[str, str] = {}
    for name in names:
        if (twin := found.setdefault(name.casefold(), name)) != name:
            raise SettingsError(
                f"{where}: {name} and {twin} differ only in case, so some file systems put both "
                "in one folder; rename one"
            )


def as_name(text: str) -> str:
    """Return the text as part of a name, other characters replaced by dashes; may be empty.

    >>> as_name("training.epochs = 2")
    'training.epochs-2'
    """
    return _UNSAFE.sub("-", text).strip("._-")[:_PART].rstrip("._-")


def join_names(parts: Iterable[str]) -> str:
    """Join parts into one name for the end of a run's name; may be empty."""
    joined = "-".join(filter(None, parts))[:_JOINED].rstrip("._-")
    return f"of-{joined}" if _DEVICES.fullmatch(joined) else joined


def name_files(paths: Sequence[Path]) -> list[str]:
    """Return names of files: without folder and ending, unless two would be equal."""
    names = [path.stem for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _shown(name: str) -> str:
    return repr(name) if len(name) <= LONGEST else f"{name[:20]!r}... of {len(name)} characters"
