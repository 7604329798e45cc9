"""Check the pictures: masks and labels, their sizes, kinds, and whether they go together."""

import polars as pl

from lsdc.challenges.ink.quality.checks import check
from lsdc.tables.findings import Severity

_FRAGMENT = ["split", "fragment"]
# Pillow warns above this many pixels, and refuses pictures of twice as many.
_PILLOW_LIMIT = 89_478_485


@check(
    "Pictures that are missing or cannot be read",
    "pictures",
    of=lambda pictures: pictures,
    advice="runs stop without a mask or, in train/, labels; copy them again",
)
def unusable_pictures(pictures: pl.DataFrame) -> pl.DataFrame:
    """Return the masks, labels and infrared pictures that cannot be used, and why."""
    return pictures.drop_nulls("fault").select(*_FRAGMENT, "path", "fault")


@check(
    "Labels of another size than their mask",
    "fragments",
    advice="runs stop at them; copy both again",
)
def labels_of_another_size(pictures: pl.DataFrame) -> pl.DataFrame:
    """Return the labels whose rows or columns are not those of their fragment's mask."""
    masks, labels = (pictures.filter(picture=name) for name in ("mask.png", "inklabels.png"))
    both = labels.join(masks, on=_FRAGMENT, suffix="_of_mask", maintain_order="left")
    other = (pl.col("rows") != pl.col("rows_of_mask")) | (
        pl.col("columns") != pl.col("columns_of_mask")
    )
    sizes = ["rows", "columns", "rows_of_mask", "columns_of_mask"]
    return both.filter(other).select(*_FRAGMENT, "path", *sizes)


@check(
    "Fragments with ink outside of the mask",
    "fragments",
    of=lambda fragments: fragments,
    advice="not learnt from; the metric counts it, as it takes the whole frame",
)
def ink_outside_of_the_mask(fragments: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments with ink where the mask has no data, and how many pixels of it."""
    found = fragments.filter(pl.col("ink_outside") > 0)
    return found.select(*_FRAGMENT, "path", "ink_outside", "ink_pixels")


@check("Empty masks", "fragments", advice="runs stop at them; copy them again")
def empty_masks(fragments: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments whose mask has no pixel."""
    return fragments.filter(mask_pixels=0).select(*_FRAGMENT, "path")


@check(
    "Labels without ink, or with ink everywhere",
    "fragments",
    advice="used; a region with one class teaches little: look at the picture",
)
def labels_of_one_class(fragments: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments with no pixel of ink, or with at least as many as the mask has."""
    one = (pl.col("ink_pixels") == 0) | (pl.col("ink_pixels") >= pl.col("mask_pixels"))
    return fragments.filter(one).select(*_FRAGMENT, "path", "ink_pixels", "mask_pixels")


@check(
    "inklabels_rle.csv that differs from inklabels.png",
    "fragments",
    advice="the picture is used; copy both again",
)
def runs_unlike_the_picture(fragments: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments whose runs are not those of their labels."""
    return fragments.filter(runs_match=False).select(*_FRAGMENT, "path", "ink_pixels")


@check(
    "Masks and labels that are not grey pictures of 8 bits",
    "pictures",
    Severity.NOTE,
    advice="read right: every colour but black is set; other programs may read 1 as black",
)
def unusual_kinds(pictures: pl.DataFrame) -> pl.DataFrame:
    """Return the masks and labels with a palette (P), 1 bit (1), or colours (RGB)."""
    unusual = (pl.col("kind") != "L") & (pl.col("picture") != "ir.png")
    return pictures.filter(unusual).select(*_FRAGMENT, "path", "kind")


@check(
    "Pictures above Pillow's limit",
    "pictures",
    Severity.NOTE,
    advice="read without the limit; Pillow itself warns of them or refuses them",
)
def beyond_the_limit_of_pillow(pictures: pl.DataFrame) -> pl.DataFrame:
    """Return the pictures with more than 89,478,485 pixels."""
    large = pl.col("rows") * pl.col("columns") > _PILLOW_LIMIT
    return pictures.filter(large).select(*_FRAGMENT, "path", "rows", "columns")


@check(
    "Test fragments and rows of the sample submission that do not go together",
    "fragments",
    advice="a run stops at a row without a folder; folders without a row are not predicted",
)
def rows_and_folders_that_differ(fragments: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Return the fragments that only the sample submission has, or only test/."""
    testing = fragments.filter(split="test").select("fragment")
    lacking = wanted.join(testing, on="fragment", how="anti", maintain_order="left")
    unasked = testing.join(wanted, on="fragment", how="anti", maintain_order="left")
    return pl.concat(
        [
            lacking.with_columns(why=pl.lit("no folder in test/")),
            unasked.with_columns(why=pl.lit("no row in sample_submission.csv")),
        ]
    )
