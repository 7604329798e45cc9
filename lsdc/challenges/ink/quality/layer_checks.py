"""Check the layers: whether each is there, can be read, and differs from the others."""

import polars as pl

from lsdc.challenges.ink.quality.checks import check
from lsdc.challenges.ink.vocabulary import LAYERS
from lsdc.tables.findings import Severity

_FRAGMENT = ["split", "fragment"]
_LAYER = [*_FRAGMENT, "layer", "path"]
_NUMBER = pl.col("layer").is_not_null() & (pl.col("layer") < LAYERS)


@check(
    "Fragments that lack layers",
    "fragments",
    of=lambda fragments, **_: fragments,
    advice="runs stop at them; copy surface_volume again",
)
def missing_layers(fragments: pl.DataFrame, layers: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments without a file for each layer, and the first of those missing."""
    every = fragments.select(*_FRAGMENT, "path").join(
        pl.DataFrame({"layer": range(LAYERS)}, schema={"layer": pl.Int64}), how="cross"
    )
    missing = every.join(layers, on=[*_FRAGMENT, "layer"], how="anti")
    return missing.group_by(*_FRAGMENT, "path", maintain_order=True).agg(
        missing=pl.len(), first_missing=pl.col("layer").min()
    )


@check(
    "Files that are no layers, or layers that cannot be read",
    "files",
    of=lambda layers: layers,
    advice="runs stop at damaged layers; copy them again, and remove other files",
)
def unusable_layers(layers: pl.DataFrame) -> pl.DataFrame:
    """Return the files in surface_volume that cannot be used, and why."""
    unknown = pl.when(pl.col("fault").is_not_null()).then("fault")
    beyond = unknown.when(~_NUMBER).then(pl.lit(f"expected 00.tif to {LAYERS - 1}.tif"))
    again = pl.struct(*_FRAGMENT, "layer").is_duplicated() & _NUMBER
    why = beyond.when(again).then(pl.lit("another file has the same number"))
    return layers.with_columns(fault=why).drop_nulls("fault").select(*_LAYER, "fault")


@check(
    "Layers of another size than their mask",
    "layers",
    of=lambda layers, **_: layers,
    advice="runs stop at them; copy the fragment again",
)
def layers_of_another_size(layers: pl.DataFrame, pictures: pl.DataFrame) -> pl.DataFrame:
    """Return the layers whose rows or columns are not those of their fragment's mask."""
    masks = pictures.filter(picture="mask.png").select(
        *_FRAGMENT, mask_rows="rows", mask_columns="columns"
    )
    sized = layers.join(masks, on=_FRAGMENT, maintain_order="left")
    other = (pl.col("rows") != pl.col("mask_rows")) | (pl.col("columns") != pl.col("mask_columns"))
    return sized.filter(other).select(*_LAYER, "rows", "columns", "mask_rows", "mask_columns")


@check(
    "Fragments with layers of 8 and of 16 bits",
    "fragments",
    advice="runs stop at them; copy the fragment again",
)
def mixed_bits(fragments: pl.DataFrame, layers: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments whose layers differ in bits, and how many have 8."""
    mixed = (
        layers.drop_nulls("bits")
        .group_by(_FRAGMENT)
        .agg(kinds=pl.col("bits").n_unique(), of_8_bits=(pl.col("bits") == 8).sum())
    )
    found = fragments.join(mixed.filter(pl.col("kinds") > 1), on=_FRAGMENT, maintain_order="left")
    return found.select(*_FRAGMENT, "path", "of_8_bits")


@check(
    "Constant layers",
    "layers",
    of=lambda layers: layers,
    advice="used as they are; checked in 48 rows: look at the file, it may be empty",
)
def constant_layers(layers: pl.DataFrame) -> pl.DataFrame:
    """Return the layers of which all sampled rows have one value."""
    return layers.filter(pl.col("least") == pl.col("greatest")).select(*_LAYER, value="least")


@check(
    "Layers that are equal to another of their fragment",
    "layers",
    advice="used as they are; checked in 48 rows: a file may have been copied under two names",
)
def equal_layers(layers: pl.DataFrame) -> pl.DataFrame:
    """Return the layers, constant ones excepted, whose sampled rows a former layer has, too."""
    varied = layers.filter(pl.col("least") < pl.col("greatest"))
    first = varied.group_by(*_FRAGMENT, "digest").agg(equal_to=pl.col("layer").min())
    same = varied.join(first, on=[*_FRAGMENT, "digest"], maintain_order="left")
    return same.filter(pl.col("layer") != pl.col("equal_to")).select(*_LAYER, "equal_to")


@check(
    "Layers of 8 bits",
    "fragments",
    Severity.NOTE,
    advice="used; the competition's have 16, of which 8 keep the upper half",
)
def eight_bits(fragments: pl.DataFrame, layers: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments all of whose layers have 8 bits."""
    bits = layers.drop_nulls("bits").group_by(_FRAGMENT).agg(pl.col("bits").max())
    return fragments.join(bits.filter(bits=8), on=_FRAGMENT, maintain_order="left").select(
        *_FRAGMENT, "path"
    )
