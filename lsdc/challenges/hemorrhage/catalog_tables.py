"""The tables of the catalog, in the order of `docs/reference/catalog-hemorrhage.md`."""

from lsdc.challenges.hemorrhage.competition.tables import Labels
from lsdc.challenges.hemorrhage.folds import Folds, Holdout
from lsdc.challenges.hemorrhage.index.tables import Images, OtherFiles, Quarantine, Series, Studies
from lsdc.challenges.hemorrhage.scoring.oof import OutOfFold
from lsdc.challenges.hemorrhage.slices.prepare import Slices
from lsdc.tables.table import Table

CATALOG: dict[str, type[Table]] = {
    "images": Images,
    "series": Series,
    "studies": Studies,
    "quarantine": Quarantine,
    "other_files": OtherFiles,
    "folds": Folds,
    "labels": Labels,
    "holdout": Holdout,
    "slices": Slices,
}

OUT_OF_FOLD: type[Table] = OutOfFold  # the file oof.parquet of a run
