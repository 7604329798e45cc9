"""The libraries that the code of a bundle needs, and the wheels of those that an image lacks."""

import ast
import importlib.metadata
import platform
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from lsdc.errors import DataError, SettingsError, StageError
from lsdc.messages import few

_KAGGLE = Path(__file__).with_name("kaggle_image.toml")
# The shipped code imports the first only to open a home's catalog, which a bundle lacks, and the
# second only to fit what is fitted before it is packed.
_UNUSED = frozenset({"duckdb", "sklearn"})
# What a library loads by name: the codecs of compressed TIFF files.
_LOADED_BY = {"tifffile": "imagecodecs"}
# It fits the driver and the other libraries of its machine, and is too large to bring.
_OF_THE_MACHINE = frozenset({"torch"})
_NEWEST_GLIBC = 36


@dataclass(frozen=True)
class Image:
    """The machine that a bundle is made for.

    Attributes:
        name: its name, for messages.
        python: its version of Python, such as "3.12".
        libraries: the version of each library that it has, by canonical name.
    """

    name: str
    python: str
    libraries: Mapping[str, str]

    def has(self, requirement: Requirement) -> bool:
        """Return whether it has a version of a library that is allowed."""
        version = self.libraries.get(canonicalize_name(requirement.name))
        return version is not None and requirement.specifier.contains(version, prereleases=True)


def kaggle_image() -> Image:
    """Return the libraries of Kaggle's notebooks, as far as they are known."""
    table = tomllib.loads(_KAGGLE.read_text(encoding="utf-8"))
    libraries: dict[str, str] = {
        canonicalize_name(name): version for name, version in table["libraries"].items()
    }
    return Image(table["name"], table["python"], libraries)


def target_image(freeze: Path | None, python: str | None) -> Image:
    """Return the machine that a bundle is made for.

    Args:
        freeze: the output of `pip freeze` there; by default Kaggle's notebook.
        python: its version of Python; by default Kaggle's, or this one.
    """
    version = check_python(python) if python else None
    if freeze is None:
        kaggle = kaggle_image()
        return kaggle if version is None else replace(kaggle, python=version)
    return read_image(freeze, version or f"{sys.version_info.major}.{sys.version_info.minor}")


def read_image(freeze: Path, python: str) -> Image:
    """Read the output of `pip freeze`.

    Lines without a version, such as those of installations from a folder, are ignored.

    Raises:
        DataError: the file cannot be read, or no line has a version.
    """
    try:
        lines = freeze.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{freeze}: cannot be read ({error}), expected 'pip freeze'") from error
    libraries: dict[str, str] = {}
    for line in lines:
        name, sign, version = line.partition("#")[0].strip().partition("==")
        if sign and name and version:
            libraries[canonicalize_name(name.strip())] = version.strip()
    if not libraries:
        raise DataError(f"{freeze}: no line like numpy==2.0.2, expected the output of 'pip freeze'")
    return Image(str(freeze), python, libraries)


def required_libraries(files: Iterable[Path], *, without: Iterable[str] = ()) -> list[Requirement]:
    """Return the libraries that source files import, with the versions that lsdc allows.

    Args:
        files: the files.
        without: modules that are not needed, although a file imports them.
    """
    imported = {name for path in files if path.suffix == ".py" for name in _imported(path)}
    modules = imported | {_LOADED_BY[name] for name in imported & _LOADED_BY.keys()}
    provided = importlib.metadata.packages_distributions()
    needed = {
        canonicalize_name(distribution)
        for module in modules - sys.stdlib_module_names - _UNUSED - {*without}
        for distribution in provided.get(module, ())
    }
    declared = [Requirement(each) for each in importlib.metadata.requires("lsdc") or ()]
    own = {
        canonicalize_name(each.name): each
        for each in declared
        if canonicalize_name(each.name) in needed and (not each.marker or each.marker.evaluate())
    }
    return [own[name] for name in sorted(own)]


def _imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.partition(".")[0] for name in plain | named}


def own_versions(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Return the versions that are installed here."""
    return {each.name: importlib.metadata.version(each.name) for each in requirements}


def pinned(requirements: Iterable[Requirement]) -> list[Requirement]:
    """Return the libraries in the versions installed here, as lsdc was not tested with others.

    Of torch, which is a machine's own, all versions count that lsdc allows.
    """
    return [
        each if canonicalize_name(each.name) in _OF_THE_MACHINE else Requirement(_pinned(each))
        for each in requirements
    ]


def requirements_text(requirements: Sequence[Requirement], image: Image) -> str:
    """Return a requirements file, with the version that the image has of each library."""
    lines = [f"# The comments give the versions in {image.name}."]
    for each in requirements:
        there = image.libraries.get(canonicalize_name(each.name), "none")
        lines.append(f"{each.name}{each.specifier}  # {there}")
    return "\n".join(lines) + "\n"


def download_wheels(
    requirements: Sequence[Requirement], image: Image, folder: Path
) -> list[Requirement]:
    """Download the wheels of all libraries that an image lacks, and of what they need.

    Their versions are those installed here.

    Returns: the libraries that were downloaded.

    Raises:
        StageError: pip cannot download a wheel.
    """
    folder.mkdir()
    got: dict[str, Requirement] = {}
    lacking = [each for each in requirements if not image.has(each)]
    while lacking:
        _pip_download(lacking, image, folder)
        got |= {canonicalize_name(each.name): each for each in lacking}
        needed = {
            canonicalize_name(each.name): each
            for wheel in folder.glob("*.whl")
            for each in _needs(wheel, image)
        }
        lacking = [each for name, each in needed.items() if name not in got and not image.has(each)]
    return list(got.values())


def _pip_download(lacking: Sequence[Requirement], image: Image, folder: Path) -> None:
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, 4, -1)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--only-binary=:all:", "--python-version", image.python]
    command += ["--dest", str(folder), *(f"--platform={each}" for each in platforms)]
    command += [_pinned(each) for each in lacking]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise StageError(
            f"pip cannot download the wheels of {few([each.name for each in lacking])} for Python "
            f"{image.python} on {machine} ({last}); check the network, or pack without --wheels"
        )


def _pinned(requirement: Requirement) -> str:
    """Return a library with the version installed here; with the allowed ones if it is not."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name}{requirement.specifier}"
    return f"{requirement.name}=={version.partition('+')[0]}"


def _needs(wheel: Path, image: Image) -> list[Requirement]:
    """Return what a wheel needs on the image's Python."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode(errors="replace"))
    environment = {
        "python_version": image.python,
        "python_full_version": f"{image.python}.0",
        "extra": "",
    }
    needs = []
    for text in metadata.get_all("Requires-Dist") or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # pip refuses it as well
            continue
        if not requirement.marker or requirement.marker.evaluate(environment):
            needs.append(requirement)
    return needs


def wheel_versions(folder: Path) -> dict[str, str]:
    """Return the version of each library in a folder of wheels."""
    found = (parse_wheel_filename(path.name) for path in sorted(folder.glob("*.whl")))
    return {name: str(version) for name, version, *_ in found}


def check_python(version: str) -> str:
    """Return a version of Python like 3.12.

    Raises:
        SettingsError: it is none, or lsdc does not run with it.
    """
    major, _, minor = version.partition(".")
    if major != "3" or not minor.isdecimal() or int(minor) < 11:
        raise SettingsError(f"--python {version}: expected 3.11 or newer, such as 3.12")
    return version
