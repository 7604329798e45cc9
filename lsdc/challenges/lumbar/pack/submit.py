"""The worker of a bundle: predict the test studies by all its runs, and write the submission.

`predict.py` starts it as `python -P -m lsdc.challenges.lumbar.pack.submit ORDER`, with the prior's
submission in place. It replaces the submission after each block of studies.
"""

import logging
import sys
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lsdc.challenges.lumbar.competition.tables import open_test_set
from lsdc.challenges.lumbar.pack.attempts import RunAttempt
from lsdc.challenges.lumbar.pack.blend import blend, join
from lsdc.challenges.lumbar.pack.layout import open_models
from lsdc.challenges.lumbar.pack.limits import MemoryLimit, Pace, TimeIsUpError, time_limit
from lsdc.challenges.lumbar.predict.models import EnsembleModels, TrainedModels
from lsdc.challenges.lumbar.predict.sources import ListedStudies, LooseStudies, Source, Studies
from lsdc.errors import DataError, LsdcError
from lsdc.messages import counted, few
from lsdc.predict.workplace import Workplace
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
        rows: row id, whether it is known, and the prior's probabilities, in order.
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
    rows: tuple[tuple[str, bool, float, float, float], ...]


class _Submission:
    """The submission of all runs, and what is in it."""

    def __init__(self, order: Order, models: list[TrainedModels] | EnsembleModels) -> None:
        self._order = order
        self._ensemble = models if isinstance(models, EnsembleModels) else None
        runs = models.each if isinstance(models, EnsembleModels) else models
        folder = order.work / "predicting"
        folder.mkdir()
        self.at = Workplace(folder, order.log, order.device, order.threads, ignore)
        self.source: Source = _open(order, runs[0], self.at)
        self.ids = [study for block in self.source.blocks for study in block]
        read = lru_cache(maxsize=1)(self._read)  # all runs read the same studies in turn
        self.attempts = [
            RunAttempt(each, lambda ids: read(tuple(ids)), _within(self.at, f"run-{number}"))
            for number, each in enumerate(runs)
        ]

    def predict(self) -> bool:
        """Predict all studies; return False if the time was too short."""
        seconds = self._order.seconds
        last = min(_LAST_SHARE * seconds, _LAST_SECONDS)
        pace = Pace(len(self.ids), seconds - last, self._order.studies_at_once)
        waiting = list(self.ids)
        try:
            with time_limit(seconds - last / 2):
                while waiting and (size := pace.next_size()):
                    block, waiting = waiting[:size], waiting[size:]
                    for attempt in self.attempts:
                        attempt.add(block, more=bool(waiting))
                    pace.did(len(block))
                    if waiting:
                        self.write()
                        print(pace, flush=True)
                for attempt in self.attempts:
                    attempt.finish()
                print(pace, flush=True)
        except TimeIsUpError:
            return False
        return not waiting

    def write(self) -> None:
        """Replace the submission by one with all predictions so far."""
        rows, attempts = self._order.rows, self.attempts
        if self._ensemble is None:
            table = blend(rows, attempts)
        else:
            table = join(rows, attempts, self._ensemble)
        with write_atomic(self._order.out) as temporary:
            table.write_csv(temporary)

    def _read(self, ids: tuple[int, ...]) -> Studies:
        return self.source.read(ids)


def main(path: Path) -> int:
    """Do an order; return 0, or `PARTS` or `ALL` if those have the prior that need not.

    Raises:
        LsdcError: the bundle's models cannot be used.
    """
    order = Order.model_validate_json(path.read_bytes())
    models = open_models(order.bundle)
    logging.basicConfig(
        filename=order.log, level=logging.WARNING, format="%(levelname)s %(message)s"
    )
    logging.getLogger("lsdc").setLevel(logging.DEBUG)
    memory = MemoryLimit(order.memory_gb)
    with memory.kept():
        submission = _Submission(order, models)
        in_time = submission.predict()
        submission.write()
    code = _report(submission, order, in_time=in_time)
    if memory.ended:
        _tell(str(memory))
    return code


def _open(order: Order, models: TrainedModels, at: Workplace) -> Source:
    """Open the test studies by their table; without one that can be used, by their headers."""
    try:
        listing = open_test_set(order.test)
    except DataError as error:
        _tell(f"{error}; so the kinds of series are told by their headers")
        listing = None
    if listing is not None:
        return ListedStudies(listing, at, order.studies_at_once)
    images = order.test / "test_images"
    return LooseStudies.find(
        images if images.is_dir() else order.test,
        models,
        at,
        studies_at_once=order.studies_at_once,
        leave_out=order.work,
        may_be_empty=True,
        on_files=lambda _read, _files: None,
    )


def _within(at: Workplace, name: str) -> Workplace:
    return Workplace(at.folder / name, at.log, at.device, at.threads, at.on_event)


def _report(submission: _Submission, order: Order, *, in_time: bool) -> int:
    """Say what was predicted, and what has the prior; return the exit code."""
    attempts = submission.attempts
    asked = {int(row[0].partition("_")[0]) for row in order.rows if row[1]}
    from_images = set[int]()
    for attempt in attempts:
        if len(found := attempt.predictions):
            from_images |= set(found["study_id"].to_list())
    there = set(submission.ids)
    reached = set.intersection(*(attempt.reached for attempt in attempts))
    failed = {study for attempt in attempts for study in attempt.failed}
    print(
        f"{counted(len(asked & from_images), 'study')} of {len(asked):,} predicted from images by "
        f"{few([attempt.models.name for attempt in attempts])}",
        flush=True,
    )
    for studies, why in (
        (asked - there, "not among the test studies of the folder"),
        (asked & (there & reached) - from_images, "no image that the models use"),
    ):
        if studies:
            print(f"{counted(len(studies), 'study')} by the prior: {why} ({_named(studies)})")
    code = 0
    for attempt in attempts:
        for reason in dict.fromkeys(attempt.failed.values()):
            own = {study for study, why in attempt.failed.items() if why == reason}
            text = f"{attempt.models.name}: {counted(len(own), 'study')} failed ({_named(own)})"
            code = _tell(f"{text}: {reason}")
    if not in_time:
        late = asked & there - reached - failed
        code = _tell(f"the time ended; {counted(len(late), 'study')} not reached ({_named(late)})")
    return ALL if code and not asked & from_images else code


def _named(studies: set[int]) -> str:
    return few([str(study) for study in sorted(studies)])


def _tell(text: str) -> int:
    print(text, file=sys.stderr, flush=True)
    return PARTS


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except LsdcError as error:
        _tell(f"predict.py: {error}")
        sys.exit(2)
