"""Write the reference of the Python API, docs/reference/python.md."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

import lsdc

_PAGE = """# Python
`import lsdc` gives notebooks and programs the runs of a home: scores, out-of-fold predictions,
crops and trained models. All public names are listed here; everything else may change without
notice. Tables are polars DataFrames, arrays are NumPy arrays. This page is generated from the
docstrings: `python -m docs.python_page > docs/reference/python.md`."""
_EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^(?!>>> |$).*\n?)*)+", re.MULTILINE)
_UNTESTED = re.compile(r" *# doctest: \+SKIP")


def python_page() -> str:
    """Return the page in Markdown."""
    about = _UNTESTED.sub("", griffe.load("lsdc", submodules=False).docstring.value)
    parts = [_PAGE, *(_as_code(found) for found in _EXAMPLE.finditer(about))]
    for name in sorted(name for name in lsdc.__all__ if not name.startswith("_")):
        file = Path(inspect.getfile(getattr(lsdc, name)))
        module = griffe.load(file.stem, search_paths=[file.parent], submodules=False)
        parts += _describe(module[name], f"lsdc.{name}", 2)
    return "\n\n".join(parts) + "\n"


def _describe(item: Any, name: str, depth: int) -> Iterator[str]:
    """Yield the paragraphs of a class, function or attribute, and those of a class's members."""
    yield f"{'#' * depth} {name}"
    if item.is_attribute:
        yield f"*{item.annotation}*".replace("[", "\\[")
    elif len(item.parameters) or item.is_function:
        signature = item.signature().replace("(self, ", "(").replace("(self)", "()")
        yield f"```python\n{signature}\n```"
    for section in item.docstring.parse("google"):
        yield from _paragraphs(section)
    for member in getattr(item, "members", {}).values() if item.is_class else ():
        if member.is_public and member.has_docstring:
            yield from _describe(member, f"{item.name}.{member.name}", depth + 1)


def _paragraphs(section: Any) -> Iterator[str]:
    if section.kind is griffe.DocstringSectionKind.text:
        yield _EXAMPLE.sub(_as_code, _UNTESTED.sub("", section.value))
        return
    heading = "Arguments" if section.kind.value == "parameters" else section.kind.value.capitalize()
    yield f"*{heading}*"
    lines = []
    for each in section.value:
        name = each.annotation if isinstance(each, griffe.DocstringRaise) else each.name
        lines.append(f"- `{name}`: {' '.join(each.description.split())}")
    yield "\n".join(lines)


def _as_code(example: re.Match[str]) -> str:
    return f"```python\n{example[0].rstrip()}\n```"


if __name__ == "__main__":
    sys.stdout.write(python_page())
