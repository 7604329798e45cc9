"""`lsdc status`: a home at a glance, without Prefect and without a lock."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lsdc.cli.options import AsJson, home_option
from lsdc.cli.render.home_tables import print_overview
from lsdc.cli.server.process import noted_server
from lsdc.cli.streams import open_console
from lsdc.store.home import look_at_home, resolve_home
from tasks.status.overview import as_json as as_json_values
from tasks.status.overview import look


def status(
    home: Annotated[Path | None, home_option("The home to look at.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a home at a glance: what runs, the runs and their scores, sizes, the disk, the server.

    It needs no Prefect server, and neither locks nor changes the home. What another process does is
    a few seconds old. Of very large folders, only the first files are counted; their size is shown
    as "at least". It shows the processes that use this home: if workers have homes of their own,
    look at each home on its host, or at all workers in Prefect's UI.
    """
    opened = look_at_home(resolve_home(home))
    found, server = look(opened), noted_server(opened)
    if as_json:
        address, answers = server or (None, False)
        values = as_json_values(found) | {"server": {"address": address, "answers": answers}}
        typer.echo(json.dumps(values, indent=2))
        return
    print_overview(found, server, open_console())
