"""Combine tables of predictions and runs, given by their names, into one prediction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lsdc.challenges.lumbar.competition.tables import read_labels
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.assess import Assessment, assess
from lsdc.challenges.lumbar.ensemble.members import (
    Member,
    complete_folds,
    folds_of,
    labels_of,
    read_folds,
    read_member,
    read_run,
)
from lsdc.errors import SettingsError
from lsdc.names import name_files
from lsdc.store.files import write_atomic
from lsdc.store.home import Home


def read_members(names: Sequence[str], runs: Sequence[str], home: Home | None) -> list[Member]:
    """Read files and runs.

    Args:
        names: the names of runs, and the paths of files, each once.
        runs: those of them that are runs.
        home: the home of the runs.
    """
    files = [Path(each) for each in names if each not in runs]
    called = dict(zip(files, name_files(files), strict=True))
    read = []
    for each in names:
        if each in runs:
            assert home is not None
            read.append(read_run(home, each))
        else:
            path = Path(each)
            name = called[path]
            read.append(read_member(str(path) if name in runs else name, path))
    return read


def assess_members(
    members: Sequence[Member], config: EnsembleConfig, *, data: Path | None, folds: Path | None
) -> Assessment:
    """Combine members, and assess the ensemble and what each member adds.

    Args:
        members: the members.
        config: how they are combined.
        data: the folder with the labels; by default those of the runs.
        folds: a file with the folds of what is fitted; by default those of the members.
    """
    labels = labels_of(members, read_labels(data) if data is not None else None)
    split = folds_of(members, read_folds(folds) if folds is not None else None, str(folds))
    fitted_on = complete_folds(split, labels) if config.is_fitted else None
    return assess(config, members, labels, fitted_on)


def ensemble_config(settings: Mapping[str, Any]) -> EnsembleConfig:
    """Return the settings of an ensemble.

    Raises:
        SettingsError: a second level with weights.
    """
    try:
        return EnsembleConfig.model_validate(dict(settings))
    except ValidationError:
        raise SettingsError(
            "--second-level takes the place of the mean, so that it has no --weights: expected one "
            "of the two; leave the other out"
        ) from None


def write_predictions(result: Assessment, out: Path) -> None:
    """Write the ensemble's predictions to a CSV or Parquet file."""
    with write_atomic(out) as temporary:
        if out.suffix == ".csv":
            result.predictions.write_csv(temporary)
        else:
            result.predictions.write_parquet(temporary)
