"""`lsdc trigger`: a run of a deployment, on whatever workers there are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.cli.fractions import parse_fraction
from lsdc.cli.server.connection import require_server
from lsdc.cli.server.network import hide_password
from lsdc.cli.server.prefect_settings import own_environment, own_settings
from lsdc.cli.server.user_settings import read_user_settings
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError
from lsdc.store.home import Home, resolve_home
from lsdc.typed_paths import from_root
from tasks.run import MOST_SEED, PHANTOM, choose_data, is_phantom

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse


# What a deployment takes beside what is asked for here by options.
_NOT_OPTIONS = ("home", "resolved", "versions")


def trigger(
    deployment: Annotated[
        str, typer.Argument(metavar="FLOW/NAME", help="For example train-folds/default.")
    ],
    experiment: Annotated[
        str | None, typer.Option(help="What is trained.", show_default="demo")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="How many folds.", show_default="4")] = None,
    only_fold: Annotated[int | None, typer.Option(help="Train this fold alone.")] = None,
    fold: Annotated[
        int | None, typer.Option(help="Which fold, of train-fold.", show_default="0")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The competition's folder, as workers see it, or 'phantom'.",
            show_default="phantom, in a home without other data",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Pretrained weights, as workers see them.")
    ] = None,
    no_pretrained: Annotated[
        bool, typer.Option("--no-pretrained", help="Start from no pretrained weights.")
    ] = False,
    holdout: Annotated[
        str | None,
        typer.Option(help="Share of the studies that no fold gets.", show_default="none"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_SEED, help="Of folds and models.", show_default="0"),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        typer.Option(help="Where models are trained.", show_default="auto"),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads a run may use.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many studies.")] = None,
    annotations: Annotated[
        Literal["raw", "clean"] | None,
        typer.Option(help="Points as given, or mended.", show_default="clean"),
    ] = None,
    max_bad: Annotated[
        str | None,
        typer.Option(help="Share of unreadable files that stops a stage.", show_default="1%"),
    ] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict", help="Refuse to leave a study out.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow folds and epochs; end as the run ends.")
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(help="Whose server is asked.", show_default="LSDC_HOME, else ./lsdc-home"),
    ] = None,
) -> None:
    """Start a run of a deployment; workers do it. PREFECT_API_URL, where set, names the server."""
    console = open_console()
    api = require_server(Home(resolve_home(home)), read_user_settings())
    asked: dict[str, Any] = {
        "experiment": experiment,
        "folds": folds,
        "only_fold": only_fold,
        "fold": fold,
        "data": None if data is None else _as_workers_see(data),
        "settings": [*(changes or []), *(["model.pretrained=false"] if no_pretrained else [])]
        or None,
        "weights": None if weights is None else str(from_root(weights)),
        "holdout": None if holdout is None else parse_fraction(holdout),
        "seed": seed,
        "device": device,
        "threads": threads,
        "limit": limit,
        "annotations": annotations,
        "max_bad": None if max_bad is None else parse_fraction(max_bad),
        "strict": strict,
    }
    given = {name: value for name, value in asked.items() if value is not None}

    from prefect.client.orchestration import get_client

    with own_settings(own_environment(None, api)), get_client(sync_client=True) as client:
        found = _find(client, deployment)
        _check(found, deployment, given)
        parameters = found.parameters | given
        name = parameters.get("experiment") or "demo"
        # What is wrong with it is said here, at once.
        EXPERIMENTS.load(name, parameters.get("settings") or ())
        if parameters.get("data") is None and "data" in _known(found):
            choose_data(Home(resolve_home(home)), None)
        if "resolved" in _known(found):
            given["resolved"] = EXPERIMENTS.resolve(name)
        # The name that it will have, so that it is found while it waits for a worker.
        words = [deployment.partition("/")[0], fold, name]
        called = "-".join(str(word) for word in words if word is not None)
        run = client.create_flow_run_from_deployment(found.id, parameters=given, name=called)
        console.print(
            f"{hide_password(api.url.removesuffix('/api'))}/runs/flow-run/{run.id}",
            highlight=False,
            soft_wrap=True,
        )
        if watch:
            from lsdc.cli.server.watch import follow

            raise typer.Exit(follow(client, run, console))


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
            f"{name}: no such deployment on {client.api_url}; there are "
            f"{', '.join(there) or 'none, and lsdc up makes them'}"
        ) from None


def _check(found: "DeploymentResponse", name: str, given: dict[str, Any]) -> None:
    known = _known(found)
    for parameter in given:
        if parameter not in known:
            there = (_option(each) for each in known if each not in _NOT_OPTIONS)
            raise SettingsError(
                f"{_option(parameter)}: {name} takes no such thing, expected some of "
                f"{', '.join(there)}"
            )


def _known(found: "DeploymentResponse") -> dict[str, Any]:
    """The parameters that a deployment takes."""
    return dict((found.parameter_openapi_schema or {}).get("properties", {}))


def _option(parameter: str) -> str:
    return "--set" if parameter == "settings" else f"--{parameter.replace('_', '-')}"
