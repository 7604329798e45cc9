"""The worker of a bundle: map the test fragments by all its runs, and write the submission."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.competition.tables import ID, PREDICTED, wanted_rows
from lsdc.challenges.ink.masks.rule import make_mask
from lsdc.challenges.ink.masks.rules import mean_rule
from lsdc.challenges.ink.pack.layout import open_models
from lsdc.challenges.ink.predict.block import VOLUME, Prepared, predict_map, prepare_fragment
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.outcome import describe_doubts
from lsdc.challenges.ink.predict.sources import Source, open_source
from lsdc.challenges.ink.volumes.prepare import Bits
from lsdc.challenges.ink.volumes.volume import MASK
from lsdc.errors import DataError
from lsdc.messages import counted
from lsdc.pack import worker
from lsdc.pack.attempts import Predicted, RunAttempt, Steps
from lsdc.pack.worker import Described, Order, named, say_failure, text_rows
from lsdc.predict.workplace import Workplace

_FRAGMENT, _MAP, _INSIDE = "fragment", "map", "inside"
_ROWS = 1024  # of several maps, averaged at a time


class Volumes:
    """The volume of the fragment at work, for all runs that read it in turn.

    Args:
        source: the fragments.
        folder: a folder for the volume.

    Attributes:
        prepared: what each fragment so far was prepared from.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self.prepared: dict[str, Prepared] = {}
        self._source, self._folder, self._name = source, folder, ""

    def prepare(self, name: str, bits: Bits, threads: int) -> Path:
        """Return the folder of a fragment's volume; that of another fragment is removed."""
        if name != self._name:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._name = name
        out = self._folder / f"{bits}-bits"
        self.prepared[name] = prepare_fragment(
            self._source.folders[name], bits, out, threads=threads, on_progress=lambda *_: None
        )
        return out


@dataclass(frozen=True)
class RunSteps(Steps[str, Predicted]):
    """How one run predicts fragments.

    Attributes:
        models: the models of the run.
        volumes: prepares the fragments.
        maps: a folder for the maps, which stay there.
    """

    key = _FRAGMENT
    models: TrainedModels
    volumes: Volumes
    maps: Path

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.models.name

    def open_queue(self, at: Workplace) -> Predicted:  # noqa: ARG002 (it needs no folder)
        """Open an empty queue."""
        return Predicted()

    def prepare(self, ids: Sequence[str], queue: Predicted, at: Workplace) -> None:
        """Prepare and map a fragment; without a usable layer, it is not among the predictions."""
        for name in ids:
            folder = self.volumes.prepare(name, self.models.experiment.volume.bits, at.threads)
            prepared = self.volumes.prepared[name]
            found = predict_map(prepared, self.models, folder, at, identity="bundle")
            if found is not None:
                own = self.maps / str(len(list(self.maps.iterdir())))
                own.mkdir()
                found.replace(own / found.name)
                shutil.copyfile(folder / VOLUME / MASK, own / MASK)
                row = {_FRAGMENT: name, _MAP: str(own / found.name), _INSIDE: str(own / MASK)}
                queue.add(pl.DataFrame(row))


class Submission(worker.Submission[str]):
    """The submission of all runs."""

    unit = "fragment"
    most_at_once = 1  # a volume may have gigabytes

    def __init__(self, order: Order, at: Workplace) -> None:
        models = open_models(order.bundle)
        self._rules = {each.name: each.rule for each in models}
        self._rows = text_rows(order)
        self._asked = self._rows.filter("known")[ID].to_list()
        self._cells: dict[tuple[str, ...], str | None] = {}
        source = _open(order)
        self.ids = [name for name in self._asked if name in source.folders]
        self._volumes = Volumes(source, at.folder / "volumes")
        self.attempts = [
            RunAttempt(self._steps_of(each, at), replace(at, folder=at.folder / f"run-{number}"))
            for number, each in enumerate(models)
        ]

    def _steps_of(self, models: TrainedModels, at: Workplace) -> RunSteps:
        maps = at.folder / "maps" / models.name
        maps.mkdir(parents=True)
        return RunSteps(models, self._volumes, maps)

    def assemble(self) -> pl.DataFrame:
        """Return the masks of the mean of all maps that there are; empty ones elsewhere.

        They are made by the mean of the runs' rules. A run without a map of a fragment counts in
        neither mean.
        """
        cells = {name: self._cell(name, own) for name, own in self._maps().items()}
        schema = {ID: pl.String, PREDICTED: pl.String}
        found = pl.DataFrame(list(cells.items()), schema=schema, orient="row")
        return self._rows.drop("known").update(found, on=ID, how="left")

    def describe(self) -> Described:
        """Describe the submission with all predictions so far."""
        mapped, asked = self._maps(), set(self._asked)
        absent = asked - set(self.ids)
        whys = {"not in the test folder": absent} if absent else {}
        for name, prepared in self._volumes.prepared.items():
            if prepared.why_prior:
                whys.setdefault(prepared.why_prior, set()).add(name)
        lines = [
            f"{counted(len(own), self.unit)} with an empty mask: {why} ({named(own)})"
            for why, own in whys.items()
        ]
        lines += [
            f"{self.unit} {name}: {doubt}"
            for name, prepared in self._volumes.prepared.items()
            if name in mapped
            for doubt in describe_doubts(prepared.replaced, has_mask=prepared.has_mask)
        ]
        return Described(self.unit, len(asked), len(mapped), asked, lines)

    def _maps(self) -> dict[str, dict[str, tuple[Path, Path]]]:
        """Return the map of each run and the file of the mask, by fragment and run."""
        found: dict[str, dict[str, tuple[Path, Path]]] = {}
        for attempt in self.attempts:
            for name, own, inside in attempt.predictions.iter_rows():
                found.setdefault(name, {})[attempt.name] = Path(own), Path(inside)
        return found

    def _cell(self, name: str, maps: dict[str, tuple[Path, Path]]) -> str | None:
        """Return the coded mask of a fragment, None if empty; made once for the same maps."""
        key = (name, *maps)
        if key not in self._cells:
            inside = np.load(next(iter(maps.values()))[1])
            rule = mean_rule({run: self._rules[run] for run in maps})
            mean = _mean([np.load(path, mmap_mode="r") for path, _ in maps.values()])
            self._cells[key] = encode(make_mask(mean, inside, rule)) or None
        return self._cells[key]


def _mean(maps: Sequence[NDArray[np.float16]]) -> NDArray[np.float16]:
    """Return the mean of maps, (rows, columns)."""
    if len(maps) == 1:
        return maps[0]
    mean = np.empty(maps[0].shape, np.float16)
    for top in range(0, len(mean), _ROWS):
        rows = slice(top, top + _ROWS)
        mean[rows] = np.mean([each[rows].astype(np.float32) for each in maps], axis=0)
    return mean


def _open(order: Order) -> Source:
    """Open the test fragments; if the sample submission does not list them, by their folders."""
    root = order.test
    try:
        is_listed = bool(wanted_rows(root))
    except DataError as error:
        say_failure(f"{error}; so the fragments are looked for in {root / 'test'}")
        is_listed = False
    place = root if is_listed or not (root / "test").is_dir() else root / "test"
    return open_source(place, leave_out=order.work, may_be_empty=True)


if __name__ == "__main__":
    sys.exit(worker.main(Submission))
