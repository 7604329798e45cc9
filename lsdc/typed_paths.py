"""Paths as they are typed: which folder they begin at, and what cannot be one."""

from pathlib import Path

from lsdc.errors import SettingsError

_OWN = "~"


def from_root(path: Path) -> Path:
    """A path as it was typed, from the root of the file system.

    `~` alone or before a slash is the user's own folder, as to a shell; other names are names.

    Raises:
        SettingsError: it holds bytes that are no UTF-8 text, which tables and Prefect cannot hold;
            or the user has no folder.
    """
    try:
        found = (path.expanduser() if _is_own(path) else path).absolute()
        str(found).encode()
        return found
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{path.absolute()}: a name in it is no UTF-8 text, expected one; rename it, or reach "
            "it by a link"
        ) from error
    except RuntimeError as error:
        raise SettingsError(f"{path}: there is no folder of your own here; set HOME") from error


def is_from_root(path: Path) -> bool:
    """Whether a path is the same wherever it is read: absolute, or from the user's own folder."""
    return path.is_absolute() or _is_own(path)


def _is_own(path: Path) -> bool:
    return path.parts[:1] == (_OWN,)
