"""Identity: what defines a run, the folder it gets, and the other runs' folders it depends on."""

import logging
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from lsdc.dicom.names import escape_name
from lsdc.errors import SettingsError, StageError
from lsdc.experiments.presets import build_experiment
from lsdc.experiments.settings import settings_of
from lsdc.store.experiment_lock import lock_experiment
from lsdc.store.files import digest_file
from lsdc.store.fingerprint import fingerprint
from lsdc.store.runs import RunRecord, list_runs, locked_run_folder, read_record
from lsdc.training.models.weights import find_weights
from lsdc.training.trained_fold import read_trained
from tasks.run import PHANTOM, TRAINING_CHANGES_NO_RESULT, Run

R = TypeVar("R", bound=Run)

log = logging.getLogger("lsdc.run")

_SPLIT = ("folds", "seed", "holdout", "limit")


@contextmanager
def locked_experiment(
    run: R, *, wait: bool = True, say: Callable[[str], None] = log.warning
) -> Iterator[R]:
    """Find or create the run's folder and lock it during the block; yield the run with its folder.

    Equal runs share it. A run whose data are elsewhere, or that tolerates more bad files, waits for
    them or is refused.
    """

    def lock_folder(name: str) -> AbstractContextManager[None]:
        return lock_experiment(run.home, name, run.settings, wait=wait, say=say)

    with locked_run_folder(run.home, record_of(run), lock_folder, say=say) as name:
        yield run.model_copy(update={"name": name})


def record_of(run: Run) -> RunRecord:
    """Return the record that identifies the run, by which its folder is found again."""
    drop = {f"training.{name}" for name in TRAINING_CHANGES_NO_RESULT}
    experiment = run.experiment
    as_named = build_experiment(type(experiment), experiment.name, run.resolved)
    own, plain = (
        {key: value for key, value in settings_of(each).items() if key not in drop}
        for each in (experiment, as_named)
    )
    run_settings = {
        "folds": run.folds,
        "seed": run.seed,
        "holdout": run.holdout,
        "limit": run.limit,
        **{name: getattr(run, name) for name in run.own_parameters},
        "weights": pretrained_digests(run),
    }
    return RunRecord(
        experiment=run.experiment.name,
        challenge=run.experiments.challenge,
        data=PHANTOM if run.uses_phantom else escape_name(run.data),
        tables=None if run.uses_phantom else _digest_tables(run),
        settings=run_settings | own,
        changed={key: value for key, value in own.items() if plain.get(key) != value},
        begun=datetime.now(UTC).replace(microsecond=0),
    )


def _digest_tables(run: Run) -> str | None:
    """Return a digest of the training tables' content; None if there are none."""
    paths = [path for path in run.data.glob(run.training_tables) if path.is_file()]
    found = {path.name: digest_file(path) for path in paths}
    return fingerprint(found) if found else None


def pretrained_digests(run: Run) -> list[str] | None:
    """Return digests of the backbones' weights, if they are not timm's own."""
    if run.weights is None:
        return None
    backbones = run.experiment.pretrained_backbones
    return [digest_file(find_weights(run.weights, name)) for name in backbones]


def require_needs(run: Run) -> None:
    """Refuse to begin a run that depends on missing folds of other experiments.

    Call it once the run holds the home: an earlier run may have trained them.

    Raises:
        StageError: one of these folds is not trained on the same data with the same split; the
            message names the setting that needs it, and the command that trains it.
        SettingsError: a single fold of an ensemble is wanted.
    """
    if run.experiment.members and run.only_fold is not None:
        raise SettingsError(
            f"fold {run.only_fold}: {run.experiment.name} is an ensemble, which trains no folds, "
            f"expected a run of all folds; train this fold of {', '.join(run.experiment.members)}"
        )
    for setting, needed in run.experiment.required:
        for fold in run.folds_to_train:
            folder = needed_fold(run, needed, fold)
            hint = f": '{training_command(run, needed)}'"
            _require_same_split(run, folder.parent.name, needed, setting, hint)
            try:
                read_trained(folder, setting)
            except StageError as error:
                raise StageError(f"{error}{hint}") from None


def _require_same_split(run: Run, name: str, needed: str, setting: str, hint: str) -> None:
    """Refuse a run of a needed experiment on other data, or with another split."""
    found, mine = read_record(run.home.run(name)), record_of(run)
    if found is None:  # none, or that of an early version
        return
    if not found.is_on_same_data(mine):
        other = f"data {found.data}"
    else:
        split = (key for key in _split(run) if found.settings.get(key) != mine.settings[key])
        other = ", ".join(f"{key} {found.settings.get(key)}" for key in split)
    if other:
        raise StageError(
            f"{setting}: {needed} is not trained on the data and the folds of this run, found "
            f"runs/{name} with {other}; train it{hint}"
        )


def training_command(run: Run, experiment: str) -> str:
    """Return the command that trains another experiment on the data and the split of a run."""
    words = ["lsdc", "run-local", "--experiment", experiment, "--data", run.data_word]
    words += ["--home", str(run.root)]
    for name in _split(run):
        value = getattr(run, name)
        if value != type(run).model_fields[name].default:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _split(run: Run) -> tuple[str, ...]:
    """Return the parameters that decide which labels each fold's model learns."""
    return (*_SPLIT, *run.own_parameters)


def needed_run(run: Run, experiment: str) -> str:
    """Return the name of the run of another experiment on the same data and folds.

    Of several runs the one without changed settings is taken, else the latest. Without any run, it
    is the folder that would be tried first.
    """
    mine = record_of(run)
    found = {
        name: record
        for name, record in list_runs(run.home).items()
        if record is not None
        and record.experiment == experiment
        and record.is_on_same_data(mine)
        and all(record.settings.get(key) == mine.settings[key] for key in _split(run))
    }
    if not found:
        return experiment
    return max(found, key=lambda name: (not found[name].changed, found[name].begun, name))


def needed_fold(run: Run, experiment: str, fold: int) -> Path:
    """Return the same fold of another experiment, from its run on the same data and folds."""
    return run.home.fold(needed_run(run, experiment), fold)
