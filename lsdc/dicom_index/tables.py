"""Write the tables of an index in parts that fit into memory."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from lsdc.dicom_index.instance_table import Instances
from lsdc.dicom_index.instances import STUDY_ID, tabulate
from lsdc.dicom_index.listing import Listing
from lsdc.dicom_index.other_files import OtherFiles
from lsdc.dicom_index.quarantine import Quarantine
from lsdc.dicom_index.series import Series, Studies, add_listed, summarise_series, summarise_studies
from lsdc.store.exact_names import scan_parquet
from lsdc.store.files import write_atomic
from lsdc.store.table_files import write_table

# Rows processed together; more would fill the memory.
_ROWS_AT_ONCE = 60_000
_FILES_AT_ONCE = 200_000
# Columns of headers that this index does not use.
_UNUSED = [
    *("instance_checksum", "study_name", "series_name", "modality", "patient"),
    *("rescale_intercept", "rescale_slope", "window_centers", "window_widths"),
]


class IndexTables:
    """A writer of the tables, in parts that fit into memory.

    Args:
        out: an existing folder.
        aside: files that are not read (`OtherFiles`).
        listing: the competition's tables, if there are any.
    """

    def __init__(self, out: Path, aside: pl.DataFrame, listing: Listing | None = None) -> None:
        self._out, self._listing = out, listing
        self._parts: list[Path] = []
        self._series: list[pl.DataFrame] = [Series.create_empty()]
        self.quarantine = pl.DataFrame(
            schema={**pl.Schema(Quarantine), "split": pl.String(), "listed": pl.Boolean()}
        )
        self.others = aside

    def fill(self, headers: pl.LazyFrame, files: pl.DataFrame) -> None:
        """Add the headers of files that `place_files` has placed."""
        headers = headers.drop(_UNUSED)
        for part in _whole_studies(headers, files.drop("bytes", "mtime_ns"), self._out):
            instances, quarantine, others = tabulate(part, self._listing)
            path = self._out / f".instances-{len(self._parts):06d}.parquet"
            write_table(Instances, instances, path)
            self._parts.append(path)
            self._series.append(summarise_series(instances, quarantine))
            self.quarantine = pl.concat([self.quarantine, quarantine])
            self.others = pl.concat([self.others, others])

    def close(self, listed: pl.DataFrame | None) -> int:
        """Write the tables and return the number of rows in `instances`."""
        series = pl.concat(self._series)
        if listed is not None:
            series = add_listed(series, listed)
        quarantine = self.quarantine.select(Quarantine.column_names()).sort("path")
        write_table(Series, series, self._out / "series.parquet")
        write_table(Studies, summarise_studies(series), self._out / "studies.parquet")
        write_table(Quarantine, quarantine, self._out / "quarantine.parquet")
        write_table(OtherFiles, self.others.sort("path"), self._out / "other_files.parquet")
        instances = scan_parquet(*self._parts) if self._parts else Instances.create_empty().lazy()
        with write_atomic(self._out / "instances.parquet") as temporary:
            instances.sink_parquet(temporary)
        for part in self._parts:
            part.unlink()
        return int(series["images"].sum())


def _whole_studies(
    headers: pl.LazyFrame, files: pl.DataFrame, scratch: Path
) -> Iterator[pl.DataFrame]:
    """Yield headers joined with their files, in parts of about `_ROWS_AT_ONCE`, of whole studies.

    Many rows are joined block by block and stored in the folder `scratch` meanwhile: joining all of
    them for every part would take more memory and time.
    """
    if len(files) <= _ROWS_AT_ONCE:
        yield headers.join(files.lazy(), on="path", how="inner").collect()
        return
    blocks = []
    for number, block in enumerate(files.iter_slices(_FILES_AT_ONCE)):
        blocks.append(scratch / f".placed-{number:06d}.parquet")
        headers.join(block.lazy(), on="path", how="inner").sink_parquet(blocks[-1])
    placed = scan_parquet(*blocks)
    studies = placed.group_by(STUDY_ID).len().sort("study_id").collect()
    part = (studies["len"].cum_sum() - 1) // _ROWS_AT_ONCE
    for _, some in studies.group_by(part, maintain_order=True):
        ids = some["study_id"]
        yield placed.filter(STUDY_ID.is_between(ids.min(), ids.max())).collect()
    for path in blocks:
        path.unlink()
