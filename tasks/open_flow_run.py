"""Open the run that a flow run's parameters request.

A worker runs flows later, perhaps twice, in a temporary folder. So paths must be absolute there,
and the resolved experiment is kept with its name.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from prefect.client.orchestration import get_client

from lsdc.errors import SettingsError
from lsdc.experiments.presets import AUTO
from lsdc.typed_paths import is_from_root
from tasks.dispatch import trains_on_gpu_pool
from tasks.prefect_runs import this_flow_run
from tasks.request import RunRequest
from tasks.run import Run, is_phantom, open_run, with_experiment

R = TypeVar("R", bound=Run)


def open_requested(kind: type[R], request: RunRequest, say: Callable[[str], None]) -> R:
    """Open the run that a flow run's parameters request; see `open_run`.

    If they name no experiment, it is chosen by this host's device, or, if the GPU pool trains, by
    `device` alone where this host has no GPU; `say` gets the line that tells so.

    Raises:
        SettingsError: what `open_run` refuses; on a worker, a path that is not absolute.
    """
    flow_run = this_flow_run()
    if flow_run is not None and flow_run.deployment_id is not None:
        data = request.data
        folder = None if data is None or is_phantom(data) else data
        _require_absolute(data=folder, home=request.home, weights=request.weights)
    request = with_experiment(kind, request, elsewhere=trains_on_gpu_pool(), say=say)
    run = open_run(kind, request)
    note_request(run)
    return run


def _require_absolute(*, home: Path | None, **paths: Path | None) -> None:
    """Refuse relative paths, which would be in the worker's temporary folder."""
    all_paths: dict[str, Path | str | None] = {"home": home, **paths}
    if home is None:
        all_paths["LSDC_HOME of the worker"] = os.environ.get("LSDC_HOME") or "lsdc-home"
    store = os.environ.get("LSDC_STORE")
    all_paths["LSDC_STORE of the worker"] = None if store and "://" in store else store
    for name, path in all_paths.items():
        if path is not None and not is_from_root(Path(path)):
            raise SettingsError(
                f"{name}={path}: a run on a worker needs absolute paths, as it works in a "
                f"temporary folder that is removed when it ends; expected {Path('/')}.../{path}"
            )


def note_request(run: Run) -> None:
    """Tag the flow run with its experiment and data, and pin its meaning for a Retry.

    A flow run that was started without an experiment gets the name of the one that was chosen.
    """
    flow_run = this_flow_run()
    if flow_run is None:
        return
    tags = {*flow_run.tags, run.experiment.name, run.data.name} - {""}
    chosen = {"experiment": run.experiment.name, "resolved": run.resolved}
    parameters = flow_run.parameters | chosen
    flow_run.name = _named(flow_run.name, run.experiment.name)
    with get_client(sync_client=True) as client:
        # A run without a deployment cannot be retried; it shows the parameters it was called with.
        kept = None if flow_run.deployment_id is None else parameters
        client.update_flow_run(flow_run.id, name=flow_run.name, tags=sorted(tags), parameters=kept)


def _named(flow_run: str, experiment: str) -> str:
    """Return the name of a flow run with its experiment in place of "auto"."""
    flow = flow_run.removesuffix(f"-{AUTO}")
    return flow_run if flow == flow_run else f"{flow}-{experiment}"
