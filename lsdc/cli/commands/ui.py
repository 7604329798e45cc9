"""`lsdc ui`: show a home's runs in Prefect's web interface."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from lsdc.cli.options import home_option
from lsdc.cli.server.prefect_settings import own_environment, own_settings
from lsdc.cli.server.process import prefect_server, running_server
from lsdc.cli.server.run_records import mark_killed
from lsdc.cli.server.user_settings import read_user_settings
from lsdc.cli.streams import open_console
from lsdc.store.home import existing_home, resolve_home


def ui(
    home: Annotated[Path | None, home_option("Home whose runs are shown.")] = None,
    port: Annotated[
        int,
        typer.Option(metavar="PORT", min=1, max=65535, help="Port of the UI, on 127.0.0.1."),
    ] = 4200,
) -> None:
    """Serve Prefect's UI with the runs of a home until Ctrl-C; print its address."""
    console = open_console()
    opened = existing_home(resolve_home(home))
    if address := running_server(opened):
        console.print(
            f"{address}/  (this home's server, which already runs and shows its history)",
            soft_wrap=True,
        )
        return
    password = read_user_settings().server_password
    with prefect_server(opened, port=port, password=password) as server:
        server.wait_until_healthy()
        with own_settings(own_environment(opened, server.api)):
            mark_killed(opened, say=console.print)
        console.print(f"{server.address}/  (Ctrl-C stops it; until then, runs in this home use it)")
        stop = threading.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: stop.set())
        stop.wait()
