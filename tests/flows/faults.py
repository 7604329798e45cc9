"""Faults: parts of an installation are killed at random moments of a run."""

import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock

from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from tests.flows.pools import FINAL, Installation, installed
from tests.postgres import Cluster, postgresql

TRAINER, SERVER, WORKER = (
    "lsdc.challenges.lumbar.training.train_fold_child",
    "lsdc.cli.server.child",
    "lsdc.cli.server.worker_child",
)
PG = "postgresql"
KINDS = ("training", "worker", "worker and run", "server", PG)
CANCEL = "cancel"
_ENDS_TRAINING = ("training", "worker", "worker and run", CANCEL)
FOLDS = 4
# Long enough to be killed between its epochs; one thread, so that results are bit-identical.
EPOCHS = 10
TRAINING = (
    *("--folds", str(FOLDS), "--threads", "1"),
    *("--set", f"training.epochs={EPOCHS}"),
)
# PostgreSQL is down for so long, as after a restart by the system.
AWAY_SECONDS = 5.0
# The installation's password, which every client here needs.
PASSWORD = "someone:written-nowhere"
# In the training child of a fold, only on request, and once: fail after saving the second epoch, or
# wait at the third step of its first epoch until SIGTERM.
_PLANTED = """
import sys
from pathlib import Path
if "lsdc.challenges.lumbar.training.train_fold_child" in sys.orig_argv:
    import time
    import lsdc.training.loop as loop
    from lsdc.errors import StageError
    save, check = loop.save_progress, loop.check_interrupts
    def failing(path, progress, identity):
        save(path, progress, identity)
        planted = Path(__file__).parent / path.parent.name
        if progress.epoch == 2 and planted.exists():
            planted.unlink()
            raise StageError("planted: fails once")
    loop.save_progress = failing
    steps = []
    def holding(pauses, stop_requested, **more):
        steps.append(1)
        held = Path(__file__).parent / f"{pauses[0].parent.name}-held"
        if len(steps) == 3 and held.exists():
            held.unlink()
            while not stop_requested():
                time.sleep(0.05)
        check(pauses, stop_requested, **more)
    loop.check_interrupts = holding
"""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        kind: what was killed, or that the run was cancelled.
        moment: when, in seconds since the run was triggered.
        trained: how many folds were trained then.
        retries: how often Retry was needed.
        seconds: from the trigger to the end.
        completed: whether it completed in the end.
        same_bits: whether the out-of-fold table is that of the undisturbed run.
        twice: folds that were finished and were trained again.
        from_start: whether an interrupted training did not resume from its checkpoint.
        gone_after: seconds from the fault until all processes that it ends had ended.
    """

    kind: str
    moment: float
    trained: int
    retries: int
    seconds: float
    completed: bool
    same_bits: bool
    twice: list[int]
    from_start: bool
    gone_after: float

    @property
    def is_good(self) -> bool:
        """True if nothing was lost, nothing finished ran twice, and one Retry was enough."""
        return (
            self.completed
            and self.same_bits
            and self.retries <= 1
            and not self.twice
            and not self.from_start
        )

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


@dataclass
class Faults:
    """An installation with its database, and the result of an undisturbed run."""

    here: Installation
    cluster: Cluster
    data: Path
    site: Path
    expected: bytes = b""
    seconds: float = 0.0

    def begin(self, *more: str) -> str:
        """Start a run that trains the folds; return its id."""
        begun = self.here.trigger("train-folds/default", "--data", self.data, *TRAINING, *more)
        assert begun.returncode == 0, begun.stderr
        return begun.stdout.splitlines()[0].rpartition("/")[2]

    def fold(self, fold: int) -> Path:
        """Return the folder of a fold."""
        return self.here.home / f"runs/demo/fold-{fold}"

    def is_trained(self, fold: int) -> bool:
        """Return whether a fold is finished."""
        return (self.fold(fold) / "fit.json").is_file()

    def begun_at(self, fold: int) -> list[tuple[int, int]]:
        """Return the epoch and step, from 1, at which each training process of a fold started."""
        fit = json.loads((self.fold(fold) / "fit.json").read_text())
        return [(process["from_epoch"], process["from_step"]) for process in fit["processes"]]

    def oof(self) -> bytes:
        """Return the out-of-fold table's bytes."""
        return (self.here.home / "runs/demo/oof.parquet").read_bytes()

    def forget(self, folds: Sequence[int] = range(FOLDS)) -> None:
        """Remove these folds' trainings, and the scores."""
        for fold in folds:
            shutil.rmtree(self.fold(fold), ignore_errors=True)
        for name in ("oof.parquet", "holdout.parquet", "scores.json"):
            (self.here.home / "runs/demo" / name).unlink(missing_ok=True)

    def plant(self, fold: int) -> None:
        """Make a fold's training fail once its second epoch is saved."""
        (self.site / f"fold-{fold}").touch()

    def hold(self, fold: int) -> None:
        """Make a fold's training wait at its third step until SIGTERM."""
        (self.site / f"fold-{fold}-held").touch()

    def is_held(self, fold: int) -> bool:
        """Return whether a fold's training has reached the step at which it waits."""
        return not (self.site / f"fold-{fold}-held").exists()

    def victims(self, kind: str) -> list[psutil.Process]:
        """Return the processes to kill; empty until they exist."""
        if kind in ("training", CANCEL):
            return self.here.processes(TRAINER)
        if kind == "server":
            return self.here.processes(SERVER)
        pool = "lsdc-cpu" if "parent" in kind else "lsdc-gpu"
        found = [each for each in self.here.processes(WORKER) if pool in each.cmdline()]
        if kind == "worker" or not found:
            return found
        family = [process for worker in found for process in worker.children(recursive=True)]
        return family and (family if kind in ("run", "parent") else [*found, *family])

    def kill(self, kind: str, run_id: str) -> bool:
        """Kill a part of a run once it exists; return whether it existed before the run's end."""
        if kind == "nothing":
            return True
        found = self.here.until(lambda: self._is_over(run_id) or self.victims(kind) or kind == PG)
        if self._is_over(run_id):
            return False
        if kind == CANCEL:
            self.here.cancel(run_id)
            self.here.until(lambda: not self.victims(kind))
            return True
        if kind == PG:
            self.cluster.kill()
            time.sleep(AWAY_SECONDS)
            self.cluster.start()
            return True
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return True

    def disturb(self, kind: str, moments: random.Random) -> Outcome:
        """Train a fold again, kill a part at a random moment, and return the run's outcome."""
        self.here.until(lambda: not self.here.processes(TRAINER))
        fold = moments.randrange(FOLDS)
        self.forget([fold])
        finished = {other: self._stamp(other) for other in range(FOLDS) if other != fold}
        started = time.monotonic()
        run_id = self.begin()
        self._wait_for_the_moment(kind, started, moments)
        moment = time.monotonic() - started
        if self.is_trained(fold):
            finished[fold] = self._stamp(fold)
        acted = time.monotonic()
        if not self.kill(kind, run_id):  # the run ended earlier than expected
            self.seconds = min(self.seconds, self.here.lasted(run_id))
            return self.disturb(kind, moments)
        gone_after = time.monotonic() - acted
        cut_off = kind in _ENDS_TRAINING and self._is_cut_off(fold)
        retries = 0
        while self.here.ended(run_id)["state_type"] != "COMPLETED" and retries < 2:
            retries += 1
            self.here.retry(run_id)
        completed = self.here.run(run_id)["state_type"] == "COMPLETED"
        return Outcome(
            kind=kind,
            moment=round(moment, 1),
            trained=len(finished),
            retries=retries,
            seconds=round(time.monotonic() - started, 1),
            completed=completed,
            same_bits=completed and self.oof() == self.expected,
            twice=[each for each, stamp in finished.items() if self._stamp(each) != stamp],
            from_start=cut_off and self.begun_at(fold)[-1] == (1, 1),
            gone_after=round(gone_after, 1),
        )

    def _wait_for_the_moment(self, kind: str, started: float, moments: random.Random) -> None:
        """Wait for a random moment of the run, or of the training if that is killed."""
        share, length = moments.random(), self.seconds
        if kind in ("training", CANCEL):
            self.here.until(lambda: self.here.processes(TRAINER))
            started, length = time.monotonic(), length / 3
        time.sleep(max(0.0, started + share * length - time.monotonic()))

    def _is_cut_off(self, fold: int) -> bool:
        """Return whether an unfinished training left a checkpoint."""
        import torch

        with contextlib.suppress(FileNotFoundError):
            saved = torch.load(self.fold(fold) / "resume.pt", weights_only=True)
            return not self.is_trained(fold) and saved["epoch"] < EPOCHS
        return False

    def _is_over(self, run_id: str) -> bool:
        return self.here.run(run_id)["state_type"] in FINAL

    def _stamp(self, fold: int) -> int:
        return (self.fold(fold) / "model.safetensors").stat().st_mtime_ns


@dataclass(frozen=True)
class Undisturbed:
    """A competition, and a home in which one undisturbed command trained all folds."""

    folder: Path

    @property
    def data(self) -> Path:
        """The competition's folder."""
        return self.folder / "competition"

    @property
    def home(self) -> Path:
        """The home with the trained folds; to be copied."""
        return self.folder / "home"


def undisturbed(folder: Path) -> Undisturbed:
    """Train all folds of a phantom unless the folder has them; processes wait for one another."""
    calm = Undisturbed(folder)
    with FileLock(folder.with_suffix(".lock")):
        if not (calm.home / "runs/demo/oof.parquet").is_file():
            write_phantom(calm.data, Order(studies=8, test=2, seed=3, max_size=64))
            asked = ("--data", str(calm.data), "--home", str(calm.home), *TRAINING)
            command = [sys.executable, "-P", "-m", "lsdc", "run-local", *asked]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return calm


@contextlib.contextmanager
def prepared(folder: Path, calm: Undisturbed, *arguments: str) -> Iterator[Faults]:
    """Yield an installation on PostgreSQL, with a password, in which all folds are trained."""
    home, site = folder / "home", folder / "site"
    shutil.copytree(calm.home, home)
    site.mkdir()
    (site / "sitecustomize.py").write_text(_PLANTED)
    with (
        postgresql() as cluster,
        installed(
            home,
            *("--database", f"{cluster.create('prefect')}?sslmode=disable", *arguments),
            site=site,
            more={"PREFECT_SERVER_API_AUTH_STRING": PASSWORD},
        ) as here,
    ):
        faults = Faults(here, cluster, calm.data, site)
        faults.expected = faults.oof()
        once_more = faults.disturb("nothing", random.Random(0))
        assert once_more.is_good, once_more
        faults.seconds = once_more.seconds
        yield faults
