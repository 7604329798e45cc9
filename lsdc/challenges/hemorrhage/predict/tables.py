"""The tables of a prediction: the probabilities of each image, and the highest of each study."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage.competition.predictions import PROBABILITIES
from lsdc.challenges.hemorrhage.competition.row_ids import ID, LABEL, row_ids_of
from lsdc.challenges.hemorrhage.predict.sources import Studies
from lsdc.challenges.hemorrhage.scoring.complete import complete
from lsdc.challenges.hemorrhage.scoring.prior import predict_prior

SPREADS = tuple(f"{name}_spread" for name in PROBABILITIES)
_NUMBERS = dict.fromkeys(PROBABILITIES, pl.Float64)
_ROW = [
    *("study_id", "series_id", "image_id", "slice", "along_mm", "source"),
    *PROBABILITIES,
    *SPREADS,
]
_PLACED = ["image_id", "study_id", "series_id", "order", "along_mm"]


def tabulate_images(
    studies: Studies, mean: pl.DataFrame, by_fold: pl.DataFrame, prior: Mapping[str, float]
) -> pl.DataFrame:
    """Return a row per image that is predicted, in the order of studies, series and stacks.

    An image without a prediction by a model gets the mean of its neighbours, else the prior.

    Args:
        studies: the studies of a block.
        mean: image_id and the probabilities by the mean of the models; may lack columns if empty.
        by_fold: the same of each model, with `fold`.
        prior: the share of each label.

    Returns:
        study_id, series_id, image_id, slice (from 1, in the series; null if its header cannot be
        read), along_mm, source (images, neighbours or prior), the probabilities, and of each its
        standard deviation over the folds (`SPREADS`, null if no model predicted the image).
    """
    used = studies.images.filter(pl.col("left_out").is_null()).select(_PLACED)
    unusable = studies.quarantine.select("image_id", "study_id", "series_id")
    lost = unusable.unique("image_id").join(studies.images, on="image_id", how="anti")
    wanted = pl.concat([used, lost], how="diagonal").sort(
        "study_id", "series_id", "order", "image_id", nulls_last=True
    )
    given = mean if len(mean) else pl.DataFrame(schema={"image_id": pl.String, **_NUMBERS})
    found, filled = complete(wanted["image_id"], given, used, dict(prior))
    by = filled.select("image_id", source="filled_by")
    rows = (
        wanted.join(found, on="image_id", maintain_order="left")
        .join(by, on="image_id", how="left", maintain_order="left")
        .join(_spreads(by_fold), on="image_id", how="left", maintain_order="left")
    )
    return rows.with_columns(
        pl.col("source").fill_null("images"), slice=(pl.col("order") + 1).cast(pl.Int32)
    ).select(_ROW)


def rows_by_prior(images: pl.Series, prior: Mapping[str, float]) -> pl.DataFrame:
    """Return rows of `tabulate_images` of images that belong to no study, by the prior."""
    none = {
        "study_id": pl.String,
        "series_id": pl.String,
        "slice": pl.Int32,
        "along_mm": pl.Float64,
    }
    empty = (pl.lit(None, dtype=dtype).alias(name) for name, dtype in none.items())
    spreads = (pl.lit(None, dtype=pl.Float64).alias(name) for name in SPREADS)
    rows = predict_prior(images, dict(prior)).with_columns(*empty, *spreads, source=pl.lit("prior"))
    return rows.select(_ROW)


def _spreads(by_fold: pl.DataFrame) -> pl.DataFrame:
    if by_fold.is_empty():
        return pl.DataFrame(schema={"image_id": pl.String, **dict.fromkeys(SPREADS, pl.Float64)})
    own = (
        pl.col(name).std(ddof=0).alias(spread)
        for name, spread in zip(PROBABILITIES, SPREADS, strict=True)
    )
    return by_fold.group_by("image_id").agg(*own)


def as_long(images: pl.DataFrame) -> pl.DataFrame:
    """Return the competition's long table, six rows an image: ID, Label, spread and source."""
    spread = np.ascontiguousarray(images.select(SPREADS).to_numpy()).ravel()
    value = np.ascontiguousarray(images.select(PROBABILITIES).to_numpy()).ravel()
    image = np.repeat(np.arange(len(images)), len(PROBABILITIES))
    return pl.DataFrame(
        {
            ID: row_ids_of(images["image_id"]),
            LABEL: value,
            "spread": pl.Series(spread).fill_nan(None),
            "source": images["source"].gather(image),
        }
    )


def tabulate_studies(
    ids: list[str], images: pl.DataFrame, prior: Mapping[str, float]
) -> pl.DataFrame:
    """Return six rows a study: each label's highest probability, and the slice that has it.

    Images that no model predicted count only in studies that have no others.

    Args:
        ids: the studies, in the order of the table.
        images: the table of `tabulate_images`.
        prior: the share of each label, for studies without an image.

    Returns:
        study_id, label, probability, spread, source, series_id, image_id, slice; and images, the
        number of images that are predicted.
    """
    ranks = {"images": 0, "neighbours": 1, "prior": 2}
    rank = pl.col("source").replace_strict(ranks, return_dtype=pl.Int32)
    best = pl.col("rank") == pl.col("rank").min().over("study_id")
    known = images.with_columns(rank=rank).filter(best)
    counts = images.group_by("study_id").agg(images=pl.len())
    where = ["study_id", "source", "series_id", "image_id", "slice"]
    studies = pl.DataFrame({"study_id": ids}, schema={"study_id": pl.String})
    tables = []
    for number, (name, spread) in enumerate(zip(PROBABILITIES, SPREADS, strict=True)):
        first = known.sort(name, descending=True, maintain_order=True).unique(
            "study_id", keep="first", maintain_order=True
        )
        own = first.select(*where, probability=name, spread=spread)
        tables.append(
            studies.with_row_index("place")
            .join(own, on="study_id", how="left", maintain_order="left")
            .with_columns(
                pl.col("probability").fill_null(prior[name]),
                pl.col("source").fill_null("prior"),
                label=pl.lit(name),
                number=pl.lit(number),
            )
        )
    rows = pl.concat(tables).sort("place", "number")
    rows = rows.join(counts, on="study_id", how="left", maintain_order="left")
    return rows.select(
        *("study_id", "label", "probability", "spread", "source"),
        *("series_id", "image_id", "slice"),
        pl.col("images").fill_null(0),
    )
