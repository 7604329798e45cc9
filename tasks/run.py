"""A run's settings, resolved once and passed from task to task."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from lsdc.errors import SettingsError
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.defaults import Choice, Defaults, choice_line
from lsdc.experiments.presets import AUTO, Experiments
from lsdc.messages import counted
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_text
from lsdc.store.fingerprint import fingerprint
from lsdc.store.garbage import pin_results, pin_so_far
from lsdc.store.home import Home, open_home, resolve_home
from lsdc.store.locks import require_locks
from lsdc.store.manifest import Manifest
from lsdc.store.remote import RemoteStore, open_store
from lsdc.store.runs import EXPERIMENT_FILE, list_runs
from lsdc.training.models.weights import find_weights
from lsdc.training.process import unset_thread_binding
from lsdc.typed_paths import from_root
from tasks.device import count_gpus, gpu_memory_gb, usable_threads, whole_number_in
from tasks.request import MOST_IMAGES, Device, RunOptions, RunRequest, require_own
from tasks.runners import THREADS, find_runner

if TYPE_CHECKING:
    import polars as pl

    from lsdc.tables.table import Table

log = logging.getLogger("lsdc.run")

T = TypeVar("T")

PHANTOM = "phantom"  # in place of a folder

_IMAGES = 12
IMAGES_OF_A_REPORT = "LSDC_IMAGES"

# Settings that no score depends on: name, place, hardware, time limits, which folds to train, and
# images of the report.
TRAINING_CHANGES_NO_RESULT = {"stall_minutes", "checkpoint_steps"}
_OUTSIDE = ("root", "name", "resolved", "only_fold", "device", "processes", "threads")
CHANGES_NO_RESULT = dict.fromkeys((*_OUTSIDE, "store", "runner", "images", "strict"), True) | {
    "experiment": {"training": TRAINING_CHANGES_NO_RESULT}
}


@dataclass(frozen=True)
class Place:
    """Where one of a run's trainings is done.

    Attributes:
        device: its device.
        beside: the devices of the other processes that train the model together with the first.
        threads: number of threads of each process.
        workers: number of processes that load its data; without a GPU, training needs the cores.
    """

    device: str
    threads: int
    workers: int
    beside: tuple[str, ...] = ()


class Run(RunOptions, ABC):
    """The settings of a run: immutable, stored as JSON, and the same for all of its tasks.

    Each challenge has a subclass, which names its experiment class, its experiments, the folder of
    its phantom in the home, and its training tables: a pattern of their file names. Runs whose
    training tables have the same content are on the same data, wherever it is. It also names the
    parameters of its own, those that other challenges refuse (`own` in `tasks.request`).

    `name` is the name of its folder in `runs/`, which `locked_experiment` sets. `resolved` is the
    experiment as resolved when the run was requested, without `--set` overrides; child runs use it.
    """

    experiments: ClassVar[Experiments[Any]]
    defaults: ClassVar[Defaults]
    phantom: ClassVar[str] = PHANTOM
    training_tables: ClassVar[str] = "train*.csv"
    own_parameters: ClassVar[tuple[str, ...]] = ()

    root: Path
    name: str
    data: Path
    experiment: BaseExperiment
    resolved: dict[str, Any]
    threads: int
    images: int
    store: str | None = None
    runner: str = THREADS

    @classmethod
    def is_synthetic(cls, data: Path) -> bool:  # noqa: ARG003 (challenges may tell it)
        """Return whether a folder has synthetic data, as the home's phantom has."""
        return False

    @property
    @abstractmethod
    def has_test(self) -> bool:
        """True if the competition asks for a submission: its sample submission has rows."""

    @property
    def will_submit(self) -> bool:
        """True if the run makes a submission; a phantom, which may not exist yet, asks for one."""
        return self.uses_phantom or self.has_test

    @property
    @abstractmethod
    def task_runs(self) -> list[str]:
        """The names of the task runs that count as the pipeline's progress, in order.

        The catalog's and the phantom's task runs are not included.
        """

    @property
    @abstractmethod
    def catalog(self) -> "Mapping[str, type[Table]]":
        """The tables of the stages' results that the catalog shows, by name."""

    def table(self, result: Manifest, name: str) -> "pl.DataFrame":
        """Read a table of a stage's result."""
        return read_parquet(result.file(self.root, f"{name}.parquet"))

    def parts(self, *names: str) -> dict[str, Any]:
        """Return parts of the experiment by name, as a stage's key takes them."""
        return {name: getattr(self.experiment, name) for name in names}

    @property
    def shared(self) -> RemoteStore | None:
        """The store that the run shares with other hosts, if any."""
        return None if self.store is None else RemoteStore(self.store)

    @property
    def home(self) -> Home:
        """The home of the run."""
        return Home(self.root)

    @property
    def folder(self) -> Path:
        """The folder of the run's models, predictions and scores."""
        return self.home.run(self.name)

    def fold(self, fold: int) -> Path:
        """Return a fold's folder."""
        return self.home.fold(self.name, fold)

    def at_home(self, manifest: Manifest) -> Manifest:
        """Return the manifest with the path that its result has in this run's home.

        On another host, or in another run with the same settings, the run's folder may have another
        name.
        """
        folder, *inside = PurePosixPath(manifest.path).parts
        if folder != self.home.runs.name:
            return manifest
        return manifest.model_copy(update={"path": "/".join([folder, self.name, *inside[1:]])})

    @property
    def uses_phantom(self) -> bool:
        """Whether the run uses the home's phantom instead of real data."""
        return self.data == self.home.root / self.phantom

    @property
    def data_word(self) -> str:
        """The `data` parameter for another host: its own phantom, or the same folder."""
        return PHANTOM if self.uses_phantom else str(self.data)

    @property
    def settings(self) -> str:
        """A fingerprint of the settings that can change the run's results."""
        return fingerprint(self.model_dump(mode="json", exclude=CHANGES_NO_RESULT))

    @property
    def folds_to_train(self) -> tuple[int, ...]:
        """All folds, or the requested one."""
        return tuple(range(self.folds)) if self.only_fold is None else (self.only_fold,)

    def in_groups(self, trainings: Sequence[T]) -> list[tuple[T, ...]]:
        """Return the trainings in groups that run at the same time.

        Each GPU trains one model at a time. Without GPUs, each thread does: one process on two
        threads is slower than two processes on one thread each (measured by
        `benchmarks/training.py`). With `processes`, a model takes so many GPUs or threads.
        """
        width = max(1, (count_gpus(self.device) or self.threads) // self.processes)
        return [
            tuple(trainings[start : start + width]) for start in range(0, len(trainings), width)
        ]

    def place_of(self, training: T, trainings: Sequence[T]) -> Place:
        """Return the place of one of the trainings, with GPUs of its own in its group.

        If there are fewer GPUs than `processes`, these share them.
        """
        groups, gpus = self.in_groups(trainings), count_gpus(self.device)
        (number,) = (group.index(training) for group in groups if training in group)
        threads = max(1, self.threads // (len(groups[0]) * self.processes))
        first = number * self.processes
        device, *beside = (
            f"{self.device}:{each % gpus}" if gpus else self.device
            for each in range(first, first + self.processes)
        )
        return Place(device, threads, workers=threads if gpus else 0, beside=tuple(beside))


R = TypeVar("R", bound=Run)


@dataclass(frozen=True)
class Host:
    """The resources of a host for runs, which do not depend on the parameters of a run.

    Attributes:
        store: the store shared with other hosts, if any.
        runner: where the shards of a stage run; see `tasks.runners`.
    """

    store: RemoteStore | None = None
    runner: str = THREADS

    @classmethod
    def find(cls, store: str | None = None, runner: str | None = None) -> "Host":
        """Find the requested store and runner, else those of LSDC_STORE and LSDC_TASK_RUNNER.

        Raises:
            SettingsError: a store without locks; an unknown task runner.
            StoreError: the store cannot be used.
        """
        opened = open_store(store)
        if opened is not None:
            require_locks(opened)
            opened.require()
        return cls(opened, find_runner(runner))


def open_run(kind: type[R], request: RunRequest, host: Host | None = None) -> R:
    """Check the settings before any work is done, and open the home.

    With `data` set to `phantom`, the run uses the home's phantom. Without `data` it does so, too,
    but this is refused if the home has runs on other data. If the request names no experiment, it
    is chosen here; see `with_experiment`.

    Args:
        kind: the class of the challenge's runs.
        request: the run's parameters.
        host: this host's resources; by default from the environment.

    Raises:
        SettingsError: an unknown experiment or setting, or settings that cannot work together; a
            parameter of another challenge; a store without locks; an unknown task runner.
        DataError: the home cannot be used.
        StoreError: the store cannot be used.
    """
    request, named = with_experiment(kind, request), kind.experiments
    require_own(dict(request), kind.own_parameters, named.challenge)
    tables = request.resolved or named.resolve(request.experiment)
    chosen = named.load(request.experiment, request.settings, resolved=request.resolved)
    threads = request.threads or usable_threads()
    weights = request.weights
    if weights is not None:
        weights = from_root(weights)
        _require_weights(weights, chosen)
    if bound := unset_thread_binding():
        log.info(
            "%s: ignored, because all processes of a run would be bound to the first core; the "
            "operating system chooses the cores, and the run uses %s",
            ", ".join(bound),
            counted(threads, "thread"),
        )
    host = host or Host.find()
    opened = open_home(resolve_home(request.home))
    options = {name: getattr(request, name) for name in RunOptions.model_fields}
    resolved: dict[str, Any] = {
        "root": opened.root,
        "name": chosen.name,
        "data": choose_data(kind, opened, request.data),
        "experiment": chosen,
        "resolved": tables,
        "threads": threads,
        "images": usual_images() if request.images is None else request.images,
        "weights": weights,
        "store": None if host.store is None else host.store.url,
        "runner": host.runner,
    }
    return kind(**options | resolved)


def with_experiment(
    kind: type[Run],
    request: RunRequest,
    *,
    elsewhere: bool = False,
    say: Callable[[str], None] = log.info,
) -> RunRequest:
    """Return the request with the name of an experiment in place of "auto".

    On synthetic data, it is the challenge's small experiment. On other data it is the best one for
    the device, and `say` gets a line that tells so. Of several GPUs the smallest counts.

    Args:
        kind: the class of the challenge's runs.
        request: the run's parameters.
        elsewhere: whether other hosts train; of their GPU only `device` is known.
        say: what prints or logs a line.
    """
    if request.experiment != AUTO:
        return request
    if request.resolved is not None:  # chosen where the run was requested
        return request.model_copy(update={"experiment": request.resolved["name"]})
    home = Home(resolve_home(request.home))
    data = choose_data(kind, home, request.data)
    if data == home.root / kind.phantom or kind.is_synthetic(data):
        return request.model_copy(update={"experiment": kind.defaults.synthetic})
    choice = _choose_by_device(kind, request.device, elsewhere=elsewhere)
    say(choice_line(choice))
    return request.model_copy(update={"experiment": choice.experiment})


def _choose_by_device(kind: type[Run], device: Device, *, elsewhere: bool) -> Choice:
    memory = None if device == "cpu" else gpu_memory_gb()
    if memory is None and device == "cuda":
        memory = math.inf  # that of another host, or an error that names the device follows
    choice = kind.defaults.choose(kind.experiments, memory)
    if memory is None and device == "auto" and elsewhere:
        reason = f"{choice.reason}. If the hosts that train have GPUs, set device to cuda"
        choice = Choice(choice.experiment, reason)
    return choice


def choose_data(kind: type[Run], home: Home, data: Path | None) -> Path:
    """Return the requested data folder, else that of the challenge's phantom in the home.

    Raises:
        SettingsError: no folder was requested, and the home has the challenge's runs on other data.
    """
    if data is not None and not is_phantom(data):
        return from_root(data)
    if data is None:
        own = (None, kind.experiments.challenge)
        others = {
            record.data
            for record in list_runs(home).values()
            if record is not None and record.challenge in own and record.data != PHANTOM
        }
        if others:
            raise SettingsError(
                f"--data: not given, but {home.root} has runs on {', '.join(sorted(others))}; "
                f"give the folder, or '--data {PHANTOM}' for synthetic data"
            )
    return home.root / kind.phantom


def is_phantom(data: Path) -> bool:
    """Return whether `data` means the home's phantom; an existing folder takes precedence."""
    return data == Path(PHANTOM) and not data.exists()


def _require_weights(weights: Path, experiment: BaseExperiment) -> None:
    """Refuse weights that are unused or missing."""
    if not experiment.pretrained_backbones:
        raise SettingsError(
            f"--weights {weights}: {experiment.name} does not use pretrained weights; leave the "
            "option out, or add --set model.pretrained=true"
        )
    for backbone in experiment.pretrained_backbones:
        find_weights(weights, backbone)


def note_results(run: Run, manifests: list[Manifest]) -> None:
    """Record the results that the run uses, for `lsdc clean` to keep and `lsdc inspect` to show."""
    pin_results(run.home, run.name, manifests)
    write_text(run.folder / EXPERIMENT_FILE, run.experiment.model_dump_json(indent=1) + "\n")


def note_so_far(run: Run, *manifests: Manifest) -> None:
    """Record the results of a run so far, for `lsdc clean` to keep if the run does not finish."""
    pin_so_far(run.home, run.name, manifests)


def usual_images() -> int:
    """Return the default number of cases with images in a report: LSDC_IMAGES, else 12.

    Raises:
        SettingsError: LSDC_IMAGES is not a number.
    """
    images = whole_number_in(IMAGES_OF_A_REPORT, 0)
    return _IMAGES if images is None else min(images, MOST_IMAGES)
