"""Sources: the studies of a folder, with the competition's tables or without any.

With `test_series_descriptions.csv` the folder is read as a run reads its test studies. Without it,
every DICOM file below the folder is read, whatever the folders and files are called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from lsdc.challenges.lumbar.competition.tables import listing_of, open_test_set
from lsdc.challenges.lumbar.predict.choice import choose_series
from lsdc.challenges.lumbar.predict.content import measure_fluid
from lsdc.challenges.lumbar.predict.kinds import ToldSeries, tell_by_content, tell_by_tags
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.series import find_series, refuse
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom.walk import list_tree
from lsdc.dicom_index.index import read_shard
from lsdc.dicom_index.instances import STUDY_ID, place_files, tabulate
from lsdc.dicom_index.layout import layout_of
from lsdc.dicom_index.listing import Listing
from lsdc.dicom_index.other_files import set_aside
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.predict.blocks import split_studies
from lsdc.predict.dicom_files import OnFiles, read_headers, require_readable
from lsdc.predict.files import list_files, list_tables
from lsdc.predict.workplace import Workplace
from lsdc.store.exact_names import read_parquet, scan_parquet
from lsdc.store.files import write_folder


@dataclass(frozen=True)
class Studies:
    """Some of a folder's studies.

    Attributes:
        ids: the studies, in ascending order, also those without a usable image.
        instances: the instances table of their images; `used_as` is null for unused ones.
        quarantine: the files that cannot be used.
        others: the files that are no slices, or copies.
        told: how each series was told; empty if a table tells it.
        listed: study_id, series_id and series_description of the series in the table, if any.
    """

    ids: tuple[int, ...]
    instances: pl.DataFrame
    quarantine: pl.DataFrame
    others: pl.DataFrame
    told: tuple[ToldSeries, ...] = ()
    listed: pl.DataFrame | None = None


class Source(Protocol):
    """The studies of a folder."""

    @property
    def blocks(self) -> Sequence[Sequence[int]]:
        """The ids of the studies, in parts to be read one after the other."""
        ...

    def spell(self, identifier: int) -> str:
        """Return an id as the tables write it."""
        ...

    def read(self, block: Sequence[int]) -> Studies:
        """Read the headers of some studies, and tell the kinds of their series."""
        ...


def list_inputs(root: Path, *, leave_out: Path) -> pl.DataFrame:
    """Return path, size and mtime of the files that a prediction may read below a folder.

    Args:
        root: the folder.
        leave_out: a folder to skip wherever it is.

    Raises:
        DataError: its table of series cannot be read.
    """
    if open_test_set(root) is None:
        return list_files(root, leave_out=leave_out)
    names = ("test_series_descriptions.csv", "sample_submission.csv")
    tables = list_tables([root / name for name in names])
    images = root / "test_images"
    if not images.is_dir():
        return tables
    return pl.concat([list_files(images, leave_out=leave_out), tables])


def open_source(
    root: Path,
    models: TrainedModels,
    at: Workplace,
    *,
    studies_at_once: int,
    leave_out: Path,
    may_be_empty: bool,
    on_files: OnFiles,
) -> Source:
    """Find the studies of a folder.

    Args:
        root: the folder.
        models: the models, which find the canal where the tags do not tell the contrast.
        at: the workplace.
        studies_at_once: the largest number of studies of a block.
        leave_out: a folder to skip wherever it is, such as that of the results.
        may_be_empty: whether a folder without a DICOM file is accepted, as a submission needs.
        on_files: called with the number of files read and of files to read.

    Raises:
        DataError: the folder holds no DICOM file, or its table cannot be read.
    """
    listing = open_test_set(root)
    if listing is not None:
        return ListedStudies(listing, at, studies_at_once)
    return LooseStudies.find(
        root,
        models,
        at,
        studies_at_once=studies_at_once,
        leave_out=leave_out,
        may_be_empty=may_be_empty,
        on_files=on_files,
    )


@dataclass(frozen=True)
class ListedStudies:
    """The studies that a table lists, in a competition's layout."""

    listing: Listing
    at: Workplace
    studies_at_once: int

    @property
    def blocks(self) -> Sequence[Sequence[int]]:
        """The listed studies, by id."""
        ids = self.listing.series["study_id"].unique().sort().to_list()
        return split_studies(ids, self.studies_at_once)

    def spell(self, identifier: int) -> str:
        """Return an id as the tables write it."""
        return self.listing.spell(identifier)

    def read(self, block: Sequence[int]) -> Studies:
        """Read the headers of some studies as a run does."""
        listed = self.listing.series.filter(pl.col("study_id").is_in(list(block)))
        with write_folder(self.at.folder) as out:
            read_shard(
                self.listing,
                "test",
                listed,
                out,
                processes=self.at.threads,
                headers=self.at.folder / "headers",
            )
            instances, quarantine, others = (
                read_parquet(out / f"{name}.parquet")
                for name in ("instances", "quarantine", "other_files")
            )
        return Studies(tuple(block), instances, quarantine, others, listed=listed)


@dataclass(frozen=True)
class LooseStudies:
    """The studies of all DICOM files below a folder, by the ids in their headers.

    Attributes:
        root: the folder.
        headers: a Parquet file of all files' headers and places.
        aside: files that are known by their names to be no slices.
    """

    root: Path
    models: TrainedModels
    at: Workplace
    headers: Path
    blocks: Sequence[Sequence[int]]
    aside: pl.DataFrame
    spelled: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def find(
        cls,
        root: Path,
        models: TrainedModels,
        at: Workplace,
        *,
        studies_at_once: int,
        leave_out: Path,
        may_be_empty: bool,
        on_files: OnFiles,
    ) -> "LooseStudies":
        """Read the headers of all files below a folder.

        Raises:
            DataError: none of them is DICOM, and the folder may not be empty.
        """
        root = root.absolute()
        found = list_tree(root, with_status=False, leave_out=leave_out)
        placed, aside = set_aside(place_files(found, layout_of(None), None))
        headers = at.folder / "placed.parquet"
        # The models predict the split `test`, whatever the folders are called.
        read_headers(placed, root, at, on_files).with_columns(
            STUDY_ID, split=pl.lit("test")
        ).sink_parquet(headers)
        if not may_be_empty:
            require_readable(headers, root, len(found))
        ids = scan_parquet(headers).select(pl.col("study_id").unique().sort()).collect()
        blocks = split_studies(ids["study_id"].to_list(), studies_at_once)
        return cls(root, models, at, headers, blocks, aside)

    def spell(self, identifier: int) -> str:
        """Return an id as it is."""
        return str(identifier)

    def read(self, block: Sequence[int]) -> Studies:
        """Tell the kinds of some studies' series, and choose the series to use."""
        own = pl.col("study_id").is_in(list(block))
        headers = scan_parquet(self.headers).filter(own).collect().drop("study_id")
        instances, quarantine, others = tabulate(headers)
        told = self._tell(instances, headers)
        used = {
            (each.found.study_id, each.found.series_id): str(each.kind)
            for each in told
            if not each.left_out
        }
        instances, quarantine, others = self._tabulate_as_listed(headers, instances, used)
        known = (instances["study_id"], quarantine["study_id"].drop_nulls())
        ids = sorted({*known[0].to_list(), *known[1].to_list()})
        columns = Quarantine.column_names()
        first = self.blocks[0] is block
        others = pl.concat([self.aside, others]) if first else others
        return Studies(tuple(ids), instances, quarantine.select(columns), others, tuple(told))

    def _tell(self, instances: pl.DataFrame, headers: pl.DataFrame) -> list[ToldSeries]:
        told: list[ToldSeries] = []
        for series in find_series(instances, headers):
            reason = refuse(series)
            told.append(ToldSeries(series, left_out=reason) if reason else tell_by_tags(series))
        open_ = {
            each.found.study_id for each in told if not each.left_out and each.contrast is None
        }
        fluid = self._measure(instances, told, open_) if open_ else {}
        chosen = []
        for study in dict.fromkeys(each.found.study_id for each in told):
            of_study = [each for each in told if each.found.study_id == study]
            asked = [each for each in of_study if not each.left_out]
            brightness = {series: ratio for (one, series), ratio in fluid.items() if one == study}
            refused = [each for each in of_study if each.left_out]
            chosen += choose_series([*tell_by_content(asked, brightness), *refused])
        return chosen

    def _measure(
        self, instances: pl.DataFrame, told: Sequence[ToldSeries], studies: set[int]
    ) -> dict[tuple[int, int], float]:
        """Measure the canal's brightness on all series of some studies that are not refused."""
        kinds = {"sagittal": SeriesDescription.SAGITTAL_T2, "axial": SeriesDescription.AXIAL_T2}
        as_if = pl.DataFrame(
            [
                (each.found.study_id, each.found.series_id, str(kinds[each.found.plane]))
                for each in told
                if not each.left_out and each.found.study_id in studies
            ],
            schema={"study_id": pl.Int64, "series_id": pl.Int64, "used_as": pl.String},
            orient="row",
        )
        images = instances.drop("used_as").join(
            as_if, on=["study_id", "series_id"], how="inner", maintain_order="left"
        )
        images = images.with_columns(series_description="used_as").select(instances.columns)
        return measure_fluid(images, self.models.points, self.at)

    def _tabulate_as_listed(
        self,
        headers: pl.DataFrame,
        instances: pl.DataFrame,
        used: Mapping[tuple[int, int], str],
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Make the tables of an index as if a table listed the used series."""
        series = pl.DataFrame(
            [("test", *one, kind) for one, kind in used.items()],
            schema={
                "split": pl.String,
                "study_id": pl.Int64,
                "series_id": pl.Int64,
                "series_description": pl.String,
            },
            orient="row",
        )
        described = (
            instances.select("study_id", "series_id", "path")
            .unique("path")
            .join(series.drop("split"), on=["study_id", "series_id"], how="inner")
            .select("path", "series_description", listed=pl.lit(True))
        )
        rows = headers.drop("series_description", "listed").join(
            described, on="path", how="left", maintain_order="left"
        )
        rows = rows.with_columns(pl.col("listed").fill_null(False)).select(headers.columns)
        return tabulate(rows, listing_of(self.root, series))
