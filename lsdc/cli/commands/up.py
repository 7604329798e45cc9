"""`lsdc up`: run server, pools, deployments and workers on one machine."""

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsdc.cli.commands.worker import pool_workers
from lsdc.cli.options import StoreUrl, home_option
from lsdc.cli.server.prefect_settings import Api, own_api, own_environment, own_settings
from lsdc.cli.server.process import (
    SERVER,
    exclusive_server,
    free_port,
    server_environment,
    sqlite_url,
    wait_until_healthy,
)
from lsdc.cli.server.run_records import mark_killed
from lsdc.cli.server.supervisor import Part, Parts, keep_running
from lsdc.cli.server.user_settings import read_user_settings
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError
from lsdc.messages import counted
from lsdc.store.database import DATABASE, parse_address
from lsdc.store.home import Home, open_home, resolve_home
from tasks.device import visible_gpus
from tasks.pools import CPU_POOL, GPU_POOL, HEARTBEAT_SECONDS, ZOMBIE_SECONDS
from tasks.run import Host

LOOPBACK, ANYWHERE = "127.0.0.1", ("0.0.0.0", "::")
Database = Annotated[
    str | None,
    typer.Option(
        envvar="LSDC_DATABASE_URL",
        show_envvar=False,
        help=(
            "Address of a PostgreSQL database for Prefect's history: "
            "postgresql://USER:PASSWORD@HOST/NAME. To keep the password off the command line, set "
            "LSDC_DATABASE_URL instead."
        ),
        show_default="SQLite",
    ),
]
Port = Annotated[
    int,
    typer.Option(metavar="PORT", min=1, max=65535, help="Port of the server and of Prefect's UI."),
]
CrashAfter = Annotated[
    int,
    typer.Option(
        metavar="SECONDS",
        min=HEARTBEAT_SECONDS + 15,
        help="Seconds without a heartbeat after which a run is marked crashed.",
    ),
]


def up(
    port: Port = 4200,
    host: Annotated[
        str, typer.Option(help="Address that the server listens on; 0.0.0.0 for all.")
    ] = LOOPBACK,
    home: Annotated[Path | None, home_option("Folder where results are kept.")] = None,
    database: Database = None,
    store: StoreUrl = None,
    workers: Annotated[
        bool,
        typer.Option(
            "--workers/--no-workers", help="Start workers, too; with --no-workers, only the server."
        ),
    ] = True,
    crash_after: CrashAfter = ZOMBIE_SECONDS,
) -> None:
    """Start a Prefect server and workers; create pools and deployments.

    Ctrl-C stops the server and the workers.
    """
    console = open_console()
    url = _database_url(database)
    if database and url:
        os.environ[DATABASE] = database  # the workers keep their locks in it, too
    chosen = Host.find(store).store
    opened = open_home(resolve_home(home))
    url = url or sqlite_url(opened)
    user = read_user_settings()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    address = f"http://{own_name(host)}:{port}"
    api = own_api(address, user.own_password)
    opened.prefect.mkdir(exist_ok=True)
    server = Part(
        "server",
        SERVER,
        [str(port), host],
        server_environment(opened, address, url, user.server_password),
        opened.prefect,
    )
    try:
        with (
            exclusive_server(opened, address),
            Parts(console) as servers,
            Parts(console) as working,
        ):
            free_port(port, host)
            servers.start(server)
            wait_until_healthy(api.url, servers.check)
            _register(opened, api, crash_after, console)
            if workers:
                for pool in (CPU_POOL, GPU_POOL):
                    for part in pool_workers(pool, opened, api, chosen):
                        working.start(part)
            _describe(console, address, url, workers=workers)
            keep_running(servers, working)
    except KeyboardInterrupt:
        console.print("stopped")


def own_name(host: str) -> str:
    """Return the host name at which others reach a server that listens on `host`, for a URL.

    Raises:
        SettingsError: this machine's name does not resolve, even locally.
    """
    if host not in ANYWHERE:
        return f"[{host}]" if ":" in host else host
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        raise SettingsError(
            f"--host {host}: this machine's host name, {name}, cannot be resolved "
            f"({error.strerror}); add it to /etc/hosts, or give --host an address of this machine"
        ) from error
    return name


def _database_url(given: str | None) -> str | None:
    """Return a PostgreSQL URL in the form that Prefect's driver expects.

    Raises:
        SettingsError: the URL is invalid or of another database.
    """
    if not given:
        return None
    url = parse_address(given, "--database").set(drivername="postgresql+asyncpg")
    # libpq's name for what asyncpg calls ssl
    query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=False)


def _register(home: Home, api: Api, crash_after: int, console: Console) -> None:
    with own_settings(own_environment(home, api)):
        from deployments.register import register

        asyncio.run(register(crash_after))
        mark_killed(home, say=console.print)


def _describe(console: Console, address: str, database: str, *, workers: bool) -> None:
    from sqlalchemy import make_url

    where = make_url(database)
    kept = (
        "SQLite in the home, for a few workers; for more, use PostgreSQL (--database)"
        if where.drivername.startswith("sqlite")
        else f"PostgreSQL at {where.host}, {where.database}"
    )
    gpus = visible_gpus()
    gpu = (
        f"{counted(len(gpus), 'worker')}, one per GPU" if gpus else "no GPU: one worker on the CPU"
    )
    working = f"{CPU_POOL}: one worker; {GPU_POOL}: {gpu}" if workers else "no workers here"
    console.print(
        f"{address}/  (Ctrl-C stops it)\n"
        f"  history: {kept}\n"
        f"  {working}\n"
        f"  lsdc trigger train-folds/default --watch\n"
        f"  export PREFECT_API_URL={address}/api    # for 'prefect' and 'lsdc' on other machines",
        highlight=False,
        soft_wrap=True,
    )
