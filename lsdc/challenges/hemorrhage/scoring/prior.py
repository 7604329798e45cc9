"""The prior: each label's share of the images, for every image. It needs no images to predict.

It is called the weighted prior in `scores.json`, as in each challenge. Here no weight enters: the
metric weighs labels, not images, so a label's share is the best constant for it.
"""

import polars as pl

from lsdc.challenges.hemorrhage.scoring.metric import PARTS

SMOOTHING = 0.5  # of images with a label and of images without it, where none has been seen


def label_shares(labels: pl.DataFrame, smoothing: float = 0.0) -> dict[str, float]:
    """Return the share of the images that have each label.

    Args:
        labels: image_id and the labels, 0 or 1; one image or more.
        smoothing: pseudo-count of images with the label, and of images without it.

    >>> labels = pl.DataFrame([dict.fromkeys(PARTS, number == 0) for number in range(4)])
    >>> label_shares(labels)["any"], label_shares(labels, smoothing=1)["any"]
    (0.25, 0.3333333333333333)
    """
    ones = labels.select(pl.col(PARTS).cast(pl.Int64).sum()).row(0)
    images = labels.height + 2 * smoothing
    return {part: (one + smoothing) / images for part, one in zip(PARTS, ones, strict=True)}


def constant_prior(labels: pl.DataFrame) -> pl.DataFrame:
    """Predict each image of the labels by the shares of these same labels: the metric's baseline.

    Returns:
        image_id and the probabilities, in the labels' order.
    """
    return predict_prior(labels["image_id"], label_shares(labels))


def out_of_fold_prior(
    labels: pl.DataFrame, folds: pl.DataFrame, smoothing: float = SMOOTHING
) -> pl.DataFrame:
    """Predict each fold's images by the shares of all other folds' labels.

    Without smoothing, a label that is absent from the other folds would get probability zero and
    the log loss of the clip.

    Args:
        labels: image_id and the labels, 0 or 1.
        folds: image_id, fold, of two folds or more; images without a fold are neither counted nor
            predicted.
        smoothing: as of `label_shares`.

    Returns:
        image_id and the probabilities, fold by fold.
    """
    dealt = labels.join(folds.select("image_id", "fold"), on="image_id", maintain_order="left")
    return pl.concat(
        predict_prior(
            dealt.filter(fold=fold)["image_id"],
            label_shares(dealt.filter(pl.col("fold") != fold), smoothing),
        )
        for fold in dealt["fold"].unique().sort()
    )


def predict_prior(images: pl.Series, shares: dict[str, float]) -> pl.DataFrame:
    """Return image_id and the shares as probabilities, in the images' order."""
    return (
        images.alias("image_id")
        .to_frame()
        .with_columns(pl.lit(shares[part], dtype=pl.Float64).alias(part) for part in PARTS)
    )
