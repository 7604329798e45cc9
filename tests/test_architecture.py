"""Common packages do not use terms of a challenge; sizes of packages, files and functions."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMON = [
    *(f"lsdc/{room}" for room in ("dicom", "dicom_index", "geometry", "jobs", "training", "store")),
    *("lsdc/experiments", "lsdc/tables", "lsdc/pack", "lsdc/predict", "lsdc/report"),
    *("lsdc/scoring", "tasks", "flows", "lsdc/phantom.py", "lsdc/shares.py"),
]
SOURCES = ["lsdc", "tasks", "flows", "deployments"]
MOST_FILES, MOST_LINES, MOST_LINES_OF_A_FUNCTION = 20, 400, 60
# Terms of the challenges. `level` is also used by logging and ast, `fragments` by pydicom, and
# `scroll` by browsers.
TERMS = re.compile(
    r"(?<![a-z])(levels?|sides?|spines?|spinal|lumbar|canals?|foram(en|ina\w*)|ha?emorrhag\w*|"
    r"\w+dural|subarachnoid|intra\w+al|bleeds?|skulls?|brains?|heads? ct|"
    r"inks?|inked|papyr(us|i)|fragments?|scrolls?)(?![a-z])"
)
OTHER_LIBRARIES = re.compile(
    r"\b(node|ours|logger)\.level\b|\bgenerate_fragments\b|\bscroll-padding\b|"
    r"addEventListener\(\"scroll\""
)


def find_terms(source: str) -> Iterator[str]:
    """Yield terms of the challenges in a module, as LINE: WORD."""
    for number, line in enumerate(source.splitlines(), 1):
        for found in TERMS.finditer(OTHER_LIBRARIES.sub("", line).lower()):
            yield f"{number}: {found[1]}"


@pytest.mark.parametrize("room", COMMON)
def test_common_packages_do_not_use_terms_of_the_challenges(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{word}"
        for path in [ROOT / room, *sorted((ROOT / room).rglob("*.*"))]
        if path.suffix in (".py", ".html", ".css", ".js")
        for word in find_terms(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_terms_of_the_challenges_are_found() -> None:
    assert list(find_terms("x = 1\n# of a side\ndef level_of(): ...\n")) == [
        "2: side",
        "3: level",
    ]
    assert list(find_terms("# epidural, of a brain\n")) == ["1: epidural", "1: brain"]
    assert list(find_terms("INK = 1\n# a scroll's fragments\n")) == [
        "1: ink",
        "2: scroll",
        "2: fragments",
    ]
    assert list(find_terms("inside = beside(outsider)\nif node.level: ...\n")) == []
    assert list(find_terms("link = shrink(thinking)\nscroller = fragmented\n")) == []


def test_no_package_has_too_many_files() -> None:
    rooms = {ROOT / source for source in SOURCES}
    rooms |= {path.parent for source in SOURCES for path in (ROOT / source).rglob("*.py")}
    full = {
        str(room.relative_to(ROOT)): count
        for room in rooms
        if (count := len([*room.glob("[!_]*.py")])) > MOST_FILES
    }
    assert full == {}


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for source in [*SOURCES, "benchmarks", "tests"]
        for path in (ROOT / source).rglob("*.py")
    }
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for source in [*SOURCES, "benchmarks"]
        for path in (ROOT / source).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert too_long == []


def test_every_module_has_a_docstring() -> None:
    for source in SOURCES:
        for path in (ROOT / source).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            tokens = tokenize.generate_tokens(io.StringIO(text).readline)
            first = next(
                token for token in tokens if token.type in (tokenize.STRING, tokenize.NAME)
            )
            assert first.type == tokenize.STRING, path
