"""Gather what all blocks found, as tables of the results and as JSON values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lsdc.challenges.ink.competition.tables import ID, PREDICTED
from lsdc.challenges.ink.predict.block import MAP, Prepared
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.outcome import FragmentOutcome
from lsdc.challenges.ink.predict.sources import Source
from lsdc.predict.dicom_files import count_others
from lsdc.predict.files import relative_to
from lsdc.predict.unfinished import Block
from lsdc.store.exact_names import read_parquet

ROWS = "rows.parquet"  # of a block: `Id`, `Predicted` and source
BAD = {
    "path": pl.String,
    "stage": pl.String,
    "reason": pl.String,
    "fragment": pl.String,
    "layer": pl.Int32,
}


@dataclass(frozen=True)
class Found:
    """All predictions, before they are written.

    Attributes:
        fragments: the fragments, in the order in which they were predicted.
        rows: the table `predictions.csv`: `Id`, `Predicted`, source.
        bad: `BAD` of the files that cannot be used, with their paths below the folder.
        others: the number of files that are neither layers nor masks, by type.
        files: the table `files.csv`: path, fragment, layer, used_as.
    """

    fragments: list[FragmentOutcome]
    rows: pl.DataFrame
    bad: pl.DataFrame
    others: pl.DataFrame
    files: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """The table `fragments.csv`."""
        schema = {
            **{"fragment": pl.String, "rows": pl.Int64, "columns": pl.Int64},
            **{"mask_pixels": pl.Int64, "ink_pixels": pl.Int64, "mean_probability": pl.Float64},
            **{"layers_replaced": pl.Int64, "source": pl.String},
        }
        rows = [
            (
                *(each.fragment, each.rows, each.columns, each.mask_pixels, each.ink_pixels),
                *(each.mean_probability, len(each.replaced), each.source),
            )
            for each in self.fragments
        ]
        return pl.DataFrame(rows, schema=schema, orient="row")


def gather(blocks: Sequence[Block[FragmentOutcome]], source: Source, root: Path) -> Found:
    """Gather what the blocks of a source found."""
    empty = pl.DataFrame(schema={ID: pl.String, PREDICTED: pl.String, "source": pl.String})
    bad = pl.concat([pl.DataFrame(schema=BAD), *(block.quarantine for block in blocks)])
    used = source.files.join(bad, on="path", how="anti")
    used_as = pl.when(pl.col("layer").is_null()).then(pl.lit("mask")).otherwise(pl.lit("layer"))
    used = used.with_columns(used_as=used_as).select("path", "used_as")
    files = source.files.join(used, on="path", how="left")
    return Found(
        fragments=[each for block in blocks for each in block.studies],
        rows=pl.concat([empty, *(read_parquet(block.folder / ROWS) for block in blocks)]),
        bad=relative_to(root, bad),
        others=count_others(root, source.others),
        files=relative_to(root, files),
    )


def tabulate_faults(name: str, prepared: Prepared) -> pl.DataFrame:
    """Return `BAD` of a fragment's files."""
    rows = [(each.path, "volumes", each.reason, name, each.layer) for each in prepared.faults]
    return pl.DataFrame(rows, schema=BAD, orient="row")


def describe(found: Found, models: TrainedModels) -> dict[str, Any]:
    """Return the rule for masks and each fragment as JSON values."""
    return {
        "rule": models.rule.describe(),
        "fragments": [
            {
                "fragment": each.fragment,
                "folder": each.folder,
                "predicted_from": each.source,
                "doubts": each.doubts,
                "quarantined": each.quarantined,
                "rows": each.rows,
                "columns": each.columns,
                "mask_pixels": each.mask_pixels,
                "ink_pixels": each.ink_pixels,
                "mean_probability": each.mean_probability,
                "replaced_layers": {str(layer): by for layer, by in each.replaced.items()},
                MAP: None if each.why_prior else map_name(each.fragment),
            }
            for each in found.fragments
        ],
    }


def map_name(fragment: str) -> str:
    """Return the path of a fragment's map in the folder of the results."""
    return f"maps/{fragment}.npy"
