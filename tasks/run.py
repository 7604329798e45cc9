"""What a run is about: its settings, resolved once and handed from task to task."""

import itertools
import logging
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeVar

from lsdc.errors import SettingsError
from lsdc.experiments.base import BaseExperiment
from lsdc.experiments.presets import Experiments
from lsdc.shutdown import reset_shutdown
from lsdc.store.files import write_atomic
from lsdc.store.fingerprint import fingerprint
from lsdc.store.garbage import pin_results, pin_so_far
from lsdc.store.home import (
    Home,
    open_home,
    resolve_home,
)
from lsdc.store.locks import require_locks
from lsdc.store.manifest import Manifest
from lsdc.store.remote import RemoteStore, open_store
from lsdc.store.runs import EXPERIMENT_FILE, list_runs
from lsdc.training.models.weights import find_weights
from lsdc.training.process import let_threads_roam
from lsdc.typed_paths import from_root
from tasks.request import Device, RunOptions, RunRequest
from tasks.runners import THREADS, find_runner

log = logging.getLogger("lsdc.run")

PHANTOM = "phantom"  # in the place of a folder

_DEVICES = Path("/dev")
THREADS_OF_A_RUN = "LSDC_THREADS"

# What no result depends on: where, by whom and how patiently work is done, and how much of it.
TRAINING_NO_MATTER = {"stall_minutes", "checkpoint_steps"}
_NO_MATTER = dict.fromkeys(
    ("root", "name", "resolved", "only_fold", "device", "threads", "store", "runner", "strict"),
    True,
) | {"experiment": {"training": TRAINING_NO_MATTER}}


class Run(RunOptions):
    """A run's settings; frozen, JSON, and the same for all of its tasks.

    Each challenge has a class of its own, which says what its experiments are.

    `name` is that of its folder in `runs/`, once `locked_experiment` has found it. `resolved` is
    what the experiment's name meant when the run was asked for, without what was set upon it; for
    runs that this one sends.
    """

    experiments: ClassVar[Experiments[Any]]

    root: Path
    name: str
    data: Path
    experiment: BaseExperiment
    resolved: dict[str, Any]
    threads: int
    store: str | None = None
    runner: str = THREADS

    @property
    def shared(self) -> RemoteStore | None:
        """The store that the run shares with other hosts, if it does."""
        return None if self.store is None else RemoteStore(self.store)

    @property
    def home(self) -> Home:
        """The home that the run builds in."""
        return Home(self.root)

    @property
    def folder(self) -> Path:
        """Where the run's models, predictions and scores are."""
        return self.home.run(self.name)

    def fold(self, fold: int) -> Path:
        """A fold's folder."""
        return self.home.fold(self.name, fold)

    def at_home(self, manifest: Manifest) -> Manifest:
        """A result where it is, or belongs, in this home.

        On another host, or to another run that asked for the same, the run's folder may have
        another name.
        """
        room, *inside = PurePosixPath(manifest.path).parts
        if room != self.home.runs.name:
            return manifest
        return manifest.model_copy(update={"path": "/".join([room, self.name, *inside[1:]])})

    @property
    def uses_phantom(self) -> bool:
        """Whether the run brings no data of its own."""
        return self.data == self.home.phantom

    @property
    def data_word(self) -> str:
        """What another host is told to take: its own phantom, or the same folder."""
        return PHANTOM if self.uses_phantom else str(self.data)

    @property
    def settings(self) -> str:
        """A fingerprint of what the run is told that its results may depend on."""
        return fingerprint(self.model_dump(mode="json", exclude=_NO_MATTER))

    @property
    def folds_to_train(self) -> tuple[int, ...]:
        """All folds, or the one that was asked for."""
        return tuple(range(self.folds)) if self.only_fold is None else (self.only_fold,)

    @property
    def fold_groups(self) -> list[tuple[int, ...]]:
        """The folds to train, in groups that are trained at the same time.

        Each GPU takes one fold at a time. Without any, each thread does: one process on two threads
        is slower than two on one each (`benchmarks/training.py` measures it).
        """
        folds = self.folds_to_train
        width = min(_gpus(self.device) or self.threads, len(folds))
        return [folds[start : start + width] for start in range(0, len(folds), width)]

    def fold_device(self, fold: int) -> str:
        """Where a fold is trained: a GPU of its own within its group, where there are any."""
        if not _gpus(self.device):
            return self.device
        (place,) = (group.index(fold) for group in self.fold_groups if fold in group)
        return f"{self.device}:{place}"

    @property
    def fold_threads(self) -> int:
        """Threads of one fold's process."""
        return max(1, self.threads // len(self.fold_groups[0]))

    @property
    def fold_workers(self) -> int:
        """Processes that load a fold's data; without a GPU they would take cores from training."""
        return self.fold_threads if _gpus(self.device) else 0


R = TypeVar("R", bound=Run)


@dataclass(frozen=True)
class Host:
    """What a host has for runs, whatever they are asked for.

    Attributes:
        store: shared with other hosts, if there is one.
        runner: where the shards of a stage are worked; see `tasks.runners`.
    """

    store: RemoteStore | None = None
    runner: str = THREADS

    @classmethod
    def find(cls, store: str | None = None, runner: str | None = None) -> "Host":
        """The store and the runner asked for, else those of LSDC_STORE and LSDC_TASK_RUNNER.

        Raises:
            SettingsError: a store without locks; a task runner that there is not.
            StoreError: the store cannot be used.
        """
        opened = open_store(store)
        if opened is not None:
            require_locks(opened)
            opened.require()
        return cls(opened, find_runner(runner))


def open_run(kind: type[R], request: RunRequest, host: Host | None = None) -> R:
    """Check settings before any work is done, and open the home.

    Without `data` the run uses the phantom, whose folder the home names, unless the home has runs
    on other data; `phantom` in its place always does.

    Args:
        kind: the class of the challenge's runs.
        request: what the run is asked for.
        host: what there is here for it; looked up in the environment if it is not given.

    Raises:
        SettingsError: an unknown experiment or setting, or settings that cannot work together; a
            store without locks; a task runner that there is not.
        DataError: the home cannot be used.
        StoreError: the store cannot be used.
    """
    named = kind.experiments
    tables = request.resolved or named.resolve(request.experiment)
    chosen = named.load(request.experiment, request.settings, resolved=request.resolved)
    threads = request.threads or usable_threads()
    weights = request.weights
    if weights is not None:
        weights = from_root(weights)
        _require_weights(weights, chosen)
    if bound := let_threads_roam():
        log.info(
            "%s: not heeded, or all processes of a run would sit on its first core; a run uses the "
            "cores that the system gives it, %d threads of them",
            ", ".join(bound),
            threads,
        )
    reset_shutdown()  # a run before, in this process, may have been told to end
    host = host or Host.find()
    opened = open_home(resolve_home(request.home))
    options = {name: getattr(request, name) for name in RunOptions.model_fields}
    resolved: dict[str, Any] = {
        "root": opened.root,
        "name": chosen.name,
        "data": choose_data(opened, request.data),
        "experiment": chosen,
        "resolved": tables,
        "threads": threads,
        "weights": weights,
        "store": None if host.store is None else host.store.url,
        "runner": host.runner,
    }
    return kind(**options | resolved)


def choose_data(home: Home, data: Path | None) -> Path:
    """The folder that was asked for, else the phantom's.

    Raises:
        SettingsError: none was asked for, and the home has runs on other data.
    """
    if data is not None and not is_phantom(data):
        return from_root(data)
    if data is None:
        others = {
            record.data
            for record in list_runs(home).values()
            if record is not None and record.data != PHANTOM
        }
        if others:
            raise SettingsError(
                f"--data: none is given, and {home.root} has runs on {', '.join(sorted(others))}; "
                f"name the folder that is meant, or '--data {PHANTOM}' for the phantom"
            )
    return home.phantom


def is_phantom(data: Path) -> bool:
    """Whether the home's phantom is asked for by its name; a folder of that name comes first."""
    return data == Path(PHANTOM) and not data.exists()


def _require_weights(weights: Path, experiment: BaseExperiment) -> None:
    """Refuse weights that nothing is done with, or that are not there."""
    if not experiment.pretrained_backbones:
        raise SettingsError(
            f"--weights {weights}: {experiment.name} starts from none; leave it out, or use --set "
            "model.pretrained=true"
        )
    for backbone in experiment.pretrained_backbones:
        find_weights(weights, backbone)


def note_results(run: Run, manifests: list[Manifest]) -> None:
    """Note what the run rests on, for `lsdc clean` to spare and `lsdc inspect` to show."""
    pin_results(run.home, run.name, manifests)
    with write_atomic(run.folder / EXPERIMENT_FILE) as temporary:
        temporary.write_text(run.experiment.model_dump_json(indent=1) + "\n", encoding="utf-8")


def note_so_far(run: Run, *manifests: Manifest) -> None:
    """Note what a run has by now, for `lsdc clean` to spare where the run does not end."""
    pin_so_far(run.home, run.name, manifests)


def usable_threads() -> int:
    """Threads for runs that are not told: of LSDC_THREADS, else one a core that we may use.

    Raises:
        SettingsError: LSDC_THREADS is no number.
    """
    if (told := os.environ.get(THREADS_OF_A_RUN)) is not None:
        if not told.isdecimal() or int(told) < 1:
            raise SettingsError(
                f"{THREADS_OF_A_RUN}: expected a whole number from 1, found {told!r}"
            )
        return int(told)
    if hasattr(os, "sched_getaffinity"):  # macOS cannot be asked
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus(device: Device) -> int:
    """On how many GPUs training will be, told without importing torch; "cuda" is one at least."""
    if device == "cpu":
        return 0
    present = min(len(_present_gpus()), len(visible_gpus()))
    return max(1, present) if device == "cuda" else present


def visible_gpus() -> list[str]:
    """GPUs of this machine as CUDA counts them; CUDA_VISIBLE_DEVICES may leave us some of them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return _present_gpus()
    names = [name.strip() for name in chosen.split(",")]
    # CUDA stops at the first that is none.
    return list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))


def _present_gpus() -> list[str]:
    # CUDA counts those that it finds: the only one of a container may be /dev/nvidia3.
    return [str(gpu) for gpu, _ in enumerate(_DEVICES.glob("nvidia[0-9]*"))]
