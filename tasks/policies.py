"""How every stage is cached and tried again.

A stage's cache key is its inputs' digests, the part of the configuration that it uses, the code
that it calls and the versions of the libraries that matter to it. Prefect alone would compare
arguments by value and the task's own source, miss an edit in a helper, and believe a result whose
files are gone.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast
from uuid import UUID

from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.results import ResultStore, get_result_store
from prefect.utilities.callables import get_call_parameters

from lsdc.errors import NO_ROOM, LsdcError, ResumeLaterError
from lsdc.store.fingerprint import fingerprint, fingerprint_code, fingerprint_libraries
from lsdc.store.manifest import Manifest
from tasks.progress import tell_state
from tasks.results import ResultSerializer
from tasks.run import Run
from tasks.sharing import compute_once, ensure_local

HOUR = 3600.0

P = ParamSpec("P")
R = TypeVar("R", bound=Run)


class Result(Protocol):
    """What a stage returns: it can tell whether its files still stand."""

    def is_intact(self, home: Path) -> bool:
        """Whether everything that the result names is there, unchanged."""
        ...


@dataclass(frozen=True)
class Stage:
    """What decides whether a stage's earlier result still counts.

    Attributes:
        name: the stage's noun.
        code: modules of this project whose code the stage calls; what they import counts too.
        libraries: distributions whose version matters to the result.
        uses: what else the result depends on, from the task's arguments: the run's settings and
            the raw files that the stage reads, as JSON values or models.
        shared: whether hosts that share a store hand its results to each other.
    """

    name: str
    code: tuple[str, ...]
    libraries: tuple[str, ...]
    uses: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    shared: bool = True

    def made_by(self) -> str:
        """A fingerprint of the code and the libraries."""
        return fingerprint(self._made_by())

    def key(self, inputs: Mapping[str, Any]) -> str:
        """The key of a result for these task arguments; equal keys mean equal results."""
        return fingerprint(
            {
                "stage": self.name,
                **self._made_by(),
                "uses": dict(self.uses(inputs)),
                "inputs": {
                    name: _what_counts(value) for name, value in inputs.items() if name != "run"
                },
            }
        )

    def _made_by(self) -> dict[str, Any]:
        return {
            "code": fingerprint_code(self.code),
            "libraries": fingerprint_libraries(self.libraries),
        }


@dataclass(kw_only=True)
class IntactResults(CachePolicy):
    """Prefect's cache policy of a stage: a result counts while its files stand."""

    stage: Stage

    def compute_key(
        self,
        task_ctx: TaskRunContext,  # noqa: ARG002 (Prefect's signature)
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> str:
        """The key under which Prefect looks."""
        return self.key_of(inputs, get_result_store())

    def key_of(self, inputs: Mapping[str, Any], store: ResultStore) -> str:
        """The key under which a result is or will be, past those whose files no longer stand.

        Prefect believes what it finds. So a result that is no longer intact is stepped over: the
        next number has none yet, and the stage runs again.
        """
        base = f"{self.stage.name}-{self.stage.key(inputs)}"
        number = 0
        while store.exists(f"{base}-{number + 1}"):
            number += 1
        key = f"{base}-{number}"
        if store.exists(key):
            result: Result | None = store.read(key).result
            run: Run = inputs["run"]
            if result is None or not self._stands(run, result):
                return f"{base}-{number + 1}"
        return key

    def _stands(self, run: Run, result: Result) -> bool:
        if isinstance(result, Manifest) and self.stage.shared:
            return ensure_local(run, result)
        return result.is_intact(run.root)


def shared(
    stage: Stage,
) -> Callable[[Callable[Concatenate[R, P], Manifest]], Callable[Concatenate[R, P], Manifest]]:
    """Have a task's body run once among all hosts of a shared store; see `compute_once`."""

    def decorate(
        body: Callable[Concatenate[R, P], Manifest],
    ) -> Callable[Concatenate[R, P], Manifest]:
        signature = inspect.signature(body)

        @wraps(body)
        def once(run: R, /, *args: P.args, **kwargs: P.kwargs) -> Manifest:
            make = partial(body, run, *args, **kwargs)
            if run.shared is None:
                return make()
            bound = signature.bind(run, *args, **kwargs)
            bound.apply_defaults()
            return compute_once(run, stage.name, stage.key(bound.arguments), make)

        return once

    return decorate


def stage_options(
    stage: Stage,
    *,
    run_name: str,
    timeout_hours: float | None = None,
    retries: int = 0,
    resumes: int = 0,
) -> dict[str, Any]:
    """The arguments of `@task` for a stage.

    `retries` is how often a failure of the moment is tried again, `resumes` how often work goes on
    that was told to leave and saved itself; the one takes nothing from the other. A timeout is for
    what runs in the flow's own thread: in others Prefect cannot interrupt anything.

    Results are small JSON manifests, see `tasks.results`.
    """
    return {
        "name": stage.name,
        "task_run_name": run_name,
        "cache_policy": IntactResults(stage=stage),
        "persist_result": True,
        "result_serializer": ResultSerializer(),
        "cache_result_in_memory": False,
        "timeout_seconds": None if timeout_hours is None else timeout_hours * HOUR,
        "retries": retries + resumes,
        "retry_delay_seconds": [5.0, 30.0, 120.0][:retries] or None,
        "retry_jitter_factor": 0.5 if retries else None,
        "retry_condition_fn": _tries_again(retries) if retries else None,
        "on_running": [tell_state],
        "on_completion": [tell_state],
        "on_failure": [tell_state],
    }


def _tries_again(retries: int) -> Callable[[Any, Any, Any], bool]:
    """Whether a task run is tried again, asked once after each of its failures.

    Prefect has one number for all of them, which the resumes are in.
    """
    failures: Counter[UUID] = Counter()

    def tries_again(task: Any, task_run: Any, state: Any) -> bool:
        if isinstance(state.result(raise_on_failure=False), ResumeLaterError):
            return True
        failures[task_run.id] += 1
        return failures[task_run.id] <= retries and can_pass_on_second_try(task, task_run, state)

    return tries_again


def is_kept(task: Task[..., Any], *arguments: Any) -> bool:
    """Whether a stage has a result for these arguments, so that its task would not run."""
    key, store = _look_up(task, arguments)
    return store.exists(key)


def result_key(task: Task[..., Any], *arguments: Any) -> str:
    """The key under which a stage's result for these arguments is, or will be."""
    key, _ = _look_up(task, arguments)
    return key


def _look_up(task: Task[..., Any], arguments: tuple[Any, ...]) -> tuple[str, ResultStore]:
    policy = task.cache_policy
    assert isinstance(policy, IntactResults)
    # The flow's own store looks elsewhere; the cast is for the form that coroutines call.
    store = cast(ResultStore, get_result_store().update_for_task(task))
    return policy.key_of(get_call_parameters(task.fn, arguments, {}), store), store


def can_pass_on_second_try(task: Any, task_run: Any, state: Any) -> bool:  # noqa: ARG001
    """Whether a failure may be of the moment; what is wrong with data or settings stays wrong."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, LsdcError):
        return error.is_transient
    return isinstance(error, OSError) and error.errno not in NO_ROOM


def _what_counts(value: Any) -> Any:
    if isinstance(value, Manifest):
        return value.digest
    if isinstance(value, list | tuple):
        return [_what_counts(item) for item in value]
    if isinstance(value, dict):
        return {name: _what_counts(item) for name, item in value.items()}
    return value
