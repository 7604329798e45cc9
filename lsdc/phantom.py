"""Writing a phantom: a synthetic competition, piece by piece, by child processes if it is large."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from lsdc.errors import SettingsError
from lsdc.shares import work_in_shares

# The bounds of what the orders of most phantoms have.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "studies": (1, 100_000),
    "test": (0, 100_000),
    "seed": (0, 2**32 - 1),
}
_PROCESSES = 2
_WORTH_PROCESSES = 12  # with fewer pieces, starting processes costs more than it saves


class Order(Protocol):
    """The parameters of a phantom: a dataclass of JSON values."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def total(self) -> int:
        """The number of pieces."""


O = TypeVar("O", bound=Order)  # noqa: E741 (an order)
P = TypeVar("P")


@dataclass(frozen=True)
class Pieces(Generic[O, P]):
    """What a phantom is written of: studies, for example.

    Attributes:
        order: the class of the phantom's parameters.
        plan: returns all pieces of an order, in the order of their numbers.
        write: writes a piece below a folder: called with folder, order, number and piece. What it
            writes may depend on these alone, as it may run in any process.
        worker: the module that child processes run, which calls `write_share`.
    """

    order: type[O]
    plan: Callable[[O], Sequence[P]]
    write: Callable[[Path, O, int, P], None]
    worker: str


def write_pieces(
    root: Path,
    order: O,
    pieces: Pieces[O, P],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write all pieces of a phantom.

    Args:
        root: the phantom's folder.
        order: the parameters of the phantom.
        pieces: how its pieces are planned and written.
        on_progress: called with the number of pieces written, and their total.

    Raises:
        StageError: a child process that writes a fraction of the pieces failed.
    """
    shared = order.total >= _WORTH_PROCESSES and (os.cpu_count() or 1) >= _PROCESSES
    written = _write_in_children if shared else _write_here
    for done, _ in enumerate(written(root, order, pieces), start=1):
        if on_progress is not None:
            on_progress(done, order.total)


def write_share(job_json: str, pieces: Pieces[O, P]) -> None:
    """Write a fraction of the pieces in a child process, and print a line per piece.

    Args:
        job_json: a JSON object: root, share, shares and the order's fields. The fraction are the
            pieces whose number leaves the remainder `share` when divided by `shares`.
        pieces: how they are planned and written.
    """
    job = json.loads(job_json)
    root, share, shares = Path(job.pop("root")), job.pop("share"), job.pop("shares")
    order = pieces.order(**job)
    for number, piece in enumerate(pieces.plan(order)):
        if number % shares == share:
            pieces.write(root, order, number, piece)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `out` that becomes `out` if the block ends without error.

    Args:
        out: a folder that does not exist yet, or an empty one.

    Raises:
        SettingsError: `out` is not empty, or no folder.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(
            f"{out}: not empty or not a folder, expected a new or an empty folder for the "
            "phantom; name another one or empty it first"
        )
    unfinished = out.with_name(f".{out.name}.unfinished-{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def require_bounds(order: object, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a number of an order that is out of bounds.

    Args:
        order: the parameters of the phantom.
        bounds: the lowest and the highest value by the name of the field.

    Raises:
        SettingsError: one is; the message names it.
    """
    for name, (lowest, highest) in bounds.items():
        value = getattr(order, name)
        if not lowest <= value <= highest:
            raise SettingsError(f"phantom {name}: expected {lowest} to {highest}, got {value}")


def _write_here(root: Path, order: O, pieces: Pieces[O, P]) -> Iterator[int]:
    for number, piece in enumerate(pieces.plan(order)):
        pieces.write(root, order, number, piece)
        yield number


def _write_in_children(root: Path, order: O, pieces: Pieces[O, P]) -> Iterator[int]:
    job = {"root": str(root), **asdict(order)}
    return work_in_shares(pieces.worker, job, _PROCESSES, what=f"phantom {root.parent}")
