"""Import our own `flows`, `tasks` and `deployments` where the user has packages of these names."""

import importlib.util
import os
import sys
from pathlib import Path

import lsdc

ROOMS = ("flows", "tasks", "deployments")


def come_first() -> None:
    """Put our packages first on the import path, here and in processes started here.

    Prefect projects often have a `flows` package or a `tasks.py`; if theirs came first, their code
    would be called instead of ours. Where there is no such conflict, the path stays as it is.
    """
    root = Path(lsdc.__file__).parents[1]
    for name in ROOMS:
        theirs = getattr(sys.modules.get(name), "__file__", None)
        if theirs is not None and not _is_ours(theirs, root / name):
            sys.exit(
                f"lsdc: {theirs} was imported as {name!r} before {root / name}, which lsdc needs; "
                "start lsdc in a separate process"
            )
    if all(_is_found(name, root / name) for name in ROOMS):
        return
    sys.path.insert(0, str(root))
    paths = (str(root), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def _is_found(name: str, ours: Path) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and _is_ours(spec.origin, ours)


def _is_ours(file: str, ours: Path) -> bool:
    return Path(file).resolve() == (ours / "__init__.py").resolve()
