"""Build an index, and check what is true of every index."""

from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.hemorrhage.index.build import Index, build_index
from lsdc.challenges.hemorrhage.index.tables import (
    Images,
    OtherFiles,
    Quarantine,
    Series,
    Studies,
)

TABLES = {
    "images": Images,
    "series": Series,
    "studies": Studies,
    "quarantine": Quarantine,
    "other_files": OtherFiles,
}


def index_of(root: Path, out: Path, **options: Any) -> Index:
    """Return the index of a competition's folder."""
    out.mkdir(exist_ok=True, parents=True)
    images = build_index(root, out, **options)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{name}.parquet" for name in TABLES
    )
    index = Index.load(out)
    assert images == len(index.images)
    check_whole(root, index)
    return index


def check_whole(root: Path, index: Index) -> None:
    """Check that every file of the folders of images is in exactly one table, and ids are keys."""
    for name, table in TABLES.items():
        table.check(getattr(index, name))
    named = [*index.images["path"], *index.quarantine["path"], *index.other_files["path"]]
    files = [str(path) for path in root.glob("*stage_*/**/*") if path.is_file()]
    assert sorted(named) == sorted(files)
    series = ["split", "study_id", "series_id"]
    assert not index.images.select("split", "image_id").is_duplicated().any()
    assert not index.series.select(series).is_duplicated().any()
    assert not index.studies.select(series[:2]).is_duplicated().any()
    assert index.series["images"].sum() == index.studies["images"].sum() == len(index.images)
    orders = index.images.group_by(series, maintain_order=True).agg("order")["order"].to_list()
    assert orders == [list(range(len(own))) for own in orders]
    assert index.images.equals(index.images.sort(*series, "order"))


def one(index: Index, image: str) -> dict[str, Any]:
    """Return the row of an image."""
    return index.images.row(by_predicate=pl.col("image_id") == image, named=True)
