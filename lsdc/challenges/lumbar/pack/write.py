"""Write a bundle: weights, settings, prior, code and libraries of finished runs, in one folder."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from lsdc import __version__
from lsdc.challenges.lumbar.coordinates.learn import USUAL
from lsdc.challenges.lumbar.ensemble.fitted import FITTED
from lsdc.challenges.lumbar.pack import entry
from lsdc.challenges.lumbar.pack.layout import (
    CODE,
    ENSEMBLE,
    ENTRY,
    EXPERIMENT,
    MANIFEST,
    MODELS,
    NOTEBOOK,
    POINTS,
    PRIOR,
    REQUIREMENTS,
    WHEELS,
    BundleManifest,
    PackedEnsemble,
    PackedFile,
    PackedRun,
    write_prior,
)
from lsdc.challenges.lumbar.pack.libraries import (
    Image,
    download_wheels,
    own_versions,
    pinned,
    required_libraries,
    requirements_text,
    wheel_versions,
)
from lsdc.challenges.lumbar.pack.notebook import notebook_text
from lsdc.challenges.lumbar.predict.models import (
    EnsembleModels,
    Models,
    TrainedModels,
    models_of_run,
)
from lsdc.challenges.lumbar.results import load_run
from lsdc.errors import DataError, SettingsError
from lsdc.messages import few
from lsdc.store.files import digest_file, write_folder
from lsdc.store.fingerprint import fingerprint_code, source_files
from lsdc.store.runs import read_record, stored_score
from lsdc.training.trained_fold import WEIGHTS

_WORKER = "lsdc.challenges.lumbar.pack.submit"
_PROJECT = Path(__file__).parents[4]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        folder: the folder.
        manifest: its manifest.
        wheels: the version of each library that it brings.
        lacking: the libraries that the image lacks, or has in other versions, and that the bundle
            does not bring.
    """

    folder: Path
    manifest: BundleManifest
    wheels: dict[str, str]
    lacking: tuple[str, ...]

    def bytes_of(self, part: str = "") -> int:
        """Return the size of a folder of the bundle, or of all its files."""
        inside = f"{part}/" if part else ""
        files = self.manifest.files.items()
        return sum(file.bytes for path, file in files if path.startswith(inside))


def write_bundle(
    home: Path, names: Sequence[str], out: Path, *, image: Image, wheels: bool = False
) -> Bundle:
    """Write a bundle that predicts test studies by the mean of some runs, or by an ensemble.

    Args:
        home: the home of the runs.
        names: the names of the runs; of an ensemble, its name alone.
        out: a new or empty folder, or an earlier bundle, which is replaced.
        image: the machine that it is made for.
        wheels: whether to download the wheels of the libraries that this machine lacks, or has in
            other versions than this one.

    Raises:
        DataError: a run lacks something that predictions need, or `out` holds other files.
        SettingsError: a run does not exist, is named twice, predicts other rows than the first, or
            is an ensemble beside others.
        StageError: pip cannot download a wheel.
    """
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{few(repeated)}: named twice, expected each run once")
    _require_free(out)
    models, ensemble = _models_of(home, names)
    with write_folder(out.absolute().parent) as work:
        made = work / "bundle"
        made.mkdir()
        runs = tuple(_write_run(home, each, made) for each in models)
        packed = None if ensemble is None else _write_ensemble(home, ensemble, made)
        sources = _write_code(made)
        needed = pinned(required_libraries(sources))
        if wheels:
            download_wheels(needed, image, made / WHEELS)
        brought = wheel_versions(made / WHEELS)
        (made / REQUIREMENTS).write_text(requirements_text(needed, image), encoding="utf-8")
        (made / NOTEBOOK).write_text(notebook_text(names), encoding="utf-8")
        manifest = BundleManifest(
            lsdc=__version__,
            code=fingerprint_code([_WORKER]),
            image=image.name,
            python=image.python,
            libraries=own_versions(needed),
            runs=runs,
            ensemble=packed,
            files=_digests(made),
        )
        (made / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        _put(made, out)
    lacking = tuple(
        each.name
        for each in needed
        if not image.has(each) and canonicalize_name(each.name) not in brought
    )
    return Bundle(out, manifest, brought, lacking)


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


def _models_of(
    home: Path, names: Sequence[str]
) -> tuple[Sequence[TrainedModels], EnsembleModels | None]:
    """Return the models of runs, or of the members of an ensemble, and the ensemble.

    Raises:
        SettingsError: an ensemble is named beside others, or runs predict different rows.
    """
    found: list[Models] = [models_of_run(home, name) for name in names]
    own = [each for each in found if isinstance(each, TrainedModels)]
    ensembles = [each for each in found if isinstance(each, EnsembleModels)]
    if ensembles and len(found) > 1:
        raise SettingsError(
            f"{ensembles[0].name}: an ensemble, which is packed alone with its members, got "
            f"{', '.join(names)}; name it alone, or make an experiment with all of their members"
        )
    if ensembles:
        return ensembles[0].each, ensembles[0]
    _require_same_rows(own)
    return own, None


def _require_same_rows(models: Sequence[TrainedModels]) -> None:
    """Refuse runs that predict other rows than the first one: their mean is not defined.

    Raises:
        SettingsError: a run does.
    """
    first, *others = models
    for other in others:
        for what in ("conditions", "levels"):
            own, theirs = (set(getattr(each.experiment.labels, what)) for each in (first, other))
            if own != theirs:
                raise SettingsError(
                    f"{other.name}: predicts the {what} {', '.join(sorted(map(str, theirs)))}, but "
                    f"{first.name} predicts {', '.join(sorted(map(str, own)))}; pack runs that "
                    "predict the same rows"
                )


def _write_run(home: Path, models: TrainedModels, made: Path) -> PackedRun:
    folder = made / MODELS / models.name
    folder.mkdir(parents=True)
    (folder / EXPERIMENT).write_text(models.experiment.model_dump_json(indent=1), encoding="utf-8")
    write_prior(models.prior, folder / PRIOR)
    for fold, weights in models.folds.items():
        (folder / f"fold-{fold}").mkdir()
        shutil.copyfile(weights / WEIGHTS, folder / f"fold-{fold}" / WEIGHTS)
    points = made / POINTS / models.points.name
    if not points.is_dir():  # runs may share them: the name is a digest of the content
        points.mkdir(parents=True)
        for path in [models.points / USUAL, *sorted(models.points.glob("fold-*-*.safetensors"))]:
            shutil.copyfile(path, points / path.name)
    run = load_run(home, models.name).folder
    record = read_record(run)
    return PackedRun(
        name=models.name,
        folds=tuple(models.folds),
        points=models.points.name,
        score=stored_score(run),
        tables=None if record is None else record.tables,
        data="unknown" if record is None else record.data,
    )


def _write_ensemble(home: Path, models: EnsembleModels, made: Path) -> PackedEnsemble:
    folder, run = made / ENSEMBLE, load_run(home, models.name)
    folder.mkdir()
    models.ensemble.save(folder / FITTED)
    (folder / EXPERIMENT).write_text(run.experiment.model_dump_json(indent=1), encoding="utf-8")
    write_prior(models.prior, folder / PRIOR)
    return PackedEnsemble(
        name=models.name,
        members={member: own.name for member, own in models.members.items()},
        score=stored_score(run.folder),
    )


def _write_code(made: Path) -> list[Path]:
    """Copy the modules that predict, and nothing else of lsdc; return the originals."""
    sources = source_files([_WORKER])
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


def _put(made: Path, out: Path) -> None:
    """Move a finished bundle into its place; an earlier one goes first."""
    if out.exists():
        out.rename(made.with_name("earlier"))  # deleted with the temporary folder
    made.rename(out)
