"""Names that become folders: of experiments, and of their runs."""

import re
from collections.abc import Iterable

from lsdc.errors import SettingsError

LONGEST = 100
_PART = 40  # of what was somebody's text
_JOINED = 80  # of several such parts
BETWEEN = "@"  # a run's name is its experiment's, or that and what tells it from others
RULE = (
    "expected a letter or digit, then letters (a to z), digits, '.', '_' or '-', "
    f"{LONGEST} at most, the last no '.'"
)

_SAFE = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9._-]{{0,{LONGEST - 2}}}[A-Za-z0-9_-])?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LOGS = {"children", "index", "prefect-server"}  # in a home's logs/, beside a run's
# Windows takes these for devices, whatever comes after a dot.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def require_name(name: str, where: str) -> None:
    """Refuse a name of an experiment that is not the same folder on every file system, or none.

    A run's log has the name of its experiment, so those of other logs are refused as well.

    Raises:
        SettingsError: says where the name stands and what is expected.
    """
    _require_folder(name, where)
    if name.casefold() in _LOGS:
        raise SettingsError(
            f"{where}: {name!r} is what another log of a home is called, {name}.log; call it "
            "otherwise"
        )


def _require_folder(name: str, where: str) -> None:
    if _DEVICES.fullmatch(name):
        raise SettingsError(
            f"{where}: {name!r} names a device on Windows, not a folder; call it otherwise"
        )
    if not _SAFE.fullmatch(name):
        raise SettingsError(f"{where}: {_shown(name)} cannot name a folder: {RULE}")


def require_run_name(name: str, where: str) -> None:
    """Refuse what cannot be a run's folder: an experiment's name, perhaps `@` and another."""
    for part in name.split(BETWEEN, maxsplit=1):
        _require_folder(part, where)


def is_run_name(name: str) -> bool:
    """Whether a name can be that of a run's folder."""
    return all(
        _SAFE.fullmatch(part) and not _DEVICES.fullmatch(part)
        for part in name.split(BETWEEN, maxsplit=1)
    )


def require_no_twins(names: Iterable[str], where: str) -> None:
    """Refuse names that are one folder where upper and lower case are the same."""
    found: dict[str, str] = {}
    for name in names:
        if (twin := found.setdefault(name.casefold(), name)) != name:
            raise SettingsError(
                f"{where}: {name} and {twin} are one folder where case does not count; call one "
                "otherwise"
            )


def as_name(text: str) -> str:
    """The text as part of a name: what is not allowed becomes a dash; perhaps empty."""
    return _UNSAFE.sub("-", text).strip("._-")[:_PART].rstrip("._-")


def join_names(parts: Iterable[str]) -> str:
    """Parts of names as one that a run's may end with, and a number; perhaps empty."""
    joined = "-".join(filter(None, parts))[:_JOINED].rstrip("._-")
    return f"of-{joined}" if _DEVICES.fullmatch(joined) else joined


def _shown(name: str) -> str:
    return repr(name) if len(name) <= LONGEST else f"{name[:20]!r}... of {len(name)} characters"
