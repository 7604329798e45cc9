"""The job of a training that several processes may share."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from lsdc.training.process import Job


class SharedJob(Job):
    """A job that one process does, or several together.

    Attributes:
        device: "auto", "cpu", "cuda" or any other of torch's devices; it affects the last bits of
            the result.
        beside: the devices of the other processes that train the model together with this one. How
            many they are affects the last bits of the result.
        rank: the number of this process among them.
        meeting: the file by which they find each other; None for a process that trains alone.
    """

    device: str
    beside: tuple[str, ...] = ()
    rank: int = 0
    meeting: Path | None = None

    @property
    def processes(self) -> int:
        """The number of processes that train the model together."""
        return 1 + len(self.beside)

    @property
    def of_processes(self) -> str:
        """The suffix for messages that tells the process; empty if there is only one."""
        return f", process {self.rank + 1} of {self.processes}" if self.beside else ""

    @contextmanager
    def shared_out(self) -> Iterator[list[Self]]:
        """Yield the job of each process."""
        if not self.beside:
            yield [self]
            return
        with tempfile.TemporaryDirectory(prefix="lsdc-") as folder:
            meeting = Path(folder) / "meeting"
            yield [
                self.model_copy(update={"device": device, "rank": rank, "meeting": meeting})
                for rank, device in enumerate((self.device, *self.beside))
            ]
