"""`lsdc worker`: run this machine's workers of a pool, for a local or remote server."""

import signal
import socket
from pathlib import Path
from typing import Annotated

import typer

from lsdc.cli.options import StoreUrl, home_option
from lsdc.cli.server.connection import require_server
from lsdc.cli.server.prefect_settings import Api, own_environment
from lsdc.cli.server.supervisor import Part, Parts, keep_running
from lsdc.cli.server.user_settings import read_user_settings
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError
from lsdc.experiments.presets import presets_environment
from lsdc.store.home import Home, open_home, resolve_home
from lsdc.store.remote import RemoteStore
from tasks.device import THREADS_OF_A_RUN, usable_threads, visible_gpus
from tasks.pools import CPU_POOL, GPU_POOL, HEARTBEAT_SECONDS
from tasks.run import Host

# Seconds between a worker's queries for scheduled runs.
QUERY_SECONDS = 3
# Of a request that the server does not answer; pauses double, to four minutes in total.
RETRIES = 7


def worker(
    pool: Annotated[str, typer.Option(help=f"Work pool: {GPU_POOL} or {CPU_POOL}.")],
    home: Annotated[
        Path | None,
        home_option(
            "Home of the workers. All workers must use the same home, unless --store is given."
        ),
    ] = None,
    store: StoreUrl = None,
) -> None:
    """Start workers for a pool on this machine, until Ctrl-C.

    For lsdc-gpu, start one worker per GPU (one if there is no GPU); for lsdc-cpu, start one.
    """
    console = open_console()
    chosen = Host.find(store).store
    opened = open_home(resolve_home(home))
    api = require_server(opened, read_user_settings())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    with Parts(console) as workers:
        for part in pool_workers(pool, opened, api, chosen):
            workers.start(part)
        try:
            keep_running(workers)
        except KeyboardInterrupt:
            console.print("stopping the workers: trainings save a checkpoint first")


def pool_workers(pool: str, home: Home, api: Api, store: RemoteStore | None) -> list[Part]:
    """Return this machine's workers for a pool: one per GPU, each taking one run at a time.

    Raises:
        SettingsError: an unknown pool.
    """
    if pool == CPU_POOL:
        return [_worker("cpu", pool, home, api, store)]
    if pool != GPU_POOL:
        raise SettingsError(f"--pool {pool}: expected {GPU_POOL} or {CPU_POOL}")
    one = ("--limit", "1")
    found = visible_gpus()
    if not found:
        return [_worker("gpu", pool, home, api, store, one)]
    share = {THREADS_OF_A_RUN: str(max(1, usable_threads() // len(found)))}
    return [
        _worker(f"gpu{gpu}", pool, home, api, store, one, share | {"CUDA_VISIBLE_DEVICES": gpu})
        for gpu in found
    ]


def _worker(
    name: str,
    pool: str,
    home: Home,
    api: Api,
    store: RemoteStore | None,
    more: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> Part:
    home.prefect.mkdir(exist_ok=True)
    return Part(
        name,
        "lsdc.cli.server.worker_child",
        ["--pool", pool, "--name", f"{socket.gethostname()}-{name}", *more],
        {
            **own_environment(home, api),
            **presets_environment(),
            "LSDC_HOME": str(home.root),
            **({} if store is None else {"LSDC_STORE": store.url}),
            "PREFECT_LOGGING_EXTRA_LOGGERS": "lsdc",
            "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
            "PREFECT_WORKER_QUERY_SECONDS": str(QUERY_SECONDS),
            "PREFECT_CLIENT_MAX_RETRIES": str(RETRIES),
            "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # a server whose database is unreachable
            **(environment or {}),
        },
        home.prefect,
        drains=True,
    )
