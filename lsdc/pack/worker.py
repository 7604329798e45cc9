"""The worker of a bundle: predict the test studies by all its runs, and write the submission.

`predict.py` starts it as `python -P -m lsdc.child MODULE ORDER`, with the prior's submission in
place. It replaces the submission after each block of studies.
"""

import logging
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic

import polars as pl
from pydantic import BaseModel, ConfigDict

from lsdc.errors import LsdcError
from lsdc.messages import counted, few
from lsdc.pack.attempts import RunAttempt
from lsdc.pack.limits import MemoryLimit, Pace, TimeIsUpError, time_limit
from lsdc.predict.blocks import Id
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import read_csv
from lsdc.store.files import write_atomic
from lsdc.training.process import ignore

PARTS, ALL = 3, 4  # the exit codes if parts of the submission, or all, have needless priors
# Kept for the last samples and for the submission.
_LAST_SHARE, _LAST_SECONDS = 0.05, 120.0


class Order(BaseModel):
    """What `predict.py` asks for.

    Attributes:
        bundle: the folder of the bundle.
        test: the folder of the competition.
        out: the submission; it holds the prior.
        log: a file for the output of child processes and for reasons.
        work: a folder for temporary files.
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads, and of processes that read files.
        memory_gb: limit of the memory of all processes together.
        seconds: limit of the time.
        studies_at_once: the largest number of studies in memory together.
        unknown: the row ids that ask for nothing that is known.
    """

    model_config = ConfigDict(frozen=True)

    bundle: Path
    test: Path
    out: Path
    log: Path
    work: Path
    device: str
    threads: int
    memory_gb: float
    seconds: float
    studies_at_once: int
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Described:
    """What a submission holds.

    Attributes:
        unit: what is predicted, such as "study".
        asked: the number of them that the known rows ask for.
        predicted: the number of these that are predicted from images.
        studies: the studies that the known rows ask for.
        lines: what is said of the others.
    """

    unit: str
    asked: int
    predicted: int
    studies: Collection[Any]
    lines: Sequence[str]


class Submission(ABC, Generic[Id]):
    """The submission of a test folder.

    Attributes:
        unit: what a study is called.
        most_at_once: the largest number of studies that are predicted together.
        ids: the studies of the folder, in the order in which they are predicted.
        attempts: the predictions of each run.
    """

    unit: ClassVar[str] = "study"
    most_at_once: ClassVar[int] = sys.maxsize

    ids: Sequence[Id]
    attempts: Sequence[RunAttempt[Id]]

    @abstractmethod
    def assemble(self) -> pl.DataFrame:
        """Return the submission with all predictions so far, and with the prior elsewhere."""

    @abstractmethod
    def describe(self) -> Described:
        """Describe the submission with all predictions so far."""


def prior_rows(order: Order) -> pl.DataFrame:
    """Read the prior's submission, before it is replaced.

    Returns:
        The row ids and values, and `known`: whether a row asks for anything that is known.
    """
    table = text_rows(order)
    _, *values, _ = table.columns
    return table.with_columns(pl.col(values).cast(pl.Float64))


def text_rows(order: Order) -> pl.DataFrame:
    """Read the prior's submission as `prior_rows`, all values as text."""
    table = read_csv(order.out)
    known = ~pl.col(table.columns[0]).is_in(order.unknown)
    return table.with_columns(known=known)


def main(open_submission: Callable[[Order, Workplace], Submission[Id]]) -> int:
    """Do the order in the file that the command names; return the exit code.

    It is 0, `PARTS` or `ALL` if those have the prior that need not, or 2 if the models or the
    settings cannot be used.
    """
    begun = time.monotonic()
    order = Order.model_validate_json(Path(sys.argv[1]).read_bytes())
    logging.basicConfig(filename=order.log, format="%(levelname)s %(message)s")
    logging.getLogger("lsdc").setLevel(logging.DEBUG)
    folder = order.work / "predicting"
    folder.mkdir()
    memory = MemoryLimit(order.memory_gb)
    try:
        with memory.kept():
            at = Workplace(folder, order.log, order.device, order.threads, ignore)
            submission = open_submission(order, at)
            in_time = _predict(submission, order, order.seconds - (time.monotonic() - begun))
            _write(submission, order)
    except LsdcError as error:
        say_failure(f"predict.py: {error}")
        return 2
    code = _report(submission, in_time=in_time)
    if memory.ended:
        say_failure(str(memory))
    return code


def say_failure(text: str) -> int:
    """Print what failed; return `PARTS`."""
    print(text, file=sys.stderr, flush=True)
    return PARTS


def named(ids: Collection[Any]) -> str:
    """Return the first few ids."""
    return few([str(each) for each in sorted(ids)])


def _predict(submission: Submission[Id], order: Order, seconds: float) -> bool:
    """Predict all studies; return False if these seconds were too few."""
    last = min(_LAST_SHARE * max(seconds, 0.0), _LAST_SECONDS)
    at_once = min(order.studies_at_once, submission.most_at_once)
    pace = Pace(len(submission.ids), seconds - last, at_once, submission.unit)
    waiting = list(submission.ids)
    try:
        with time_limit(seconds - last / 2):
            while waiting and (size := pace.next_size()):
                block, waiting = waiting[:size], waiting[size:]
                for attempt in submission.attempts:
                    attempt.add(block, more=bool(waiting))
                pace.did(len(block))
                if waiting:
                    _write(submission, order)
                    print(pace, flush=True)
            for attempt in submission.attempts:
                attempt.finish()
            print(pace, flush=True)
    except TimeIsUpError:
        return False
    return not waiting


def _write(submission: Submission[Id], order: Order) -> None:
    """Replace the submission by one with all predictions so far."""
    with write_atomic(order.out) as temporary:
        submission.assemble().write_csv(temporary)


def _report(submission: Submission[Id], *, in_time: bool) -> int:
    """Say what was predicted, and what has the prior; return the exit code."""
    attempts, found = submission.attempts, submission.describe()
    names = few([attempt.name for attempt in attempts])
    predicted = f"{counted(found.predicted, found.unit)} of {found.asked:,} predicted"
    print(f"{predicted} from images by {names}", flush=True)
    for line in found.lines:
        print(line, flush=True)
    code = 0
    for attempt in attempts:
        for reason in dict.fromkeys(attempt.failed.values()):
            own = {study for study, why in attempt.failed.items() if why == reason}
            text = f"{attempt.name}: {counted(len(own), submission.unit)} failed ({named(own)})"
            code = say_failure(f"{text}: {reason}")
    if not in_time:
        reached = set.intersection(*(attempt.reached for attempt in attempts))
        failed = {study for attempt in attempts for study in attempt.failed}
        late = set(found.studies) & set(submission.ids) - reached - failed
        text = f"the time ended; {counted(len(late), submission.unit)} not reached"
        code = say_failure(f"{text} ({named(late)})")
    return ALL if code and not found.predicted else code
