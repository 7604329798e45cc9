"""`lsdc run-local`: the whole walk on this machine, in one Prefect flow run."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from flows.pools import HEARTBEAT_SECONDS
from lsdc.cli.history import living, mark_killed, wait_until_recorded
from lsdc.cli.logs import run_log
from lsdc.cli.network import hide_password
from lsdc.cli.prefect_settings import own_environment, own_settings
from lsdc.cli.reach import find_server
from lsdc.cli.results import show_results
from lsdc.cli.serve import Server, prefect_server
from lsdc.cli.shares import parse_share
from lsdc.cli.storage import choose_store, register_storage, result_settings
from lsdc.cli.streams import open_console
from lsdc.cli.user_settings import read_user_settings
from lsdc.errors import GOES_ON, InterruptedRunError
from lsdc.lumbar.folds import require_studies
from lsdc.lumbar.tables import open_competition
from lsdc.store.home import build_lock
from tasks.device import require_device
from tasks.identity import occupying
from tasks.run import MOST_SEED, Run, open_run
from tasks.runners import VARIABLE, find_runner

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from lsdc.cli.display import Display

RECORD_SECONDS = 30.0
DRAIN_SECONDS = 10
_INTERRUPTED = f"interrupted; {GOES_ON}"

_on_begin: ContextVar[Callable[["FlowRun"], None]] = ContextVar("on_begin")


def run_local(
    data: Annotated[
        Path | None,
        typer.Option(
            help="The competition's folder, or 'phantom'.",
            show_default="phantom, in a home without other data",
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Where results are kept.", show_default="LSDC_HOME, else ./lsdc-home"),
    ] = None,
    folds: Annotated[int, typer.Option(help="How many folds the studies are dealt into.")] = 4,
    only_fold: Annotated[
        int | None, typer.Option(help="Train this fold alone; scores are then marked partial.")
    ] = None,
    holdout: Annotated[
        str, typer.Option(help="Share of the studies that no fold sees; scored on its own.")
    ] = "0%",
    experiment: Annotated[str, typer.Option(help="What is trained.")] = "demo",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Pretrained weights, a file or a folder.", show_default="timm's hub, or its cache"
        ),
    ] = None,
    no_pretrained: Annotated[
        bool, typer.Option("--no-pretrained", help="Start from no pretrained weights.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Of folds and models.")] = 0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where models are trained.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads the run may use.", show_default="one a core")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The first so many training studies only.")
    ] = None,
    annotations: Annotated[
        Literal["raw", "clean"],
        typer.Option(
            help="Points as they are given, or with the faults that can be proved mended."
        ),
    ] = "clean",
    max_bad: Annotated[
        str, typer.Option(help="Share of unreadable files that stops a stage.")
    ] = "1%",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to leave a study out.")] = False,
    store: Annotated[
        str | None,
        typer.Option(
            help="Shared with other hosts: a path or s3://BUCKET/PREFIX.", show_default="LSDC_STORE"
        ),
    ] = None,
    task_runner: Annotated[
        str | None,
        typer.Option(
            help="Where index and crops are worked: threads, dask, or a Dask scheduler's address.",
            show_default="LSDC_TASK_RUNNER, else threads",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option(help="Wait for another run that builds in the same home.")
    ] = True,
) -> None:
    """Take a competition from DICOM files to out-of-fold scores and a submission, here."""
    console = open_console()
    settings: dict[str, Any] = {
        "data": data,
        "home": home,
        "folds": folds,
        "only_fold": only_fold,
        "holdout": parse_share(holdout),
        "experiment": experiment,
        "settings": [*(changes or []), *(["model.pretrained=false"] if no_pretrained else [])],
        "seed": seed,
        "device": device,
        "threads": threads,
        "limit": limit,
        "annotations": annotations,
        "max_bad": parse_share(max_bad),
        "strict": strict,
        "weights": weights,
    }
    require_device(device)
    choose_store(store)
    os.environ[VARIABLE] = find_runner(task_runner)
    run = open_run(**settings)
    settings["data"] = run.data  # whatever else may begin in the home meanwhile
    settings["home"] = run.root  # by which it is known if it is killed as it begins
    if not run.uses_phantom:
        # What is wrong with the tables is said before anything starts.
        require_studies(open_competition(run.data), run.folds, run.limit)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    with (
        occupying(run, wait=wait, say=say) as run,
        build_lock(run.home, wait=wait, say=say),
        _prefect(run, console) as server,
        run_log(log := run.home.logs / f"{run.name}.log", console, said),
    ):
        _run_flow(run, settings, console, server)
    show_results(run, console, log)


@contextlib.contextmanager
def _prefect(run: Run, console: Console) -> Iterator[Server | None]:
    """Prefect's API: the one configured, else the home's that runs, else one of the run's own.

    Yields:
        The run's own, which may still be coming up.
    """
    user = read_user_settings()
    settings = {
        **result_settings(run.home, run.shared),
        # As often as the automation of 'lsdc up' expects it, which a home's database may keep.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "lsdc",
        "PREFECT_LOGGING_HANDLERS_API_LEVEL": "INFO",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the display speaks instead
    }
    api = find_server(run.home, user)
    with contextlib.ExitStack() as stack:
        server = None
        if api is None:
            console.print("starting Prefect's server ...", style="dim")
            server = stack.enter_context(prefect_server(run.home, password=user.server_password))
            api = server.api
        stack.enter_context(own_settings(own_environment(run.home, api) | settings))
        from prefect.logging.configuration import setup_logging

        setup_logging()  # now, for it takes away handlers that are added before
        yield server


def tell_begin(flow: object, flow_run: "FlowRun", state: object) -> None:  # noqa: ARG001 (Prefect's)
    """A hook of the flow: it has begun.

    The flow travels to Dask's workers with its hooks, so that none may hold on to a console.
    """
    _on_begin.get()(flow_run)


def _task_runs(run: Run) -> list[str]:
    """The names of the task runs that a run is counted by, from the first to the last."""
    folds = [f"fold {fold}" for fold in run.folds_to_train]
    test = ["coordinates test", "sides test", "crops test", "predict", "submission"]
    has_test = run.uses_phantom or run.has_test  # a phantom may be written yet
    return [
        *("index train", "folds", "annotations"),
        *(["index test"] if has_test else []),
        *("coordinates train", "sides train", "crops train"),
        *folds,
        "oof",
        *(test if has_test else []),
    ]


def _run_flow(run: Run, settings: dict[str, Any], console: Console, server: Server | None) -> None:
    # Imported while the server comes up; importing takes about as long.
    from prefect.client.schemas.objects import State
    from prefect.exceptions import TerminationSignal
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL

    from flows.pipeline import pipeline
    from lsdc.cli.display import Display
    from tasks.progress import listening

    if server is not None:
        server.wait_until_healthy()
    mark_killed(run.home, say=console.print)
    register_storage(run.shared)
    display = Display(console, expected=_task_runs(run))

    def begin(flow_run: "FlowRun") -> None:
        lives.enter_context(living(run.home, flow_run.id))
        pages = hide_password(str(PREFECT_API_URL.value()).removesuffix("/api"))
        where = f"{pages}/runs/flow-run/{flow_run.id}"
        console.print(f"follow it at {where}", highlight=False, soft_wrap=True)

    begun = pipeline.with_options(on_running=[tell_begin])
    _on_begin.set(begin)
    try:
        with contextlib.ExitStack() as lives, display, listening(display):
            state: State[None] = begun(**settings, return_state=True)
    except (KeyboardInterrupt, TerminationSignal):
        raise InterruptedRunError(_INTERRUPTED) from None
    finally:
        # Else Prefect would try for minutes to send its last words to a server that is gone.
        APILogWorker.drain_all(timeout=DRAIN_SECONDS)
    if state.is_cancelled():
        raise InterruptedRunError(state.message or _INTERRUPTED)
    if server is not None:
        _wait_for_history(server, state, display, console)
    state.result()  # raises what the run raised


def _wait_for_history(server: Server, state: Any, display: "Display", console: Console) -> None:
    flow_run_id = str(state.state_details.flow_run_id)
    if not wait_until_recorded(server.api, flow_run_id, display.ended, timeout=RECORD_SECONDS):
        console.print(
            f"Prefect has not recorded all task runs within {RECORD_SECONDS:.0f} s; "
            "'lsdc ui' may show fewer than there were",
            style="yellow",
        )
