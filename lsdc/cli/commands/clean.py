"""`lsdc clean`: list what no run refers to, with its size, and remove it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal

from lsdc.cli.completion import complete_runs
from lsdc.cli.options import home_option
from lsdc.cli.streams import open_console
from lsdc.errors import HomeBusyError, SettingsError
from lsdc.messages import counted
from lsdc.report.fitted_tables import Column, FittedTable
from lsdc.store.experiment_lock import find_occupied
from lsdc.store.garbage import Garbage, count_bytes, find_garbage, kept_results, remove
from lsdc.store.home import Home, build_lock, existing_home, resolve_home
from lsdc.store.put_aside import Fold, find_put_aside
from lsdc.store.runs import list_runs, stored_score


def clean(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs to remove, with their models and scores.",
            autocompletion=complete_runs,
        ),
    ] = None,
    home: Annotated[Path | None, home_option("The home to clean.")] = None,
    replaced: Annotated[
        bool, typer.Option("--replaced", help="Also remove superseded folds.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON instead of tables; remove only with --yes."),
    ] = False,
) -> None:
    """List the disk space of all runs; remove results that no run needs, and files of killed runs.

    Trained folds are kept. To remove them, name their run; to remove superseded folds, give
    --replaced.
    """
    console = open_console(stderr=as_json)
    opened = existing_home(resolve_home(home))
    with build_lock(opened, wait=False, say=console.print):
        _require_quiet(opened)
        removed = _known(opened, runs or [])
        usages = _usages(opened)
        rubbish = find_garbage(opened, removed=removed, put_aside=replaced)
        if as_json:
            if yes:
                _remove_all(rubbish)
            typer.echo(json.dumps(_as_dict(usages, rubbish, removed=yes), indent=2))
            return
        console.print(_usage_table(usages))
        if not replaced:
            _print_superseded(find_put_aside(opened), console)
        if not rubbish:
            console.print(f"{opened.root}: nothing to remove", soft_wrap=True)
            return
        console.print(_rubbish_table(rubbish, opened.root))
        if not yes and not typer.confirm("Remove these?"):
            return
        _remove_all(rubbish)
        console.print(f"removed {decimal(sum(item.bytes for item in rubbish))}")


def _remove_all(rubbish: list[Garbage]) -> None:
    for item in rubbish:
        remove(item.path)


def _require_quiet(home: Home) -> None:
    """Refuse while runs are active: results that they have not pinned yet look unused."""
    if active := find_occupied(home):
        raise HomeBusyError(
            f"{home.root}: runs of {', '.join(active)} are active, and may need results that "
            "nothing refers to yet; wait until they end, or cancel them"
        )


def _known(home: Home, names: list[str]) -> list[str]:
    there = list_runs(home)
    for name in names:
        if name not in there:
            raise SettingsError(
                f"{name}: no such run in {home.runs}, "
                + (f"expected one of {', '.join(there)}" if there else "which has no runs yet")
            )
    return names


@dataclass(frozen=True)
class _Usage:
    """What a run uses: bytes of its own folder, and of the results that it rests on."""

    run: str
    of: str
    folds: int
    score: float | None
    bytes: int
    rests_on_bytes: int


def _usages(home: Home) -> list[_Usage]:
    return [
        _Usage(
            run=name,
            of=str(record or "?"),
            folds=len(list(home.run(name).glob("fold-*/fit.json"))),
            score=stored_score(home.run(name)),
            bytes=count_bytes(home.run(name)),
            rests_on_bytes=sum(
                count_bytes(each) for each in kept_results(home, name) if each.is_dir()
            ),
        )
        for name, record in list_runs(home).items()
    ]


def _usage_table(usages: list[_Usage]) -> FittedTable:
    """Return a table with each run's experiment, its score and the disk space of its results."""
    return FittedTable(
        [
            Column("run", [each.run for each in usages], is_text=True),
            Column("of", [each.of for each in usages], is_text=True),
            Column("folds", [str(each.folds) for each in usages]),
            Column(
                "score", ["-" if each.score is None else f"{each.score:.4f}" for each in usages]
            ),
            Column("itself", [decimal(each.bytes) for each in usages]),
            Column("rests on", [decimal(each.rests_on_bytes) for each in usages]),
        ],
        title="What runs use",
    )


def _as_dict(usages: list[_Usage], rubbish: list[Garbage], *, removed: bool) -> dict[str, Any]:
    items = [{"path": str(item.path), "why": item.why, "bytes": item.bytes} for item in rubbish]
    return {"runs": [asdict(each) for each in usages], "to_remove": items, "removed": removed}


def _print_superseded(folds: list[Fold], console: Console) -> None:
    kept = [fold for fold in folds if fold.holds_training]
    for fold in kept:
        console.print(
            f"{fold.path.name}: {fold}", soft_wrap=True, highlight=False, markup=False, style="dim"
        )
    if kept:
        size = decimal(sum(count_bytes(each.path) for each in kept))
        console.print(
            f"kept: {counted(len(kept), 'superseded fold')}, {size}, for a return to earlier "
            "data or code; --replaced removes superseded folds",
            soft_wrap=True,
            highlight=False,
        )


def _rubbish_table(rubbish: list[Garbage], root: Path) -> FittedTable:
    total = sum(item.bytes for item in rubbish)
    return FittedTable(
        [
            Column("path", [str(item.path.relative_to(root)) for item in rubbish], is_text=True),
            Column("why", [item.why for item in rubbish], is_text=True),
            Column("size", [decimal(item.bytes) for item in rubbish]),
        ],
        title=f"{counted(len(rubbish), 'item')} to remove, {decimal(total)}",
    )
