"""`lsdc experiments`: list experiments, with reported scores (lab log) and measured ones."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from lsdc.challenges.registry import (
    CHALLENGES,
    challenge_of_experiment,
    experiment_names,
    load_experiment,
    own_experiment_names,
)
from lsdc.cli.completion import (
    complete_experiments,
    complete_runs_and_experiments,
    complete_settings,
)
from lsdc.cli.lazy_commands import Command, as_epilog
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.render import experiment_tables as tables
from lsdc.cli.render.run_scores import (
    RunScores,
    differences,
    find_home,
    load_experiment_of,
    read_run_scores,
    scored_runs,
)
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.presets import Experiments
from lsdc.experiments.reference import Setting, describe_settings
from lsdc.experiments.settings import settings_of
from lsdc.store.home import Home

C = TypeVar("C", bound=Callable[..., None])

FromHome = Annotated[Path | None, home_option("Home whose runs are shown.")]
Order = Literal["log", "name", "fold", "oof", "leaderboard", "measured"]
Sort = Annotated[
    Order,
    typer.Option(
        help=(
            "Order. log: as in the lab log; name: by name; fold, oof, leaderboard: best reported "
            "score first; measured: best score of your runs first."
        )
    ),
]

experiments = typer.Typer(
    no_args_is_help=True,
    help="Show presets: their settings, their reported scores and the scores of your runs.",
)


def _command(name: str, summary: str, *examples: str) -> Callable[[C], C]:
    return experiments.command(name, cls=Command, short_help=summary, epilog=as_epilog(examples))


@dataclass(frozen=True)
class Entry:
    """An experiment, and the scores of its run in a home."""

    experiment: BaseExperiment
    measured: RunScores | None

    @classmethod
    def find(cls, name: str, home: Home | None) -> "Entry":
        """Return the entry of that name, with its newest run.

        Raises:
            SettingsError: the experiment is unknown or invalid.
        """
        runs = [run for run, each in scored_runs(home).items() if each == name]
        measured = read_run_scores(home, runs[-1]) if home and runs else None
        return cls(load_experiment(name), measured)

    @classmethod
    def of_run(cls, run: str, name: str, home: Home) -> "Entry":
        """Return the entry of a scored run and of the experiment with that name."""
        return cls(load_experiment_of(home, run, name), read_run_scores(home, run))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values: settings, reported, expected and measured scores, differences.

        The changed settings are null if the preset is unknown here.
        """
        experiment, reported = self.experiment, self.experiment.reported
        is_known = experiment.name in experiment_names()
        return {
            "name": experiment.name,
            "run": self.measured and self.measured.run,
            "based_on": experiment.based_on,
            "note": experiment.note,
            "deviation": experiment.deviation,
            "needs": experiment.needs.model_dump(),
            "members": list(experiment.members),
            "changes": _of(experiment.name).changes(experiment.name) if is_known else None,
            "reported": {**reported.model_dump(mode="json"), "partial": reported.partial},
            "expected": experiment.expected.model_dump(mode="json"),
            "measured": self.measured and self.measured.as_dict(),
            "differences": differences(reported, self.measured),
        }


@_command(
    "list",
    "List experiments and their scores.",
    "lsdc experiments list",
    "lsdc experiments list --all --sort oof",
)
def list_all(
    home: FromHome = None,
    sort: Sort = "log",
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help=(
                "Also list the experiments of the lab log, and the members of ensembles. --json, "
                "and --sort with another value than log, always list them."
            ),
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List your own experiments, experiments with scores in this home, and recommended ones.

    With --all, list all experiments of the lab log, too (a competitor's log, see
    docs/reference/lab-log.md). A measured score is that of the experiment's newest run; an expected
    one is an estimate.
    """
    opened, known = find_home(home), experiment_names()
    if everything or as_json or sort != "log":
        names = known
    else:
        recommended = [name for challenge in CHALLENGES for name in challenge.recommended]
        first = {*own_experiment_names(), *scored_runs(opened).values(), *recommended}
        names = [name for name in known if name in first]
    entries = _sorted([Entry.find(name, opened) for name in names], sort)
    if as_json:
        _print_json([entry.as_dict() for entry in entries])
        return
    console = open_console()
    rows = [(entry.experiment, entry.measured) for entry in entries]
    console.print(tables.list_table(rows, console.width))
    if more := len(known) - len(names):
        console.print(f"--all lists {more} more", style="dim", highlight=False)


@_command("show", "Show an experiment and its settings.", "lsdc experiments show exp118 --describe")
def show(
    name: Annotated[
        str,
        typer.Argument(help="Name of an experiment.", autocompletion=complete_experiments),
    ],
    home: FromHome = None,
    describe: Annotated[bool, typer.Option("--describe", help="Describe each setting.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show an experiment: its note, its scores, and every setting with its origin."""
    entry = Entry.find(name, find_home(home))
    if as_json:
        more = {"lineage": _of(name).lineage(name), "settings": settings_of(entry.experiment)}
        _print_json([{**entry.as_dict(), **more}])
        return
    console = open_console()
    tables.print_words(console, entry.experiment, _of(name).lineage(name))
    if any((*entry.experiment.reported.results, entry.measured)):
        console.print(tables.figures_table([(entry.experiment, entry.measured)]))
    if describe:
        values = settings_of(entry.experiment)
        every = describe_settings(type(entry.experiment))
        described = [each for each in every if each.name in values]
        console.print(tables.reference_table(described, values))
    else:
        console.print(tables.settings_table(entry.experiment, _origins(name)))


@_command("explain", "Explain what settings do.", "lsdc experiments explain training.keep")
def explain(
    key: Annotated[
        str | None,
        typer.Argument(
            help="Name of a setting or a section, such as training.keep or training.",
            show_default="all",
            autocompletion=complete_settings,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain settings: their type, their default and what they do."""
    described = describe_everywhere(key)
    if as_json:
        _print_json([asdict(each) for each in described])
        return
    open_console().print(tables.reference_table(described))


@_command("diff", "List settings that differ.", "lsdc experiments diff baseline exp118")
def diff(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help="First experiment.", autocompletion=complete_experiments),
    ],
    second: Annotated[
        str,
        typer.Argument(metavar="B", help="Second experiment.", autocompletion=complete_experiments),
    ],
    as_json: AsJson = False,
) -> None:
    """List the settings in which two experiments differ; null where one has no such setting."""
    a, b = (settings_of(load_experiment(name)) for name in (first, second))
    differing = {key: (a.get(key), b.get(key)) for key in a | b if a.get(key) != b.get(key)}
    if as_json:
        _print_json([{"name": key, "a": x, "b": y} for key, (x, y) in differing.items()])
    elif not differing:
        open_console().print(f"{first} and {second} have the same settings.")
    else:
        open_console().print(tables.differences_table(first, second, differing))


@_command(
    "compare",
    "Compare measured and reported scores.",
    "lsdc experiments compare",
    "lsdc experiments compare demo exp118 --json",
)
def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of experiments or runs.",
            show_default="all runs with scores",
            autocompletion=complete_runs_and_experiments,
        ),
    ] = None,
    home: FromHome = None,
    sort: Sort = "log",
    as_json: AsJson = False,
) -> None:
    """Compare the scores of your runs with the reported scores, fold by fold.

    Partial and selected scores are marked.
    """
    opened = find_home(home)
    entries = _sorted(_chosen(names or [], opened), sort)
    if as_json:
        _print_json([entry.as_dict() for entry in entries])
    elif not entries:
        open_console().print(
            "No run here has scores yet; name experiments to compare their reported scores."
        )
    else:
        open_console().print(tables.figures_table([(e.experiment, e.measured) for e in entries]))


def _chosen(names: list[str], home: Home | None) -> list[Entry]:
    """Return the runs with these names, or of these experiments; all if no name is given."""
    runs = scored_runs(home)
    order = {name: place for place, name in enumerate(experiment_names())}
    entries = []
    for name in names or sorted(set(runs.values()), key=lambda each: order.get(each, len(order))):
        wanted = sorted(run for run, of in runs.items() if name in (run, of))
        entries += [Entry.of_run(run, runs[run], home) for run in wanted if home]
        if not wanted:
            entries.append(Entry.find(name, home))
    return entries


def _sorted(entries: list[Entry], order: Order) -> list[Entry]:
    """Sort by score, the best first; entries without a score come last.

    Scores of two challenges cannot be compared, so those of one challenge stay together.
    """
    configs = [challenge.experiments.config for challenge in CHALLENGES]
    keys: dict[Order, Callable[[Entry], Any]] = {
        "name": lambda entry: entry.experiment.name,
        "fold": lambda entry: _cost(entry, *entry.experiment.reported.folds.values()),
        "oof": lambda entry: _cost(entry, entry.experiment.reported.oof),
        "leaderboard": lambda entry: _cost(entry, entry.experiment.reported.leaderboard),
        "measured": lambda entry: _cost(entry, entry.measured.score if entry.measured else None),
    }
    if order in ("log", "name"):
        return entries if order == "log" else sorted(entries, key=keys[order])
    return sorted(
        entries, key=lambda entry: (configs.index(type(entry.experiment)), keys[order](entry))
    )


def _cost(entry: Entry, *scores: float | None) -> float:
    """Return a number that is the smaller, the better the best of the scores."""
    metric = entry.experiment.metric
    return min((metric.cost(each) for each in scores if each is not None), default=math.inf)


def _origins(name: str) -> dict[str, str]:
    """Return each setting's name and the last experiment of the lineage that sets it."""
    return {
        key: each for each in reversed(_of(name).lineage(name)) for key in _of(name).changes(each)
    }


def _of(name: str) -> Experiments[Any]:
    """Return the experiments of the challenge that an experiment belongs to."""
    return challenge_of_experiment(name).experiments


def describe_everywhere(key: str | None) -> list[Setting]:
    """Describe the settings of all challenges, or those whose name is `key` or below it.

    A setting that challenges describe alike is described once.

    Raises:
        SettingsError: no challenge has such a setting; the message suggests similar ones.
    """
    found: list[Setting] = []
    for challenge in CHALLENGES:
        try:
            described = describe_settings(challenge.experiments.config, key)
        except SettingsError:
            if challenge is CHALLENGES[-1] and not found:
                raise
            continue
        found += [each for each in described if each not in found]
    return found


def _print_json(rows: list[dict[str, Any]]) -> None:
    typer.echo(json.dumps(rows, indent=2))
