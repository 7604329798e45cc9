"""Paths as users type them: made absolute, and refused where unusable."""

from pathlib import Path

from lsdc.errors import SettingsError

_OWN = "~"


def from_root(path: Path) -> Path:
    """Return a typed path as an absolute path.

    `~` alone or before a slash is the user's home folder, as in a shell; `~NAME` is a plain name.

    Raises:
        SettingsError: the path is not UTF-8 text, which tables and Prefect require; or the user has
            no home folder.

    >>> from_root(Path("~/data")) == Path.home() / "data"
    True
    >>> from_root(Path("~lab/data")) == Path.cwd() / "~lab" / "data"
    True
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
    """Return whether a path does not depend on the current folder: absolute, or below `~`."""
    return path.is_absolute() or _is_own(path)


def _is_own(path: Path) -> bool:
    return path.parts[:1] == (_OWN,)
