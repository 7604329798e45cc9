"""The challenges, and which of them an experiment, a folder, a request or a run belongs to."""

from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.challenge import Challenge
from lsdc.challenges.hemorrhage.challenge import HEMORRHAGE
from lsdc.challenges.ink.challenge import INK
from lsdc.challenges.lumbar.challenge import LUMBAR
from lsdc.errors import DataError, SettingsError
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.presets import AUTO, own_tables, presets_file, unknown_experiment
from lsdc.store.home import Home
from lsdc.store.runs import RunRecord, read_record
from lsdc.typed_paths import from_root
from tasks.request import RunRequest
from tasks.run import is_phantom

# The first one is taken where nothing tells the challenge.
CHALLENGES: tuple[Challenge, ...] = (LUMBAR, HEMORRHAGE, INK)


def challenge_named(name: str) -> Challenge:
    """Return the challenge of that name.

    Raises:
        SettingsError: there is none.
    """
    for challenge in CHALLENGES:
        if challenge.name == name:
            return challenge
    raise SettingsError(
        f"no challenge is called {name!r}, expected {' or '.join(each.name for each in CHALLENGES)}"
    )


def challenge_of_experiment(name: str) -> Challenge:
    """Return the challenge of an experiment: of a preset, or of the one that a user's is based on.

    A user's experiment that is based on none belongs to the first challenge.

    Raises:
        SettingsError: no such experiment, one that is based on a missing one, or a user's
            experiment with the name of a preset.
    """
    packaged = {each: one for one in CHALLENGES for each in one.experiments.packaged}
    users = own_tables()
    if twice := sorted(users.keys() & packaged.keys()):
        raise SettingsError(
            f"{presets_file()}: {twice[0]} is a built-in experiment of lsdc; choose another name"
        )
    root, seen = name, set[str]()
    while root in users and root not in seen:
        seen.add(root)
        based_on = users[root].get("based_on")
        if based_on is None:
            return CHALLENGES[0]
        root = based_on
    if root in packaged:
        return packaged[root]
    if name in users:
        return CHALLENGES[0]  # which explains a missing or circular `based_on`
    raise unknown_experiment(name, [*packaged, *users])


def load_experiment(name: str) -> BaseExperiment:
    """Return the experiment of that name, of whichever challenge.

    Raises:
        SettingsError: see `challenge_of_experiment` and `Experiments.load`.
    """
    loaded: BaseExperiment = challenge_of_experiment(name).experiments.load(name)
    return loaded


def experiment_names() -> list[str]:
    """Return the names of all experiments, by challenge, the user's own last.

    Raises:
        SettingsError: the user's file cannot be read, or has a name that is not valid.
    """
    packaged = [name for challenge in CHALLENGES for name in challenge.experiments.packaged]
    return [*packaged, *own_experiment_names()]


def own_experiment_names() -> list[str]:
    """Return the names of the user's experiments, in the order of their file.

    Raises:
        SettingsError: the file cannot be read, or has a name that is not valid.
    """
    return CHALLENGES[0].experiments.own_names()


def challenge_in(folder: Path) -> Challenge | None:
    """Return the challenge whose tables are in a folder, if any."""
    return next((each for each in CHALLENGES if each.is_in(folder)), None)


def require_challenge_in(folder: Path) -> Challenge:
    """Return the challenge whose tables are in a folder.

    Raises:
        DataError: the folder has the tables of none.
    """
    if found := challenge_in(folder):
        return found
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, expected one with a competition's tables")
    raise DataError(
        f"{folder}: expected the tables of a competition: {known_tables()}; found none; give the "
        "folder that contains them"
    )


def known_tables() -> str:
    """Return the tables by which folders are recognised, with the challenges, for messages."""
    return "; ".join(f"{each.tables} ({each.title})" for each in CHALLENGES)


def challenge_of(request: RunRequest) -> Challenge:
    """Return the challenge of a request: by its experiment, else by its data, else the first one.

    Raises:
        SettingsError: no such experiment, or data of another challenge.
    """
    return find_challenge(request) or CHALLENGES[0]


def find_challenge(request: RunRequest) -> Challenge | None:
    """Return the challenge of a request; None if its data have to tell, and do not on this machine.

    A request without data is of the first challenge, whose phantom it gets.

    Raises:
        SettingsError: no such experiment, or data of another challenge.
    """
    data = None if request.data is None or is_phantom(request.data) else from_root(request.data)
    found = None if data is None else challenge_in(data)
    if request.resolved is not None:
        named = request.resolved.get("challenge", CHALLENGES[0].name)
        challenge = challenge_named(named)
    elif request.experiment == AUTO:
        return CHALLENGES[0] if data is None else found
    else:
        challenge = challenge_of_experiment(request.experiment)
    if found not in (None, challenge):
        raise SettingsError(
            f"--experiment {request.experiment}: an experiment of {challenge.title}, but "
            f"{data} has the tables of {found.title}; choose an experiment of that challenge "
            "('lsdc experiments list' lists them), or other data"
        )
    return challenge


def challenge_of_runs(home: Home, names: Sequence[str]) -> Challenge:
    """Return the challenge of some runs of a home; the first one where no run tells it.

    Raises:
        SettingsError: they belong to several challenges, or a name is not valid for a run.
    """
    found = {name: challenge_of_record(read_record(home.run(name))) for name in names}
    if len(set(found.values())) > 1:
        each = ", ".join(f"{name} ({challenge.title})" for name, challenge in found.items())
        raise SettingsError(f"{each}: expected runs of one challenge; give those of one")
    return next(iter(found.values()), CHALLENGES[0])


def challenge_of_record(record: RunRecord | None) -> Challenge:
    """Return the challenge of a recorded run; runs of early versions are of the first one."""
    named = None if record is None else record.challenge
    return CHALLENGES[0] if named is None else challenge_named(named)
