"""The libraries of a bundle: what its code imports, and what an image lacks."""

from pathlib import Path

import pytest

from lsdc.challenges.lumbar.pack.libraries import (
    Image,
    check_python,
    kaggle_image,
    read_image,
    required_libraries,
    requirements_text,
)
from lsdc.errors import DataError, SettingsError
from lsdc.store.fingerprint import source_files
from tests.flows.bundles import LIBRARIES

WORKER = "lsdc.challenges.lumbar.pack.submit"


def test_the_worker_reaches_its_child_processes_and_no_room_above() -> None:
    root = Path(__file__).parents[4]
    files = {path.relative_to(root).as_posix() for path in source_files([WORKER])}
    children = ("coordinates/child.py", "training/predict_child.py")
    assert {f"lsdc/challenges/lumbar/{child}" for child in children} <= files
    assert {"lsdc/__init__.py", "lsdc/dicom/headers.py", "lsdc/dicom/pixels.py"} <= files
    above = ("lsdc/cli/", "tasks/", "flows/", "lsdc/challenges/lumbar/st")
    assert [path for path in files if path.startswith(above)] == []


def test_libraries_are_those_that_the_code_imports_and_an_image_may_lack() -> None:
    needed = required_libraries(source_files([WORKER]))
    assert sorted(each.name for each in needed) == sorted(LIBRARIES)
    kaggle = kaggle_image()
    lacking = {each.name for each in needed if not kaggle.has(each)}
    assert {"dataframely", "dicomsdl"} <= lacking
    assert lacking.isdisjoint({"torch", "timm", "numpy", "polars"})
    old = Image("old", "3.11", {"torch": "1.13.0", "numpy": "2.0.2"})
    assert {each.name for each in needed if old.has(each)} == {"numpy"}
    text = requirements_text(needed, kaggle)
    assert "dicomsdl>=0.109.4  # " in text
    assert text.count(", none\n") == len([n for n in LIBRARIES if n not in kaggle.libraries])


def test_output_of_pip_freeze_is_read(tmp_path: Path) -> None:
    freeze = tmp_path / "freeze.txt"
    freeze.write_text(
        "# Kaggle\nTorch==2.11.0+cu128\ntyping_extensions==4.15.0\ncucim @ https://x/y.whl\n\n"
    )
    image = read_image(freeze, "3.12")
    assert image.libraries == {"torch": "2.11.0+cu128", "typing-extensions": "4.15.0"}
    freeze.write_text("torch @ file:///torch.whl\n")
    with pytest.raises(DataError, match="no line like numpy"):
        read_image(freeze, "3.12")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "none.txt", "3.12")


@pytest.mark.parametrize("version", ["3", "3.10", "2.7", "4.0", "3.x", "three"])
def test_a_python_that_lsdc_does_not_run_with_is_refused(version: str) -> None:
    assert check_python("3.12") == "3.12"
    with pytest.raises(SettingsError, match=r"expected 3\.11 or newer"):
        check_python(version)
