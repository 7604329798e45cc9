"""What each way to make masks scores: the same maps, other rules, fitted on the other folds."""

from collections.abc import Iterator, Sequence

import dataframely as dy
import polars as pl

from lsdc.challenges.ink.config.mask import MaskConfig
from lsdc.challenges.ink.masks.labelled import Labelled
from lsdc.challenges.ink.masks.nested import Nested, fit_nested
from lsdc.tables.table import Table

VARIANTS_FILE = "masks.parquet"
CHOSEN = "as set"
# Maps are reduced where regions are tried: not at all if they are small, as a phantom's are.
_MOST_PIXELS, _SHRINK = 4_000_000, 8


class Variants(Table):
    """One row per way to make masks: what it scores on folds that it was not fitted on."""

    variant = dy.String(primary_key=True, description="What is done.")
    score = dy.Float64(min=0, max=1, description="F0.5, with rules fitted on the other folds.")
    fitted = dy.Float64(
        min=0,
        max=1,
        nullable=True,
        description="The same fitted on the folds that are scored; null if nothing is fitted.",
    )
    rule = dy.String(description="The rule that is fitted on all folds.")


def try_variants(regions: Sequence[Labelled], config: MaskConfig, chosen: Nested) -> pl.DataFrame:
    """Return what other settings of masks would score: `Variants`, the run's own first."""
    tried, pixels = {CHOSEN: chosen}, sum(each.inside.size for each in regions)
    for name, variant in _variants(config, 1 if pixels <= _MOST_PIXELS else _SHRINK):
        tried[name] = fit_nested(regions, variant)
    rows = [(name, each.score, each.fitted, each.final.describe()) for name, each in tried.items()]
    return pl.DataFrame(rows, schema=pl.Schema(Variants), orient="row")


def _variants(config: MaskConfig, factor: int) -> Iterator[tuple[str, MaskConfig]]:
    yield "a probability of one half", MaskConfig(by="value", threshold=0.5)
    yield "a fitted probability", MaskConfig(by="value")
    yield "a fitted quantile", MaskConfig(by="quantile")
    plain = MaskConfig(by=config.by, shrink=factor)
    if factor > 1:
        yield f"a fitted {config.by}, reduced to 1/{factor}", plain
    for name, fitted in (
        ("small regions removed", {"min_region_px": "fitted"}),
        ("two thresholds", {"top": "fitted"}),
        ("both", {"min_region_px": "fitted", "top": "fitted"}),
    ):
        yield name, plain.model_copy(update=fitted)
