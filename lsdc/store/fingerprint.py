"""Fingerprints, which decide whether a stage's cached result is still valid.

Code is fingerprinted by its syntax tree, without docstrings, comments and layout, over all modules
of this project that a stage's module imports directly or indirectly, including imports inside
functions, modules named in strings (child processes are started so) and packaged files. The tree is
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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_ROOT = Path(__file__).parents[2]
_PACKAGED = (".toml", ".html", ".css", ".js")  # files that a module may read from its folder
_MODULE = re.compile(r"lsdc(\.[A-Za-z_][A-Za-z0-9_]*)*")
# Fields that do not change the program; `type_params` came with Python 3.12.
_IGNORED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores", "type_params"}

# Prefect caches no result if a task's key cannot be computed; see `parse_source`.
_PARSING, _PARSE_AGAIN = threading.Lock(), 10


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of named parts: JSON values, pydantic models, paths as text.

    >>> fingerprint({"folds": 4, "seed": 0}) == fingerprint({"seed": 0, "folds": 4})
    True
    """
    text = json.dumps(parts, sort_keys=True, default=_as_json, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def fingerprint_code(modules: Iterable[str]) -> str:
    """Return the SHA-256 of modules, the project's modules they import, and packaged files."""
    return fingerprint({name: module.digest() for name, module in _reachable(modules).items()})


def source_files(modules: Iterable[str]) -> list[Path]:
    """Return the files of modules, of the project's modules they import, and packaged files.

    They are all that a copy of these modules needs of this project.
    """
    found = _reachable(modules)
    files = {path for name in (*found, "lsdc") if (path := _module_path(name)) is not None}
    packaged = {path for module in found.values() for path in module.files if path.is_file()}
    return sorted(files | packaged)


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


@dataclass(frozen=True)
class _Module:
    """What counts of a module's source.

    Attributes:
        text: its normal form, digested.
        imports: the names it imports: modules, and members that may be modules.
        files: packaged files that it names.
    """

    text: str
    imports: frozenset[str]
    files: tuple[Path, ...]

    def digest(self) -> str:
        texts = [path.read_text(encoding="utf-8") for path in self.files if path.is_file()]
        return hashlib.sha256("\0".join([self.text, *texts]).encode()).hexdigest()


def _reachable(modules: Iterable[str]) -> dict[str, _Module]:
    """Return the modules and all project modules that they import, by name."""
    found: dict[str, _Module] = {}
    pending, seen = list(modules), {"lsdc"}  # it holds the version; a release must not retrain
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _module_path(name)
        if path is None:
            continue
        found[name] = _read(path, name, path.stat().st_mtime_ns)
        pending.extend(found[name].imports)
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


@cache
def _read(path: Path, name: str, mtime_ns: int) -> _Module:  # noqa: ARG001 (an edit changes mtime_ns)
    nodes: list[ast.AST] = []
    normal_form = _normal_form(parse_source(path.read_bytes()), nodes)
    strings = {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # A module may be started as a child process, by name.
    imports = strings.union(*(_imports(node, path, name) for node in nodes))
    return _Module(
        text=hashlib.sha256(repr(normal_form).encode()).hexdigest(),
        imports=frozenset(item for item in imports if _MODULE.fullmatch(item)),
        files=tuple(path.parent / each for each in sorted(strings) if each.endswith(_PACKAGED)),
    )


def _imports(node: ast.AST, path: Path, name: str) -> set[str]:
    """Return the names that a statement of a module imports, with members."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    above = parts[: len(parts) - node.level + 1] if node.level else []
    base = ".".join([*above, node.module] if node.module else above)
    return {base, *(f"{base}.{alias.name}" for alias in node.names)}


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


def _normal_form(node: Any, nodes: list[ast.AST]) -> Any:
    """Return nested tuples of node names and values, without docstrings, equal on all Pythons.

    Appends each node to `nodes`: one walk, as all stages' code is read at each start.
    """
    if isinstance(node, ast.AST):
        nodes.append(node)
        fields = [
            (name, _normal_form(value, nodes))
            for name, value in ast.iter_fields(node)
            if name not in _IGNORED_FIELDS and value is not None and value != []
        ]
        return (type(node).__name__, *fields)
    if isinstance(node, list):
        return tuple(_normal_form(item, nodes) for item in node if not _is_bare_string(item))
    return repr(node)


def _is_bare_string(node: Any) -> bool:
    """Return whether a node is a docstring or another string statement."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
