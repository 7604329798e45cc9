"""`lsdc clean`: remove what no run refers to, after saying what and how much."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from lsdc.cli.fitted import Column, FittedTable
from lsdc.cli.streams import open_console
from lsdc.errors import HomeBusyError
from lsdc.store.home import Home, build_lock, existing_home, resolve_home
from lsdc.store.occupancy import find_occupied
from lsdc.store.rubbish import Rubbish, find_rubbish


def clean(
    home: Annotated[
        Path | None,
        typer.Option(help="The home to clean.", show_default="LSDC_HOME, else ./lsdc-home"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove results that no run refers to, replaced folds and leftovers of killed runs."""
    console = open_console()
    opened = existing_home(resolve_home(home))
    with build_lock(opened, wait=False, say=console.print):
        _require_quiet(opened)
        rubbish = find_rubbish(opened)
        if not rubbish:
            console.print(f"{opened.root}: nothing to remove", soft_wrap=True)
            return
        console.print(_as_table(rubbish, opened.root))
        if not yes and not typer.confirm("Remove these?"):
            return
        for item in rubbish:
            if item.path.is_dir():
                shutil.rmtree(item.path)
            else:
                item.path.unlink()
        console.print(f"removed {decimal(sum(item.bytes for item in rubbish))}")


def _require_quiet(home: Home) -> None:
    """Refuse while runs go on: one that waits for others lets them build, and notes at its end."""
    if experiments := find_occupied(home):
        raise HomeBusyError(
            f"{home.root}: runs of {', '.join(experiments)} go on, which may need what nothing "
            "refers to yet; wait for them, or cancel them"
        )


def _as_table(rubbish: list[Rubbish], root: Path) -> FittedTable:
    total = sum(item.bytes for item in rubbish)
    return FittedTable(
        [
            Column("path", [str(item.path.relative_to(root)) for item in rubbish], is_text=True),
            Column("why", [item.why for item in rubbish], is_text=True),
            Column("size", [decimal(item.bytes) for item in rubbish]),
        ],
        title=f"{len(rubbish)} things no run refers to, {decimal(total)}",
    )
