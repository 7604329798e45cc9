"""Write a bundle: weights, settings, prior, code and libraries of finished runs, in one folder."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from lsdc import __version__
from lsdc.errors import DataError, SettingsError
from lsdc.messages import counted, few
from lsdc.pack import entry
from lsdc.pack.layout import (
    CODE,
    ENTRY,
    EXPERIMENT,
    FORM,
    MANIFEST,
    MODELS,
    NOTEBOOK,
    PRIOR,
    REQUIREMENTS,
    WHEELS,
    BundleManifest,
    Kind,
    PackedFile,
    PackedRun,
)
from lsdc.pack.libraries import (
    Image,
    download_wheels,
    own_versions,
    pinned,
    required_libraries,
    requirements_text,
    wheel_versions,
)
from lsdc.pack.notebook import notebook_text
from lsdc.pack.prior import write_prior
from lsdc.store.files import digest_file, write_folder
from lsdc.store.fingerprint import fingerprint_code, source_files
from lsdc.store.runs import read_record, stored_score

_PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Part:
    """A part of a bundle, as it is printed.

    Attributes:
        name: its name.
        content: what it is, in a few words.
        folder: its folder in the bundle.
    """

    name: str
    content: str
    folder: str


@dataclass(frozen=True)
class Content:
    """What a challenge has put into a bundle.

    Attributes:
        runs: the runs.
        parts: the folders of the runs, and others.
        further: other attributes of the manifest.
        unused: modules that these runs' models do not need, although the code imports them.
    """

    runs: Sequence[PackedRun]
    parts: Sequence[Part]
    further: Mapping[str, Any] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        folder: the folder.
        manifest: its manifest.
        parts: the parts that its challenge put into it.
        wheels: the version of each library that it brings.
        lacking: the libraries that the image lacks, or has in other versions, and that the bundle
            does not bring.
    """

    folder: Path
    manifest: BundleManifest
    parts: tuple[Part, ...]
    wheels: dict[str, str]
    lacking: tuple[str, ...]

    def bytes_of(self, part: str = "") -> int:
        """Return the size of a folder of the bundle, or of all its files."""
        inside = f"{part}/" if part else ""
        files = self.manifest.files.items()
        return sum(file.bytes for path, file in files if path.startswith(inside))


def write_bundle(
    names: Sequence[str],
    out: Path,
    kind: Kind,
    put: Callable[[Path], Content],
    *,
    image: Image,
    wheels: bool = False,
) -> Bundle:
    """Write a bundle of some runs.

    Args:
        names: the names of the runs.
        out: a new or empty folder, or an earlier bundle, which is replaced.
        kind: what all bundles of the challenge have in common.
        put: puts the runs into a folder.
        image: the machine that it is made for.
        wheels: whether to download the wheels of the libraries that this machine lacks, or has in
            other versions than this one.

    Raises:
        DataError: `out` holds other files; or as `put`.
        SettingsError: a run is named twice; or as `put`.
        StageError: pip cannot download a wheel.
    """
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{few(repeated)}: named twice, expected each run once")
    _require_free(out)
    with write_folder(out.absolute().parent) as work:
        made = work / "bundle"
        made.mkdir()
        content = put(made)
        sources = _write_code(kind.worker, made)
        needed = pinned(required_libraries(sources, without=content.unused))
        if wheels:
            download_wheels(needed, image, made / WHEELS)
        brought = wheel_versions(made / WHEELS)
        (made / FORM).write_text(kind.form.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (made / REQUIREMENTS).write_text(requirements_text(needed, image), encoding="utf-8")
        (made / NOTEBOOK).write_text(notebook_text(names, kind.competition), encoding="utf-8")
        manifest = kind.manifest(
            lsdc=__version__,
            worker=kind.worker,
            code=fingerprint_code([kind.worker]),
            image=image.name,
            python=image.python,
            libraries=own_versions(needed),
            runs=tuple(content.runs),
            files=_digests(made),
            **content.further,
        )
        (made / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        _put_in_place(made, out)
    lacking = tuple(
        each.name
        for each in needed
        if not image.has(each) and canonicalize_name(each.name) not in brought
    )
    return Bundle(out, manifest, tuple(content.parts), brought, lacking)


def write_run(
    made: Path,
    run: Path,
    *,
    experiment: BaseModel,
    prior: pl.DataFrame,
    folds: Sequence[int],
    weights: Mapping[str, Path],
) -> PackedRun:
    """Put the settings, the prior and the weights of a run into a bundle.

    Args:
        made: the folder of the bundle.
        run: the folder of the run in its home.
        experiment: the settings.
        prior: see `write_prior`.
        folds: the scored folds.
        weights: the file of each model, by its path in the run's folder in the bundle.
    """
    folder = made / MODELS / run.name
    folder.mkdir(parents=True)
    (folder / EXPERIMENT).write_text(experiment.model_dump_json(indent=1), encoding="utf-8")
    write_prior(prior, folder / PRIOR)
    for path, file in weights.items():
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / path)
    record = read_record(run)
    return PackedRun(
        name=run.name,
        folds=tuple(folds),
        score=stored_score(run),
        tables=None if record is None else record.tables,
        data="unknown" if record is None else record.data,
    )


def run_part(run: PackedRun) -> Part:
    """Return a run of a bundle as one of its parts."""
    return Part(run.name, counted(len(run.folds), "fold"), f"{MODELS}/{run.name}")


def _require_free(out: Path) -> None:
    """Refuse a folder that holds anything but a bundle.

    Raises:
        DataError: it does, or it is no folder.
    """
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).is_file()):
        raise DataError(
            f"{out}: holds other files, expected a new folder, or an earlier bundle, which is "
            "replaced; choose another --out"
        )


def _write_code(worker: str, made: Path) -> list[Path]:
    """Copy the modules that predict, and nothing else of lsdc; return the originals."""
    sources = source_files([worker])
    for path in sources:
        copy = made / CODE / path.relative_to(_PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    shutil.copyfile(Path(entry.__file__), made / ENTRY)
    return sources


def _digests(made: Path) -> dict[str, PackedFile]:
    return {
        path.relative_to(made).as_posix(): PackedFile(
            bytes=path.stat().st_size, sha256=digest_file(path)
        )
        for path in sorted(made.rglob("*"))
        if path.is_file()
    }


def _put_in_place(made: Path, out: Path) -> None:
    """Move a finished bundle into its place; an earlier one goes first."""
    if out.exists():
        out.rename(made.with_name("earlier"))  # deleted with the temporary folder
    made.rename(out)
