"""Coordinates as the annotations have them, for studies that are trained on."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lsdc.lumbar.coordinates import write_annotated
from lsdc.store.exact_names import read_parquet
from lsdc.store.files import write_atomic

_TABLES = ("points", "landmarks", "spines", "moves")


def take_annotated(
    instances: pl.DataFrame, annotations: pl.DataFrame, out: Path, *, but_for: Sequence[int]
) -> None:
    """Write the coordinates' tables as the annotations have them into `out`.

    Args:
        instances: the instances table.
        annotations: the points that were given.
        out: where a model's tables lie already.
        but_for: studies that keep the model's rows, as a test study has them.
    """
    kept = pl.col("study_id").is_in(but_for)
    found = {name: read_parquet(out / f"{name}.parquet").filter(kept) for name in _TABLES}
    write_annotated(instances, annotations.filter(~kept), out)
    for name, rows in found.items():
        table = pl.concat([read_parquet(out / f"{name}.parquet"), rows])
        with write_atomic(out / f"{name}.parquet") as temporary:
            table.sort("study_id", maintain_order=True).write_parquet(temporary)
