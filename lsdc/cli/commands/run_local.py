"""`lsdc run-local`: the whole pipeline on this machine, in one Prefect flow run.

Prefect's server takes seconds to start. So modules that load polars or Prefect are imported in
functions: most of them while the server starts.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from lsdc.challenges.registry import challenge_of
from lsdc.cli.garbage import collect_seldom, never_collect_imported
from lsdc.cli.options import NoPretrained, Quiet, StoreUrl, run_options
from lsdc.cli.server.connection import find_server
from lsdc.cli.server.network import hide_password
from lsdc.cli.server.prefect_settings import own_environment, own_settings
from lsdc.cli.server.process import Server, prefect_server
from lsdc.cli.server.run_records import mark_killed, marked_alive, wait_until_recorded
from lsdc.cli.server.user_settings import read_user_settings
from lsdc.cli.streams import open_console
from lsdc.errors import GOES_ON, InterruptedRunError
from lsdc.run_context import own_run_context
from tasks.device import require_device
from tasks.hold import hold
from tasks.pools import HEARTBEAT_SECONDS
from tasks.request import RunRequest
from tasks.run import Host, Run, open_run, with_experiment
from tasks.status.log import run_log
from tasks.status.work import Work, working

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from lsdc.challenges.challenge import Challenge
    from lsdc.cli.render.live_table import Display

RECORD_SECONDS = 30.0
DRAIN_SECONDS = 10
_INTERRUPTED = f"interrupted; {GOES_ON}"

Say = Callable[[str], None]

_on_begin: ContextVar[Callable[["FlowRun"], None]] = ContextVar("on_begin")


TaskRunner = Annotated[
    str | None,
    typer.Option(
        help=(
            "Where the stages index and crops run: threads, dask (a local cluster), or the "
            "address of a Dask scheduler, such as tcp://HOST:8786."
        ),
        show_default="LSDC_TASK_RUNNER, else threads",
    ),
]


@run_options(RunRequest)
def run_local(
    options: dict[str, Any],
    *,
    no_pretrained: NoPretrained = False,
    store: StoreUrl = None,
    task_runner: TaskRunner = None,
    wait: Annotated[
        bool,
        typer.Option(
            help="Wait while another run uses the home; with --no-wait, exit with code 3."
        ),
    ] = True,
    quiet: Quiet = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the scores as JSON, and the progress to standard error."
        ),
    ] = False,
) -> None:
    """Run all stages on this machine, from raw files to out-of-fold scores and a submission."""
    collect_seldom()
    console = open_console(stderr=as_json)
    shown = open_console(stderr=as_json, quiet=quiet)
    if no_pretrained:
        options["settings"] = [*options.get("settings", ()), "model.pretrained=false"]
    request = RunRequest.of(**options)
    require_device(request.device)
    messages: list[str] = []

    def say(text: str) -> None:
        messages.append(text)
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    challenge = challenge_of(request)
    request = with_experiment(challenge.run, request, say=say)
    run = open_run(challenge.run, request, Host.find(store, task_runner))
    # Show resolved values in Prefect; a run killed at its start is recognised by its home.
    request = request.model_copy(update={"data": run.data, "home": run.root})
    if not run.uses_phantom:
        challenge.require_competition(run)  # before anything starts

    with (
        hold(run, wait=wait, say=say) as run,
        working(run.home, run.name) as work,
        _prefect(run, shown) as server,
        run_log(log := run.home.logs / f"{run.name}.log", console, messages, rows=work.rows),
    ):
        _run_flow(run, challenge, request, shown, server, work, say)
    from lsdc.cli.render.run_summary import results_of, show_results

    if as_json:
        typer.echo(json.dumps(results_of(run, log, work.rows), indent=2))
    else:
        show_results(run, challenge, console, log, work.rows)


@contextlib.contextmanager
def _prefect(run: Run, console: Console) -> Iterator[Server | None]:
    """Provide Prefect's API: the configured one, the home's if it runs, or a temporary server.

    Yields:
        The temporary server, if any, which may still be starting.
    """
    user = read_user_settings()
    settings = {
        # As the automation of 'lsdc up' expects, which may still be in a home's database.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "lsdc",
        "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # shown in the display instead
    }
    api = find_server(run.home, user)
    with contextlib.ExitStack() as stack:
        server = None
        if api is None:
            console.print("starting Prefect's server ...", style="dim")
            password = user.server_password
            server = stack.enter_context(prefect_server(run.home, password=password, blocks=False))
            api = server.api
        stack.enter_context(own_settings(own_environment(run.home, api) | settings))
        from prefect.logging.configuration import setup_logging

        setup_logging()  # now, since it removes handlers added earlier
        yield server


def report_begin(flow: object, flow_run: "FlowRun", state: object) -> None:  # noqa: ARG001 (Prefect's)
    """Run as a hook of the flow: report that it has begun.

    Dask workers receive the flow with its hooks, so hooks must not hold a console.
    """
    _on_begin.get()(flow_run)


def _run_flow(
    run: Run,
    challenge: "Challenge",
    request: RunRequest,
    console: Console,
    server: Server | None,
    work: Work,
    say: Say,
) -> None:
    from prefect.client.schemas.objects import State
    from prefect.exceptions import TerminationSignal
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL

    from flows.pipeline import pipeline
    from lsdc.cli.render.live_table import Display
    from tasks.progress import listening
    from tasks.versions import installed_versions

    begun, parameters = pipeline.with_options(on_running=[report_begin]), request.model_dump()
    # Done now, while the server starts, and remembered: fingerprint the code, import FastAPI.
    installed_versions(challenge.steps.STAGES)
    begun.serialize_parameters(parameters)
    never_collect_imported()
    if server is not None:
        server.wait_until_healthy()
    mark_killed(run.home, say=say)
    work.rows.expected = expected = run.task_runs
    display = Display(console, expected)

    def begin(flow_run: "FlowRun") -> None:
        alive.enter_context(marked_alive(run.home, flow_run.id))
        pages = hide_password(str(PREFECT_API_URL.value()).removesuffix("/api"))
        where = f"{pages}/runs/flow-run/{flow_run.id}"
        console.print(f"follow it at {where}", highlight=False, soft_wrap=True)

    _on_begin.set(begin)
    try:
        with (
            contextlib.ExitStack() as alive,
            own_run_context(),
            display,
            listening(display),
            listening(work),
        ):
            ended = begun(**parameters, return_state=True)
            state = cast("State[None]", ended)
    except (KeyboardInterrupt, TerminationSignal):
        raise InterruptedRunError(_INTERRUPTED) from None
    finally:
        # Else Prefect would retry for minutes to reach a server that is gone.
        APILogWorker.drain_all(timeout=DRAIN_SECONDS)
    if state.is_cancelled():
        raise InterruptedRunError(state.message or _INTERRUPTED)
    if server is not None:
        _wait_for_history(server, state, display, say)
    state.result()  # raises the error of the run


def _wait_for_history(server: Server, state: Any, display: "Display", say: Say) -> None:
    flow_run_id = str(state.state_details.flow_run_id)
    if not wait_until_recorded(
        server.api, flow_run_id, display.progress.ended, timeout=RECORD_SECONDS
    ):
        say(
            f"Prefect has not recorded all task runs within {RECORD_SECONDS:.0f} s; "
            "'lsdc ui' may show fewer than ran"
        )
