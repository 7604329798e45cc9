"""`lsdc trigger`: start a run of a deployment on the available workers."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lsdc.challenges.registry import CHALLENGES, find_challenge
from lsdc.cli.completion import complete_deployments
from lsdc.cli.options import NoPretrained, home_option, run_options
from lsdc.cli.server.connection import require_server
from lsdc.cli.server.network import hide_password
from lsdc.cli.server.prefect_settings import own_environment, own_settings
from lsdc.cli.server.user_settings import read_user_settings
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError
from lsdc.experiments.presets import AUTO
from lsdc.experiments.settings import parse_settings
from lsdc.store.home import Home, resolve_home
from lsdc.typed_paths import from_root
from tasks.request import FoldRequest, RunRequest, require_own, sent_names
from tasks.run import PHANTOM, choose_data, is_phantom

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse


@run_options(
    FoldRequest,
    without=("home",),
    help_texts={
        "data": "Folder of the competition's data, as a path on the workers, or 'phantom' for "
        "synthetic data.",
        "weights": "File or folder with pretrained weights, as a path on the workers.",
    },
)
def trigger(
    options: dict[str, Any],
    *,
    deployment: Annotated[
        str,
        typer.Argument(
            metavar="FLOW/NAME",
            help="Deployment: pipeline/default, prepare/default, train-folds/default, "
            "submit/default, train-fold/default, train-coordinates/default or train-judge/default.",
            autocompletion=complete_deployments,
        ),
    ],
    no_pretrained: NoPretrained = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help=(
                "Print folds, epochs and scores until the run ends; the exit code shows whether it "
                "succeeded."
            ),
        ),
    ] = False,
    home: Annotated[
        Path | None,
        home_option("Home whose Prefect server is used, if PREFECT_API_URL is not set."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the run, and with --watch its scores, as JSON."),
    ] = False,
) -> None:
    """Start a run of a deployment on the server of PREFECT_API_URL, or else of the home."""
    console = open_console(stderr=as_json)
    api = require_server(Home(resolve_home(home)), read_user_settings())
    if no_pretrained:
        options["settings"] = [*options.get("settings", ()), "model.pretrained=false"]
    request = FoldRequest.of(**options)  # reports invalid values at once
    given = request.model_dump(mode="json", include=set(options))
    if request.data is not None:
        given["data"] = _as_workers_see(request.data)
    if request.weights is not None:
        given["weights"] = str(from_root(request.weights))

    from prefect.client.orchestration import get_client

    with own_settings(own_environment(None, api)), get_client(sync_client=True) as client:
        run = _create(client, deployment, given, Home(resolve_home(home)), _say)
        page = f"{hide_password(api.url.removesuffix('/api'))}/runs/flow-run/{run.id}"
        if not as_json or watch:
            console.print(page, highlight=False, soft_wrap=True)
        code, ended = _watch(client, run, console, as_json=as_json) if watch else (0, {})
        if as_json:
            typer.echo(json.dumps({"flow_run": str(run.id), "page": page, **ended}, indent=2))
        raise typer.Exit(code)


def _create(
    client: "SyncPrefectClient",
    deployment: str,
    given: dict[str, Any],
    home: Home,
    say: Callable[[str], None],
) -> "FlowRun":
    """Create a run of a deployment with the given parameters, once they are checked."""
    found = _find(client, deployment)
    _check(found, deployment, given)
    meant = find_meaning(found.parameters | given, _known(found), home, say)
    # Its final name, so that it can be found while it waits for a worker.
    words = [deployment.partition("/")[0], given.get("fold"), meant.get("experiment", AUTO)]
    called = "-".join(str(word) for word in words if word is not None)
    return client.create_flow_run_from_deployment(found.id, parameters=given | meant, name=called)


def find_meaning(
    parameters: Mapping[str, Any], known: Collection[str], home: Home, say: Callable[[str], None]
) -> dict[str, Any]:
    """Check the parameters of a run, and return the experiment that they mean with its settings.

    Where they name no experiment, the worker chooses it, as it knows the device. If the data are
    not on this machine either, only the worker knows the challenge, and the run checks its
    settings itself; `say` gets a line that tells so.

    Args:
        parameters: the parameters, those saved with the deployment included.
        known: the names of the parameters that the deployment has.
        home: the home whose server is used.
        say: what prints a line.

    Raises:
        SettingsError: an unknown experiment or setting, or settings that cannot work together.
    """
    data, settings = parameters.get("data"), parameters.get("settings") or ()
    name = parameters.get("experiment") or AUTO
    challenge = find_challenge(RunRequest.of(experiment=name, data=data))
    if challenge is None:
        if settings:
            _require_in_some_challenge(settings)
            say(
                f"{data}: no competition's tables on this machine, so the run itself checks the "
                "settings; name an experiment (--experiment) to have them checked now"
            )
        return {}
    kind = challenge.run
    require_own(parameters, kind.own_parameters, challenge.name)
    if data is None and "data" in known:
        choose_data(kind, home, None)
    if name == AUTO and (data is None or is_phantom(Path(data)) or kind.is_synthetic(Path(data))):
        name = kind.defaults.synthetic
    if name == AUTO:
        parse_settings(settings, kind.experiments.config)
        return {}
    kind.experiments.load(name, settings)
    resolved = {"resolved": kind.experiments.resolve(name)} if "resolved" in known else {}
    return {"experiment": name, **resolved}


def _require_in_some_challenge(settings: Sequence[str]) -> None:
    """Refuse settings that no challenge has all of."""
    refused = []
    for challenge in CHALLENGES:
        try:
            parse_settings(settings, challenge.experiments.config)
        except SettingsError as error:
            refused.append(f"{challenge.title}: {error}")
        else:
            return
    raise SettingsError("; ".join(refused))


def _say(text: str) -> None:
    open_console(stderr=True).print(text, style="yellow", highlight=False, soft_wrap=True)


def _watch(
    client: "SyncPrefectClient", run: "FlowRun", console: Console, *, as_json: bool
) -> tuple[int, dict[str, Any]]:
    """Follow a run to its end, and print its scores if it completed.

    Returns:
        The exit code, and as JSON values the code and what is known of the scores.
    """
    from lsdc.cli.render.run_summary import show_file_of_scores
    from lsdc.cli.server.watch import follow
    from tasks.artifacts import find_score

    code = follow(client, run, console)
    found = (find_score(client, run.id) if code == 0 else None) or {}
    if found and not as_json:
        show_file_of_scores(Path(found["file"]), found["score"], console)
    return code, {"code": code, **found}


def _as_workers_see(data: Path) -> str:
    return PHANTOM if is_phantom(data) else str(from_root(data))


def _find(client: "SyncPrefectClient", name: str) -> "DeploymentResponse":
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(name)
    except (ObjectNotFound, ValueError):
        there = sorted(
            f"{client.read_flow(each.flow_id).name}/{each.name}"
            for each in client.read_deployments()
        )
        raise SettingsError(
            f"{name}: no such deployment on {client.api_url}; "
            + (f"expected one of {', '.join(there)}" if there else "'lsdc up' creates them all")
        ) from None


def _check(found: "DeploymentResponse", name: str, given: dict[str, Any]) -> None:
    known, no_options = _known(found), {"home", *sent_names(FoldRequest)}
    for parameter in given:
        if parameter not in known:
            there = (_option(each) for each in known if each not in no_options)
            raise SettingsError(
                f"{_option(parameter)}: {name} has no such parameter, expected one of "
                f"{', '.join(there)}"
            )


def _known(found: "DeploymentResponse") -> dict[str, Any]:
    """Return the parameters of a deployment."""
    return dict((found.parameter_openapi_schema or {}).get("properties", {}))


def _option(parameter: str) -> str:
    return "--set" if parameter == "settings" else f"--{parameter.replace('_', '-')}"
