"""Write a complete synthetic competition: layers, pictures, tables and answers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import polars as pl

from lsdc.challenges.ink.competition.pictures import read_mask
from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.competition.tables import ID, LABELS, PREDICTED, RUNS, SAMPLE
from lsdc.challenges.ink.phantom.fragment import ANSWERS, write_fragment
from lsdc.challenges.ink.phantom.order import Order, Part, plan_parts
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.phantom import new_folder, require_bounds
from lsdc.shares import work_in_shares

SMALLEST_SIZE_PX = 64
_BOUNDS = {
    "fragments": (1, 100),
    "test": (0, 26),
    "seed": (0, 2**32 - 1),
    "rows": (SMALLEST_SIZE_PX, 20_000),
    "columns": (SMALLEST_SIZE_PX, 20_000),
    "scale": (1, 16),
}
_PROCESSES = 2
_WORTH_PIXELS = 100_000  # with fewer, starting processes costs more than it saves
_README = """The truth of this phantom, which the competition keeps to itself.

parts.json               of each fragment: whether text and fibres are turned by 90 degrees, and
                         the mean layer of its surface
FRAGMENT/inklabels.png   the labels of each test fragment
inklabels_rle.csv        the same as runs: the right submission
"""


def write_phantom(
    out: Path, order: Order, *, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Write a competition of synthetic fragments in the layout of the real one.

    `answers/` holds the truth of the test fragments; its README.txt tells what. The same order
    gives the same bytes. `out` appears only once everything is written.

    Args:
        out: a folder that does not exist yet, or an empty one.
        order: the parameters of the phantom.
        on_progress: called with the number of layers written, and their total.

    Raises:
        SettingsError: `out` is not empty, or a number is out of bounds.
        StageError: a child process that writes a fraction of the fragments failed.
    """
    require_bounds(order, _BOUNDS)
    parts = plan_parts(order)
    with new_folder(out) as unfinished:
        shared = len(parts) > 1 and order.rows * order.columns >= _WORTH_PIXELS
        written = _write_in_children if shared else _write_here
        for done, _ in enumerate(written(unfinished, order, parts), start=1):
            if on_progress is not None:
                on_progress(done, LAYERS * len(parts))
        _write_tables(unfinished, parts)


def _write_here(root: Path, order: Order, parts: list[Part]) -> Iterator[int]:
    for part in parts:
        write_fragment(root, order, part, lambda: None)
        yield from [part.number] * LAYERS


def _write_in_children(root: Path, order: Order, parts: list[Part]) -> Iterator[int]:
    job = {"root": str(root), **asdict(order)}
    shares = min(_PROCESSES, len(parts))
    return work_in_shares(
        "lsdc.challenges.ink.phantom.worker", job, shares, what=f"phantom {root.parent}"
    )


def _write_tables(root: Path, parts: list[Part]) -> None:
    answers = root / ANSWERS
    answers.mkdir(exist_ok=True)  # there already with test fragments
    folders = {
        part: (root / part.split if part.split == "train" else answers) / part.name
        for part in parts
    }
    runs = {part: encode(read_mask(folder / LABELS)) for part, folder in folders.items()}
    for part, folder in folders.items():
        _write_rows(folder / RUNS, {part.name: runs[part]})
    testing = [part for part in parts if part.split == "test"]
    _write_rows(root / SAMPLE, {part.name: "1 1 5 1" for part in testing})
    _write_rows(answers / RUNS, {part.name: runs[part] for part in testing})
    truth = {part.name: {"turned": part.turned, "surface": part.surface} for part in parts}
    (answers / "parts.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    (answers / "README.txt").write_text(_README, encoding="utf-8")


def _write_rows(path: Path, runs: dict[str, str]) -> None:
    table = {ID: list(runs), PREDICTED: [cell or None for cell in runs.values()]}
    pl.DataFrame(table, schema={ID: pl.String, PREDICTED: pl.String}).write_csv(path)
