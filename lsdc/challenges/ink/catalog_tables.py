"""The tables of the catalog, in the order of `docs/reference/catalog-ink.md`."""

from lsdc.challenges.ink.folds import Folds, Regions
from lsdc.challenges.ink.index import Fragments, Layers
from lsdc.challenges.ink.masks.oof import OutOfFold
from lsdc.tables.table import Table

CATALOG: dict[str, type[Table]] = {
    "fragments": Fragments,
    "layers": Layers,
    "regions": Regions,
    "folds": Folds,
}

OUT_OF_FOLD: type[Table] = OutOfFold  # the file oof.parquet of a run
