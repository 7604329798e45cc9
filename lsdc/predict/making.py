"""A prediction in the making: where it works, how far it is, and where its results are put."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lsdc.predict.progress import OnProgress, Teller
from lsdc.predict.results import LOG, replace_results, working_in
from lsdc.predict.workplace import Workplace


@dataclass(frozen=True)
class Making:
    """A prediction in the making.

    Attributes:
        at: its workplace.
        teller: tells its progress.
        made: the folder for its results, until all are there.
        out: the folder of the results.
    """

    at: Workplace
    teller: Teller
    made: Path
    out: Path

    def put_in_place(self, names: Sequence[str]) -> list[Path]:
        """Replace earlier results by those made; see `replace_results`."""
        return replace_results(self.made, self.out, names)


@dataclass(frozen=True)
class Options:
    """How a prediction works.

    Attributes:
        device: "auto", "cpu", "cuda" or any other of torch's devices.
        threads: number of torch's threads, and of processes or threads that read files.
        on_progress: called as the work proceeds.
        unit: what a study is called.
    """

    device: str
    threads: int
    on_progress: OnProgress
    unit: str = "study"


@contextmanager
def making(out: Path, key: str, steps: Sequence[str], options: Options) -> Iterator[Making]:
    """Work in the folder of the results, alone, and go on with what has the same key.

    Args:
        out: the folder of the results.
        key: of what the work depends on; see `lsdc.predict.unfinished`.
        steps: what is done with each block of studies, one after the other.
        options: how it works.

    Raises:
        SettingsError: the folder holds something else than results of a prediction.
        HomeBusyError: another prediction writes into it.
    """
    with working_in(out, key) as work:
        teller = Teller(options.on_progress, steps, options.unit)
        made = work / "made"
        made.mkdir(exist_ok=True)
        at = Workplace(work, out / LOG, options.device, options.threads, teller.event)
        yield Making(at, teller, made, out)
