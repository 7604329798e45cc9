"""Fingerprints, which decide whether a stage's cached result is still valid.

Code is fingerprinted by its syntax tree, without docstrings, comments and layout, over all modules
of this project that a stage's module imports directly or indirectly, including imports inside
functions, modules named in strings (child processes are started so) and packaged TOML. The tree is
walked here, as the output of `ast.unparse` and `ast.dump` differs between Python versions.
"""

import ast
import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_ROOT = Path(__file__).parents[2]
_MODULE = re.compile(r"lsdc(\.[A-Za-z_][A-Za-z0-9_]*)*")
# Fields that do not change the program; `type_params` came with Python 3.12.
_IGNORED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores", "type_params"}

# Prefect caches no result if a task's key cannot be computed; see `parse_source`.
_PARSING, _PARSE_AGAIN = threading.Lock(), 10


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of named parts: JSON values, pydantic models, paths as text."""
    text = json.dumps(parts, sort_keys=True, default=_as_json, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def fingerprint_code(modules: Iterable[str]) -> str:
    """Return the SHA-256 of modules, the project's modules they import, and packaged TOML."""
    digests = {name: _module_digest(path) for name, path in sorted(_reachable(modules).items())}
    return fingerprint(digests)


def fingerprint_libraries(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution, or 'absent'."""
    return {name: _version(name) for name in sorted(distributions)}


def fingerprint_tree(root: Path) -> str:
    """Return the SHA-256 of path, size and mtime of all files under `root`, following symlinks."""
    digest = hashlib.sha256()
    for path, stat in sorted(_walk(os.fsencode(root)), key=lambda item: item[0]):
        digest.update(b"%s\0%d\0%d\n" % (path, stat.st_size, stat.st_mtime_ns))
    return digest.hexdigest()


def _walk(root: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    pending, seen = [root], set[tuple[int, int]]()
    while pending:
        folder = pending.pop()
        try:
            stat = os.stat(folder)  # noqa: PTH116 (paths are bytes here)
            entries = list(os.scandir(folder))
        except OSError:
            continue  # the index reports an unreadable folder, with the reason
        if (stat.st_dev, stat.st_ino) in seen:
            continue  # links may form a cycle
        seen.add((stat.st_dev, stat.st_ino))
        for entry in entries:
            if entry.is_dir():
                pending.append(entry.path)
            else:
                yield os.path.relpath(entry.path, root), _stat(entry)


def _stat(entry: "os.DirEntry[bytes]") -> os.stat_result:
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)  # a dangling link


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot fingerprint a {type(value).__name__}: {value!r}")


@cache
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _reachable(modules: Iterable[str]) -> dict[str, Path]:
    """Return the files, by name, of the modules and all project modules they import."""
    found: dict[str, Path] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        path = _module_path(name)
        if name in found or path is None or path == _ROOT / "lsdc" / "__init__.py":
            continue  # the last holds the version, and a release must not cause retraining
        found[name] = path
        pending.extend(_imports(path, name))
        if "." in name:
            pending.append(name.rpartition(".")[0])
    return found


def _module_path(name: str) -> Path | None:
    """Return a module's file, found by name: `importlib` would import its parents."""
    place = _ROOT.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None  # `from package.module import name`: the name is not a module


def _imports(path: Path, name: str) -> set[str]:
    """Return the names that a module imports: modules, and members that may be modules."""
    found: set[str] = set()
    for node in ast.walk(_parse(path, path.stat().st_mtime_ns)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # perhaps a module started as a child process, by name
    return {item for item in found if _MODULE.fullmatch(item)}


def _module_digest(path: Path) -> str:
    tree = _parse(path, path.stat().st_mtime_ns)
    parts = [repr(_normal_form(tree))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and str(node.value).endswith(".toml"):
            packaged = path.parent / str(node.value)
            parts += [packaged.read_text(encoding="utf-8")] if packaged.is_file() else []
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def _parse(path: Path, mtime_ns: int) -> ast.Module:  # noqa: ARG001 (an edit changes mtime_ns)
    return parse_source(path.read_bytes())


def parse_source(source: bytes) -> ast.Module:
    """Parse Python source, even while other threads parse.

    In CPython 3.11 up to 3.11.7 concurrent parses share a depth counter, and one may raise a
    SystemError: https://github.com/python/cpython/issues/106905. The source is not at fault, so
    it is parsed again.
    """
    for _ in range(_PARSE_AGAIN):
        with contextlib.suppress(SystemError), _PARSING:
            return ast.parse(source)
    with _PARSING:
        return ast.parse(source)


def _normal_form(node: Any) -> Any:
    """Return nested tuples of node names and values, without docstrings, equal on all Pythons."""
    if isinstance(node, ast.AST):
        fields = [
            (name, _normal_form(value))
            for name, value in ast.iter_fields(node)
            if name not in _IGNORED_FIELDS and value is not None and value != []
        ]
        return (type(node).__name__, *fields)
    if isinstance(node, list):
        return tuple(_normal_form(item) for item in node if not _is_bare_string(item))
    return repr(node)


def _is_bare_string(node: Any) -> bool:
    """Return whether a node is a docstring or another string statement."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
