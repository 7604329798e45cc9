"""The libraries of a bundle: what its code imports, and what an image lacks."""

from importlib import metadata
from pathlib import Path

import pytest

from lsdc.errors import DataError, SettingsError
from lsdc.pack.libraries import (
    Image,
    check_python,
    kaggle_image,
    pinned,
    read_image,
    required_libraries,
    requirements_text,
)
from lsdc.store.fingerprint import source_files
from tests.flows.bundles import LIBRARIES, LIBRARIES_OF_LAYERS

WORKER = "lsdc.challenges.lumbar.pack.submit"
IN_3D = {"monai"}  # of 3-D encoders alone
CHILDREN = {
    "lumbar": ("coordinates/child.py", "training/predict_child.py"),
    "hemorrhage": ("training/predict_child.py",),
    "ink": ("inference/predict_child.py",),
}
OF_DICOM = {"lsdc/dicom/headers.py", "lsdc/dicom/pixels.py"}


@pytest.mark.parametrize("challenge", CHILDREN)
def test_the_worker_reaches_its_child_processes_and_nothing_that_trains(challenge: str) -> None:
    root, room = Path(__file__).parents[2], f"lsdc/challenges/{challenge}"
    sources = source_files([f"lsdc.challenges.{challenge}.pack.submit"])
    files = {path.relative_to(root).as_posix() for path in sources}
    assert {f"{room}/{child}" for child in CHILDREN[challenge]} <= files
    assert "lsdc/__init__.py" in files
    assert files & OF_DICOM == (set() if challenge == "ink" else OF_DICOM)
    above = ("lsdc/cli/", "tasks/", "flows/", f"{room}/st", f"{room}/training/train_")
    assert [path for path in files if path.startswith(above)] == []
    unused = () if challenge == "ink" else IN_3D
    libraries = {each.name for each in required_libraries(sources, without=unused)}
    assert libraries <= {*LIBRARIES, *LIBRARIES_OF_LAYERS}
    assert ("dicomsdl" in libraries) == (challenge != "ink")
    # Codecs are loaded by tifffile, by name.
    assert {"imagecodecs", "tifffile"} <= libraries or challenge != "ink"


def test_libraries_are_those_that_the_code_imports_in_the_versions_here() -> None:
    sources = source_files([WORKER])
    needed = pinned(required_libraries(sources, without=IN_3D))
    assert sorted(each.name for each in needed) == sorted(LIBRARIES)
    own = {each.name: metadata.version(each.name) for each in needed}
    same = Image("the same", "3.11", own)
    assert all(same.has(each) for each in needed)
    other = Image("other", "3.11", {"torch": "2.11.0+cu128", "numpy": "2.0.2", "polars": "1.35.2"})
    assert {each.name for each in needed if other.has(each)} == {"torch"}  # any that lsdc allows
    old = Image("old", "3.11", {**own, "torch": "1.13.0"})
    assert {each.name for each in needed if not old.has(each)} == {"torch"}
    text = requirements_text(needed, kaggle_image())
    assert f"numpy=={own['numpy']}  # 2.0.2\n" in text
    assert f"dicomsdl=={own['dicomsdl']}  # none\n" in text


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
