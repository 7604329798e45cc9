"""Fingerprints of code, tested with edits of a copy of the project."""

import ast
import contextlib
import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lsdc
from lsdc.store.fingerprint import (
    fingerprint,
    fingerprint_code,
    fingerprint_tree,
    parse_source,
)

PROJECT = Path(lsdc.__file__).parent.parent
DIGESTS = """
import json, sys
from lsdc.store.fingerprint import fingerprint_code
print(json.dumps({name: fingerprint_code([name]) for name in sys.argv[1:]}))
"""
STAGES = [
    "lsdc.dicom_index.index",
    "lsdc.challenges.lumbar.crops.cut",
    "lsdc.challenges.lumbar.folds",
    "lsdc.challenges.lumbar.training.train_fold",
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "lsdc", root / "lsdc", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def digests(root: Path) -> dict[str, str]:
    output = subprocess.run(
        [sys.executable, "-P", "-c", DIGESTS, *STAGES],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        check=True,
    ).stdout
    found: dict[str, str] = json.loads(output)
    return found


def changed_by(root: Path, file: str, before: str, after: str) -> set[str]:
    """Return the stages whose digests an edit changes; the edit is undone."""
    path = root / file
    source = path.read_text()
    assert before in source
    unedited = digests(root)
    path.write_text(source.replace(before, after, 1))
    try:
        edited = digests(root)
    finally:
        path.write_text(source)
    return {name.rpartition(".")[2] for name in STAGES if edited[name] != unedited[name]}


def test_edit_in_geometry_changes_only_the_stages_that_use_it(copy: Path) -> None:
    edit = ("def normal_positions(", "TOLERANCE = 1\n\n\ndef normal_positions(")
    changed = changed_by(copy, "lsdc/geometry/planes.py", *edit)
    assert "index" in changed
    assert "folds" not in changed


def test_edit_of_slice_choice_changes_crops_but_not_index(copy: Path) -> None:
    edit = ("MISSING = -1", "MISSING = -2")
    assert changed_by(copy, "lsdc/challenges/lumbar/slices/stacks.py", *edit) == {"cut"}


def test_edit_of_a_child_module_changes_the_stage_that_starts_it(copy: Path) -> None:
    edit = ("import torch", "import torch\n\n_NEW = 1")
    assert changed_by(copy, "lsdc/training/models/model.py", *edit) == {"train_fold"}


def test_default_of_a_setting_changes_the_stages_that_use_the_experiment(copy: Path) -> None:
    edit = ("default=10, ge=1", "default=11, ge=1")
    changed = changed_by(copy, "lsdc/training/settings/training.py", *edit)
    assert changed == {"cut", "train_fold"}


def test_comments_docstrings_and_layout_change_nothing(copy: Path) -> None:
    for edit in [
        ("MISSING = -1", "# a remark\n\n\nMISSING   =   -1  # another"),
        ('"""Stacks: ', '"""Stacks, in other words: '),
    ]:
        assert changed_by(copy, "lsdc/challenges/lumbar/slices/stacks.py", *edit) == set()


def test_new_preset_changes_no_stage_that_uses_only_the_types(copy: Path) -> None:
    edit = ("[demo]", "[mine]\nbased_on = 'demo'\n\n[demo]")
    assert changed_by(copy, "lsdc/challenges/lumbar/config/presets.toml", *edit) == set()


@pytest.mark.parametrize(
    ("module", "file", "more"),
    [
        ("lsdc.challenges.lumbar.config.presets", "presets.toml", "\n[mine]\n"),
        ("lsdc.report.page", "page.js", "\n// more\n"),
        ("lsdc.report.page", "blocks.html", "<p>more</p>"),
    ],
)
def test_packaged_file_changes_the_module_that_reads_it(
    module: str, file: str, more: str, copy: Path
) -> None:
    path = copy.joinpath(*module.split(".")).with_name(file)
    source = path.read_text()
    command = [sys.executable, "-P", "-c", DIGESTS, module]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    before = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    path.write_text(source + more)
    after = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    path.write_text(source)
    assert before != after


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_fingerprint_is_the_same_on_other_pythons(version: str, tmp_path: Path) -> None:
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "--version"], check=False).returncode:
        pytest.skip(f"python{version} is not installed")
    source = PROJECT / "lsdc/store/fingerprint.py"
    script = tmp_path / "same.py"
    # Loaded by path: the other Python lacks the libraries that the package imports.
    script.write_text(
        "import sys, types, importlib.util, pathlib\n"
        "pydantic = types.ModuleType('pydantic'); pydantic.BaseModel = type('BaseModel', (), {})\n"
        "sys.modules['pydantic'] = pydantic\n"
        f"spec = importlib.util.spec_from_file_location('f', {str(source)!r})\n"
        "f = importlib.util.module_from_spec(spec); spec.loader.exec_module(f)\n"
        f"root = pathlib.Path({str(PROJECT)!r})\n"
        "for path in sorted(root.glob('lsdc/**/*.py')):\n"
        "    name = '.'.join(path.relative_to(root).with_suffix('').parts)\n"
        "    print(f.fingerprint_code([name]))\n"
    )
    here = subprocess.run([sys.executable, str(script)], capture_output=True, check=True)
    there = subprocess.run([python, str(script)], capture_output=True, check=True)
    assert here.stdout == there.stdout
    assert len(here.stdout.split()) > 20


def test_tree_fingerprint_depends_on_mtime_and_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "1.dcm"
    file.write_bytes(b"one")
    os.utime(file, ns=(0, 5))
    first = fingerprint_tree(tmp_path)
    assert fingerprint_tree(tmp_path) == first

    os.utime(file, ns=(0, 6))
    later = fingerprint_tree(tmp_path)
    file.rename(tmp_path / "a" / "2.dcm")
    assert len({first, later, fingerprint_tree(tmp_path)}) == 3


def test_fingerprint_does_not_depend_on_the_order_of_parts() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


def test_unknown_module_is_ignored() -> None:
    assert fingerprint_code(["lsdc.nowhere"]) == fingerprint_code([])


def test_tree_fingerprint_follows_links_even_if_circular(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "study").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "circle").symlink_to(root)
    before = fingerprint_tree(root)
    (tmp_path / "far" / "1.dcm").write_bytes(b"one")
    assert fingerprint_tree(root) != before


def test_threads_may_compute_fingerprints_concurrently() -> None:
    # A garbage collection during a parse may let another thread run, as it does here.
    script = (
        "import gc, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from lsdc.store.fingerprint import fingerprint_code\n"
        "gc.callbacks.append(lambda *_: time.sleep(0))\n"
        "gc.set_threshold(100)\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    found = set(pool.map(fingerprint_code, [['lsdc.challenges.lumbar.folds']] * 4))\n"
        "assert len(found) == 1\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script], cwd=PROJECT, check=True)


class ParsesWhenCollected:
    """An object that parses code when it is collected, like another thread during a parse."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        with contextlib.suppress(SystemError):
            ast.parse("1")


def test_parse_disturbed_by_another_parse_is_repeated() -> None:
    source = b"x = [" + b",".join([b"f(a + b * (c - d))"] * 50) + b"]"
    expected = ast.dump(ast.parse(source))
    before = gc.get_threshold()
    gc.set_threshold(50, 1, 1)
    try:
        for _ in range(100):
            ParsesWhenCollected()
            assert ast.dump(parse_source(source)) == expected
    finally:
        gc.set_threshold(*before)
