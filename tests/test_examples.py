"""The examples in docstrings print what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = [
    path.relative_to(ROOT)
    for source in ("lsdc", "tasks")
    for path in sorted((ROOT / source).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_examples_print_what_they_show(path: Path) -> None:
    module = importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    examples = [each for test in doctest.DocTestFinder().find(module) for each in test.examples]
    assert len(examples) == (ROOT / path).read_text(encoding="utf-8").count(">>> ")
    assert doctest.testmod(module).failed == 0
