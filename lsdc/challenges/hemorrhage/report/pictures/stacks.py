"""Studies of a run as pictures show them: their prepared slices, labels and predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.report.figures.scored import number_slices
from lsdc.challenges.hemorrhage.report.figures.sources import images_of
from lsdc.challenges.hemorrhage.scoring.metric import PARTS
from lsdc.challenges.hemorrhage.scoring.oof import LABEL_COLUMNS
from lsdc.challenges.hemorrhage.slices.prepare import SLICES
from lsdc.errors import DataError
from lsdc.store.exact_names import read_parquet, scan_parquet
from lsdc.store.garbage import pinned_results
from lsdc.store.home import Home
from lsdc.store.runs import EXPERIMENT_FILE

MOST_WINDOWS = 3
Pixels = NDArray[np.uint8]


class Stored(NamedTuple):
    """Where the prepared windows of a slice are.

    Attributes:
        folder: the folder with slices.npy.
        row: the row there.
    """

    folder: Path
    row: int


@dataclass(frozen=True)
class Stack:
    """A study: its slices in order, from the lowest.

    Attributes:
        study_id: the study.
        split: train or test.
        slices: image_id, slice (from 1), along_mm: a row for each of the n usable images.
        pixels: the windows of each slice, (windows, rows, columns); None if its file could not be
            read, or was not prepared for this run.
        labels: (n, 6), 0 or 1; NaN where not known.
        probabilities: (n, 6); NaN where there is no prediction.
        folds: the fold of each slice; None for one that is in no fold.
        stored: where the windows of each slice are; None where `pixels` is.
    """

    study_id: str
    split: str
    slices: pl.DataFrame
    pixels: tuple[Pixels | None, ...]
    labels: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    folds: tuple[int | None, ...]
    stored: tuple[Stored | None, ...]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.slices)

    def find(self, image_id: str) -> int:
        """Return the place of an image, from 0."""
        return self.slices["image_id"].to_list().index(image_id)


class Stacks:
    """The studies of a run that its index lists.

    Attributes:
        windows: what each channel shows, as words; at most MOST_WINDOWS are drawn.
    """

    def __init__(self, home: Home, run: str) -> None:
        """Read which images there are, and where their prepared slices are.

        Raises:
            DataError: the run has no index of images, or no prepared slices.
        """
        self._folder = home.run(run)
        results = pinned_results(home, run)
        images = images_of(results)
        if images.is_empty():
            raise DataError(
                f"run {run}: no index of images among its results, expected images.parquet; run "
                "the same command again"
            )
        order = ["study_id", "series_id", "order", "image_id"]
        numbered = number_slices(images).drop("slices")
        self._images = images.sort(order).join(numbered, on="image_id", maintain_order="left")
        self._stores = [each for each in results if (each / SLICES).is_file()]
        if not self._stores:
            raise DataError(
                f"run {run}: no prepared slices among its results, expected {SLICES}; run the same "
                "command again"
            )
        self._rows = _rows_of(self._stores)
        self.windows = name_windows(_slices_of(self._folder / EXPERIMENT_FILE))

    def studies_of(self, images: Sequence[str]) -> dict[str, str]:
        """Return the study of each of some images."""
        wanted = self._images.filter(pl.col("image_id").is_in(list(images)))
        return dict(wanted.select("image_id", "study_id").iter_rows())

    def read(self, study: str) -> Stack:
        """Read a study.

        Raises:
            DataError: the run's index has no such study.
        """
        own = self._images.filter(study_id=study)
        if own.is_empty():
            raise DataError(
                f"study {study}: no image in the results of the run, expected a study of the run; "
                "see the catalog's table 'studies'"
            )
        rows = own.join(self._rows, on="image_id", how="left", maintain_order="left")
        answers = self._answers(own["image_id"])
        stored = tuple(
            None if store is None else Stored(self._stores[store], row)
            for store, row in rows["store", "row"].rows()
        )
        return Stack(
            study_id=study,
            split=str(own["split"][0]),
            slices=own.select("image_id", "slice", "along_mm"),
            pixels=tuple(map(read_pixels, stored)),
            labels=answers.select(LABEL_COLUMNS).cast(pl.Float64).fill_null(np.nan).to_numpy(),
            probabilities=answers.select(PARTS).cast(pl.Float64).fill_null(np.nan).to_numpy(),
            folds=tuple(answers["fold"]),
            stored=stored,
        )

    def _answers(self, images: pl.Series) -> pl.DataFrame:
        """Return fold, labels and predictions of images, in their order; null where not known."""
        names = ["oof.parquet", "holdout.parquet", "predictions.parquet"]
        schema: Mapping[str, Any] = {
            "image_id": pl.String,
            "fold": pl.Int32,
            **dict.fromkeys(LABEL_COLUMNS, pl.Int8),
            **dict.fromkeys(PARTS, pl.Float64),
        }
        tables = [pl.DataFrame(schema=schema)]
        for path in (self._folder / name for name in names):
            if path.is_file():
                found = scan_parquet(path).filter(pl.col("image_id").is_in(images.to_list()))
                kept = [name for name in schema if name in found.collect_schema()]
                tables.append(found.select(kept).collect())
        known = pl.concat(tables, how="diagonal_relaxed").unique("image_id", keep="first")
        return images.to_frame().join(known, on="image_id", how="left", maintain_order="left")


def _rows_of(stores: Sequence[Path]) -> pl.DataFrame:
    """Return image_id, and the store and the row of its prepared slice."""
    tables = [
        read_parquet(folder / "slices.parquet", ["image_id", "row"]).with_columns(
            store=pl.lit(number, dtype=pl.Int32)
        )
        for number, folder in enumerate(stores)
    ]
    empty = pl.DataFrame(schema={"image_id": pl.String, "row": pl.Int32, "store": pl.Int32})
    return pl.concat([empty, *tables], how="vertical_relaxed").unique("image_id", keep="first")


def read_pixels(stored: Stored | None) -> Pixels | None:
    """Return the windows of a slice, MOST_WINDOWS at most; None where there is none."""
    if stored is None:
        return None
    return np.array(np.load(stored.folder / SLICES, mmap_mode="r")[stored.row, :MOST_WINDOWS])


def name_windows(config: SlicesConfig) -> list[str]:
    """Return what each channel of a prepared slice shows, by the experiment's settings."""
    if config.window == "header":
        return ["the header's window"]
    return [
        f"{centre - width / 2:g} to {centre + width / 2:g} HU" for centre, width in config.windows
    ]


def _slices_of(experiment: Path) -> SlicesConfig:
    """Return the settings of a run's slices, by its record."""
    settings = json.loads(experiment.read_bytes()) if experiment.is_file() else {}
    return SlicesConfig.model_validate(settings.get("slices", {}))
