"""Values that the shell completes: names of runs, of experiments and of settings.

The shell waits for them at each press of Tab, so they import no library for tables or training. A
home or a presets file that cannot be read completes nothing; the command itself explains why.
"""

from collections.abc import Iterable
from pathlib import Path

import typer

from lsdc.errors import LsdcError
from lsdc.store.home import Home, resolve_home

# Importing the flows would take seconds; a test compares these with what is registered.
_FLOWS = (
    *("pipeline", "prepare", "train-folds", "submit"),
    *("train-fold", "train-coordinates", "train-judge"),
)
DEPLOYMENTS = tuple(f"{flow}/default" for flow in _FLOWS)


def complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the runs of the home whose names begin so."""
    given = ctx.params.get("home")
    home = Home(resolve_home(Path(given) if given else None))
    return _beginning(incomplete, (each.name for each in home.run_folders()))


def complete_challenges(incomplete: str) -> list[str]:
    """Return the challenges whose names begin so."""
    from lsdc.challenges.registry import CHALLENGES

    return _beginning(incomplete, (each.name for each in CHALLENGES))


def complete_experiments(incomplete: str) -> list[str]:
    """Return the experiments whose names begin so, the user's own first."""
    from lsdc.challenges.registry import experiment_names
    from lsdc.experiments.presets import own_tables

    try:
        names = [*own_tables(), *experiment_names()]
    except LsdcError:
        return []
    return _beginning(incomplete, dict.fromkeys(names))


def complete_runs_and_experiments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the runs of the home and the experiments whose names begin so."""
    found = [*complete_runs(ctx, incomplete), *complete_experiments(incomplete)]
    return list(dict.fromkeys(found))


def complete_deployments(incomplete: str) -> list[str]:
    """Return the deployments that `lsdc up` makes, whose names begin so."""
    return _beginning(incomplete, DEPLOYMENTS)


def complete_settings(incomplete: str) -> list[str]:
    """Return the settings whose names begin so, and their sections."""
    names = _setting_names()
    sections = [name.rpartition(".")[0] for name in names if "." in name]
    return _beginning(incomplete, dict.fromkeys([*sections, *names]))


def complete_changes(incomplete: str) -> list[str]:
    """Return the settings whose names begin so, each with `=` for the value that follows."""
    return _beginning(incomplete, (f"{name}=" for name in _setting_names()))


def _setting_names() -> list[str]:
    """Return the names of the settings of all challenges, each once."""
    from lsdc.challenges.registry import CHALLENGES
    from lsdc.experiments.reference import describe_settings

    configs = [challenge.experiments.config for challenge in CHALLENGES]
    return list(dict.fromkeys(each.name for one in configs for each in describe_settings(one)))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
