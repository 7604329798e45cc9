"""Stages: Prefect tasks whose results are stored.

A result is reused while its key matches and its files are unchanged. The key consists of the
inputs' digests, the part of the configuration that the stage uses, the code that it calls and the
versions of the libraries that affect the result. Prefect's own caching compares only the values of
the arguments and the source of the task. It would miss a change in a helper function, and it would
trust a result whose files were deleted. So Prefect's caching is off here, and a stage with a stored
result ends in the state *Cached*.
"""

import inspect
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import wraps
from importlib import import_module
from typing import Any, Generic, ParamSpec, TypeVar, cast, get_type_hints
from uuid import UUID

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import task_run
from prefect.states import Completed

from lsdc.errors import NO_ROOM, LsdcError, ResumeLaterError
from lsdc.store.costs import Cost, measuring, record_cost
from lsdc.store.fingerprint import fingerprint, fingerprint_code, fingerprint_libraries
from lsdc.store.manifest import Manifest
from lsdc.store.result_index import Result
from tasks.progress import Progress, report_progress, report_state
from tasks.results import compute_once, find_result
from tasks.run import Run

HOUR = 3600.0
RETRY_DELAYS_SECONDS = (5.0, 30.0, 120.0)

P = ParamSpec("P")

log = logging.getLogger("lsdc.stage")


T = TypeVar("T", bound=Result)
Uses = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Stage(Generic[P, T]):
    """A function whose result is stored, called as a Prefect task; see `stage`.

    The function has a parameter `run`.

    Attributes:
        name: the name of the stage, a noun.
        fn: the function itself.
        code: modules of this project whose code the stage calls; what they import counts too.
        libraries: packages whose versions affect the result.
        task: Prefect's task.
    """

    def __init__(
        self,
        fn: Callable[P, T],
        name: str,
        *,
        code: Sequence[str],
        libraries: Sequence[str],
        uses: Uses,
        shared: bool,
        shown: bool,
        **options: Any,
    ) -> None:
        self.name, self.fn, self.code, self.libraries = name, fn, code, libraries
        self._uses, self._shared, self._shown = uses, shared, shown
        self._kind = cast(type[T], get_type_hints(fn)["return"])
        self._signature = inspect.signature(fn)

        @wraps(fn)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            return cast(T, self._run(*args, **kwargs))

        self.task: Task[P, T] = Task(
            run, name=name, cache_policy=NO_CACHE, persist_result=False, **options
        )

    def __reduce__(self) -> tuple[Callable[[str, str], Any], tuple[str, str]]:
        """Pickle the stage by name, for Dask's workers."""
        return _import_stage, (self.fn.__module__, self.fn.__qualname__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the task, or reuse its stored result; the task run is then *Cached*."""
        state = self.task(*args, **kwargs, return_state=True)
        return state.result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[T]:
        """Submit the task to run concurrently with others of its flow."""
        return self.task.submit(*args, **kwargs)

    def code_fingerprint(self) -> str:
        """Return a fingerprint of the code and of the versions of the libraries."""
        return fingerprint(self._fingerprints())

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the result's key for these arguments; equal keys mean equal results."""
        inputs = self._inputs(*args, **kwargs)
        return fingerprint(
            {
                "stage": self.name,
                **self._fingerprints(),
                "uses": dict(self._uses(inputs)),
                "inputs": {
                    name: _key_part(value) for name, value in inputs.items() if name != "run"
                },
            }
        )

    def find(self, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the stored result for these arguments, from the home or the store; else None."""
        run = self._inputs(*args, **kwargs)["run"]
        return self._find(run, self.key(*args, **kwargs))

    def _run(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the body of the task: return the stored result, or compute and store it."""
        run, key = self._inputs(*args, **kwargs)["run"], self.key(*args, **kwargs)
        if found := self._find(run, key):
            return Completed(name="Cached", message="The stored result was used.", data=found)
        if self._shown:
            report_progress(Progress(str(task_run.get_name()), state="Running"))

        def compute() -> T:
            return self._compute(run, *args, **kwargs)

        return compute_once(run, self.name, key, self._kind, compute, shared=self._shared)

    def _compute(self, run: Run, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function, and record what a result with files took."""
        if not self._shown or not issubclass(self._kind, Manifest):
            return self.fn(*args, **kwargs)
        with measuring() as measured:
            result = self.fn(*args, **kwargs)
        cost = Cost(
            stage=self.name,
            name=str(task_run.get_name()),
            path=cast(Manifest, result).path,
            seconds=measured.seconds,
            peak_bytes=measured.peak_bytes,
            ended=datetime.now(UTC),
        )
        record_cost(run.root, cost)
        return result

    def _find(self, run: Run, key: str) -> T | None:
        return find_result(run, self.name, key, self._kind, shared=self._shared)

    def _inputs(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _fingerprints(self) -> dict[str, Any]:
        return {
            "code": fingerprint_code(self.code),
            "libraries": fingerprint_libraries(self.libraries),
        }


def stage(
    name: str,
    *,
    code: Sequence[str],
    libraries: Sequence[str],
    uses: Uses = lambda _: {},
    run_name: str,
    timeout_hours: float | None = None,
    retries: int = 0,
    resumes: int = 0,
    retry_delays_seconds: Sequence[float] = RETRY_DELAYS_SECONDS,
    shared: bool = True,
    shown: bool = True,
) -> Callable[[Callable[P, T]], Stage[P, T]]:
    """Return a decorator that turns a function with a parameter `run` into a stage.

    Args:
        name: the name of the stage, a noun.
        code: modules of this project whose code the stage calls; what they import counts too.
        libraries: packages whose versions affect the result.
        uses: function that takes the arguments by name and returns what else the key consists of:
            the run's settings and the raw files that the stage reads, as JSON values or models.
        run_name: the name of its task runs, a template over the arguments.
        timeout_hours: the time limit, only for stages in the flow's own thread; Prefect cannot
            interrupt other threads.
        retries: how often a transient failure is retried.
        resumes: how often the stage is resumed after it was stopped and saved a checkpoint; resumes
            do not count as `retries`.
        retry_delays_seconds: the delays before the retries.
        shared: whether the results are published in the shared store.
        shown: whether progress displays show its task runs, and its time and memory are recorded.
    """

    def decorate(fn: Callable[P, T]) -> Stage[P, T]:
        return Stage(
            fn,
            name,
            code=code,
            libraries=libraries,
            uses=uses,
            shared=shared,
            shown=shown,
            task_run_name=run_name,
            timeout_seconds=None if timeout_hours is None else timeout_hours * HOUR,
            retries=retries + resumes,
            retry_delay_seconds=list(retry_delays_seconds[:retries]) or None,
            retry_jitter_factor=0.5 if retries else None,
            retry_condition_fn=_retry_condition(retries) if retries else None,
            on_completion=[report_state] if shown else None,
            on_failure=[report_state] if shown else None,
        )

    return decorate


def _import_stage(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _retry_condition(retries: int) -> Callable[[Any, Any, Any], bool]:
    """Return a function that decides, once after each failure, whether a task run is retried.

    Prefect counts retries and resumes together, so failures are counted here.
    """
    failures: Counter[UUID] = Counter()

    def tries_again(task: Any, task_run: Any, state: Any) -> bool:
        if isinstance(state.result(raise_on_failure=False), ResumeLaterError):
            return True
        failures[task_run.id] += 1
        return failures[task_run.id] <= retries and is_transient(task, task_run, state)

    return tries_again


def is_transient(task: Any, task_run: Any, state: Any) -> bool:  # noqa: ARG001
    """Return whether a failure may be transient; errors in data or settings are not."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, LsdcError):
        return error.is_transient
    return isinstance(error, OSError) and error.errno not in NO_ROOM


def _key_part(value: Any) -> Any:
    if isinstance(value, Manifest):
        return value.digest
    if isinstance(value, list | tuple):
        return [_key_part(item) for item in value]
    if isinstance(value, dict):
        return {name: _key_part(item) for name, item in value.items()}
    return value
