"""Artifacts: what a run shows in Prefect's UI, which outlives its terminal output."""

import contextlib
import contextvars
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.sorting import ArtifactSort

from lsdc.training.events import (
    EpochDone,
    Event,
    NetEpochDone,
    Predicting,
    Resumed,
    StepDone,
)
from tasks.prefect_runs import this_flow_run
from tasks.progress import Progress, hide_prefect_messages, listening
from tasks.run import Run

# An update costs the server some 20 ms.
SECONDS = 1.0

_SCORE = "score"  # the last word of a key

# The training events that are shown; the end of a training has its own state.
_OF_TRAININGS = (StepDone, EpochDone, Predicting, NetEpochDone, Resumed)

log = logging.getLogger("lsdc.progress")


@contextlib.contextmanager
def shown(run: Run) -> Iterator[None]:
    """Show the progress of the run's trainings in Prefect's UI and the log during the block."""
    ours = logging.getLogger("lsdc")
    ours.setLevel(min(ours.level or logging.INFO, logging.INFO))
    hide_prefect_messages()
    shower = _Shower(run.experiment.name)
    try:
        with listening(shower):
            yield
    finally:
        shower.end()


class _Shower:
    """Turns training events into a progress bar, a table of epochs and log lines per training."""

    def __init__(self, experiment: str) -> None:
        self.experiment = experiment
        self.trainings: dict[str, _Training] = {}

    def __call__(self, progress: Progress) -> None:
        name, event = progress.name, progress.event
        if isinstance(event, _OF_TRAININGS):
            if name not in self.trainings:
                self.trainings[name] = _Training(self.experiment, name)
            self.trainings[name].handle(event)
        if isinstance(event, EpochDone):
            log.info(", ".join(event.words))
        if progress.state is not None and name in self.trainings and progress.state != "Running":
            self.trainings.pop(name).end()

    def end(self) -> None:
        """Show the last events of trainings that were interrupted."""
        while self.trainings:
            _, training = self.trainings.popitem()
            training.end()


class _Training:
    """A progress bar and a table of epochs, updated by a separate thread.

    Reading the training's output must not wait for the server.
    """

    def __init__(self, experiment: str, name: str) -> None:
        self.experiment, self.name = experiment, name
        self.share: float | None = None
        self.epochs: list[dict[str, Any]] = []
        self._ended = threading.Event()
        context = contextvars.copy_context()  # holds the flow run that owns the artifacts
        self._thread = threading.Thread(target=context.run, args=(self._show,), daemon=True)
        self._thread.start()

    def handle(self, event: Event) -> None:
        """Handle an event of the training."""
        if event.share is not None:
            self.share = event.share
        if isinstance(event, Resumed):
            self.epochs = list(map(_epoch, event.past))
        if isinstance(event, EpochDone):
            self.epochs = [*self.epochs, _epoch(event.model_dump())]

    def end(self) -> None:
        """Show the last event, then stop."""
        self._ended.set()
        self._thread.join(timeout=10 * SECONDS)

    def _show(self) -> None:
        bar: UUID | None = None
        table: UUID | None = None
        share: float | None = None
        epochs: list[dict[str, Any]] = []
        while True:
            last = self._ended.wait(SECONDS)
            with unless_refused():
                if self.share is not None and self.share != share:
                    share = self.share
                    bar = self._show_share(bar, 100 * share)
                if self.epochs != epochs:
                    epochs = self.epochs
                    table = self._show_epochs(table, epochs)
            if last:
                return

    def _show_share(self, bar: UUID | None, percent: float) -> UUID:
        key = artifact_key(self.experiment, self.name)
        if bar := bar or _shown_before(key):
            update_progress_artifact(bar, percent)
            return bar
        return cast(UUID, create_progress_artifact(percent, key, self.name))

    def _show_epochs(self, table: UUID | None, epochs: list[dict[str, Any]]) -> UUID:
        key = artifact_key(self.experiment, self.name, "losses")
        if table := table or _shown_before(key):
            with get_client(sync_client=True) as client:
                client.update_artifact(table, ArtifactUpdate(data=json.dumps(epochs)))
            return table
        description = f"{self.name}, by epoch"
        return cast(UUID, create_table_artifact(epochs, key=key, description=description))


def _shown_before(key: str) -> UUID | None:
    """Return the flow run's artifact under this key, from an attempt before a Retry."""
    me = this_flow_run()
    if me is None:
        return None
    mine = filters.ArtifactFilter(
        key=filters.ArtifactFilterKey(any_=[key]),
        flow_run_id=filters.ArtifactFilterFlowRunId(any_=[me.id]),
    )
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=mine, limit=1)
    return found[0].id if found else None


@contextlib.contextmanager
def unless_refused() -> Iterator[None]:
    """Log HTTP errors of the block: a run does not fail because it cannot be displayed."""
    try:
        yield
    except httpx.HTTPError as error:
        log.warning("cannot be shown in Prefect's UI: %s", error)


def artifact_key(*words: str) -> str:
    """Return an artifact key as Prefect accepts it: lower-case letters, digits, dashes."""
    return re.sub("[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def show_score(experiment: str, score: float | None, file: Path) -> None:
    """Show a run's score and the file with its scores.

    They are no labels of the flow run: SQLite refuses to update a run while Prefect records task
    runs, and the client tries again after 2 s.
    """
    create_table_artifact(
        [{"score": score, "file": str(file)}],
        key=artifact_key(experiment, _SCORE),
        description=f"{experiment}: out-of-fold score",
    )


def find_score(client: SyncPrefectClient, flow_run_id: UUID) -> dict[str, Any] | None:
    """Return the `score` and the `file` that a flow run shows, if any."""
    scores = filters.ArtifactFilter(
        key=filters.ArtifactFilterKey(like_=f"%-{_SCORE}"),
        flow_run_id=filters.ArtifactFilterFlowRunId(any_=[flow_run_id]),
    )
    for found in client.read_artifacts(
        artifact_filter=scores, sort=ArtifactSort.UPDATED_DESC, limit=1
    ):
        (row,) = json.loads(str(found.data))
        return cast("dict[str, Any]", row)
    return None


def _epoch(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("epoch", "loss", "validation_loss", "score")
    return {column: rounded(row[column]) for column in shown if column in row}


def rounded(value: Any) -> Any:
    """Round a number to four places for display; return other values unchanged."""
    return round(value, 4) if isinstance(value, float) else value
