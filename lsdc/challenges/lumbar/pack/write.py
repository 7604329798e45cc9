"""Put finished runs, or an ensemble, into a bundle."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.coordinates.learn import USUAL
from lsdc.challenges.lumbar.ensemble.fitted import FITTED
from lsdc.challenges.lumbar.pack.layout import (
    ENSEMBLE,
    KIND,
    POINTS,
    PackedEnsemble,
    PackedPointsRun,
)
from lsdc.challenges.lumbar.predict.models import (
    EnsembleModels,
    Models,
    TrainedModels,
    models_of_run,
)
from lsdc.challenges.lumbar.results import load_run
from lsdc.errors import SettingsError
from lsdc.messages import counted
from lsdc.pack import write
from lsdc.pack.layout import EXPERIMENT, PRIOR
from lsdc.pack.libraries import Image
from lsdc.pack.prior import write_prior
from lsdc.pack.write import Bundle, Content, Part, run_part, write_run
from lsdc.store.runs import stored_score
from lsdc.training.trained_fold import WEIGHTS

_CELL = ("condition", "level")


def write_bundle(
    home: Path, names: Sequence[str], out: Path, *, image: Image, wheels: bool = False
) -> Bundle:
    """Write a bundle that predicts test studies by the mean of some runs, or by an ensemble.

    Args:
        home: the home of the runs.
        names: the names of the runs; of an ensemble, its name alone.
        out: see `lsdc.pack.write.write_bundle`, as for the others.
        image: the machine that it is made for.
        wheels: whether to download libraries that this machine lacks.

    Raises:
        DataError: a run lacks something that predictions need, or `out` holds other files.
        SettingsError: a run does not exist, is named twice, predicts other rows than the first, or
            is an ensemble beside others.
        StageError: pip cannot download a wheel.
    """

    def put(made: Path) -> Content:
        return _put(home, names, made)

    return write.write_bundle(names, out, KIND, put, image=image, wheels=wheels)


def _put(home: Path, names: Sequence[str], made: Path) -> Content:
    """Put runs, or an ensemble with its members, into the folder of a bundle."""
    models, ensemble = _models_of(home, names)
    runs = [_write_run(home, each, made) for each in models]
    parts = [run_part(run) for run in runs]
    further = {}
    if ensemble is not None:
        further["ensemble"] = _write_ensemble(home, ensemble, made)
        parts.append(Part(ensemble.name, "ensemble of these", ENSEMBLE))
    parts.append(Part("level points", f"of {counted(len(runs), 'run')}", POINTS))
    needed = {library for each in models for library in each.experiment.libraries}
    return Content(runs, parts, further, unused=frozenset({"monai"} - needed))


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


def _write_run(home: Path, models: TrainedModels, made: Path) -> PackedPointsRun:
    points = made / POINTS / models.points.name
    if not points.is_dir():  # runs may share them: the name is a digest of the content
        points.mkdir(parents=True)
        for path in [models.points / USUAL, *sorted(models.points.glob("fold-*-*.safetensors"))]:
            shutil.copyfile(path, points / path.name)
    run = write_run(
        made,
        load_run(home, models.name).folder,
        experiment=models.experiment,
        prior=models.prior.select(*_CELL, *PROBABILITIES),
        folds=[*models.folds],
        weights={
            f"fold-{fold}/{WEIGHTS}": folder / WEIGHTS for fold, folder in models.folds.items()
        },
    )
    return PackedPointsRun(**run.model_dump(), points=models.points.name)


def _write_ensemble(home: Path, models: EnsembleModels, made: Path) -> PackedEnsemble:
    folder, run = made / ENSEMBLE, load_run(home, models.name)
    folder.mkdir()
    models.ensemble.save(folder / FITTED)
    (folder / EXPERIMENT).write_text(run.experiment.model_dump_json(indent=1), encoding="utf-8")
    write_prior(models.prior.select(*_CELL, *PROBABILITIES), folder / PRIOR)
    return PackedEnsemble(
        name=models.name,
        members={member: own.name for member, own in models.members.items()},
        score=stored_score(run.folder),
    )
