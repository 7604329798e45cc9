"""The key of a stage covers the code that its function uses."""

import ast
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lsdc.challenges.registry import CHALLENGES
from lsdc.store.fingerprint import fingerprint_code, parse_source
from tasks.stage import Stage

# How results are stored, reported and resumed, which does not change their content.
AROUND_RESULTS = ("lsdc.store.", "lsdc.messages", "lsdc.errors", "lsdc.run_context")
ONLY_IN_MESSAGES = {"lsdc.challenges.lumbar.competition.tables"}  # it spells ids as the tables do
NOT_COVERED = {
    "lsdc.challenges.lumbar.stages.coordinates.learn_coordinates": ONLY_IN_MESSAGES,
    "lsdc.challenges.lumbar.stages.coordinates.locate_test": ONLY_IN_MESSAGES,
    # It tells which folders are read; their files are in the key.
    "lsdc.challenges.hemorrhage.stages.index.index_images": {
        "lsdc.challenges.hemorrhage.competition.tables"
    },
}


def all_stages() -> dict[str, Stage[Any, Any]]:
    """Return the stages of all challenges by the modules and names of their functions."""
    packages = [f"lsdc.challenges.{challenge.name}.stages" for challenge in CHALLENGES]
    modules = [
        import_module(f"{package}.{each.name}")
        for package in packages
        for each in pkgutil.iter_modules(import_module(package).__path__)
    ]
    found = [each for module in modules for each in vars(module).values()]
    stages = [each for each in found if isinstance(each, Stage)]
    return {f"{stage.fn.__module__}.{stage.fn.__name__}": stage for stage in stages}


STAGES = all_stages()


def used_modules(stage: Stage[Any, Any]) -> set[str]:
    """Return the modules that a stage's function uses, itself or by functions of its module."""
    tree = parse_source(Path(str(sys.modules[stage.fn.__module__].__file__)).read_bytes())
    module_of = dict(imported_names(tree))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    pending, names = [stage.fn.__name__], set[str]()
    while pending:
        name = pending.pop()
        if name in functions and name not in names:
            nodes = (node for part in functions[name].body for node in ast.walk(part))
            pending += [node.id for node in nodes if isinstance(node, ast.Name)]
        names.add(name)
    used = {module_of[name] for name in names & module_of.keys()}
    return {module for module in used if not module.startswith(AROUND_RESULTS)}


def imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each name that is imported from this project, with its module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lsdc."):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                module = inner if inner in sys.modules else str(node.module)
                yield alias.asname or alias.name, module


@pytest.mark.parametrize("name", STAGES)
def test_key_covers_the_modules_that_the_stage_uses(name: str) -> None:
    code = STAGES[name].code
    covered = fingerprint_code(code)
    used = used_modules(STAGES[name])
    assert used
    missing = {module for module in used if fingerprint_code([*code, module]) != covered}
    assert missing == NOT_COVERED.get(name, set())
