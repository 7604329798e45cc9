"""Row ids, `{image_id}_{label}`: each image has one for each label.

The competition's tables have a row for each row id; ours have a row for each image.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.vocabulary import LABELS

ID, LABEL = "ID", "Label"  # the columns of the competition's tables
EXPECTED = f"an image's id, '_' and one of {', '.join(LABELS)}, such as ID_000012eaf_{LABELS[0]}"


@dataclass(frozen=True)
class Cells:
    """The place of each row of a long table in a table of images by labels.

    Attributes:
        images: the images, in the order of their first rows.
        place: (rows,) of the image, times the number of labels, plus that of the label.
    """

    images: pl.Series
    place: NDArray[np.int64]

    def count(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the rows of each cell, or the sum of their weights: (images, labels)."""
        size = len(self.images) * len(LABELS)
        return np.bincount(self.place, weights, size).reshape(-1, len(LABELS)).astype(float)

    def row_ids(self, cells: NDArray[np.bool_]) -> pl.Series:
        """Return the row ids of the cells that are true, (images, labels)."""
        return row_ids_where(self.images, cells)


def is_malformed() -> pl.Expr:
    """Return whether the column `ID` has no label at its end, or nothing before it."""
    return _label_number().is_null() | (_image_length() < 1)


def cells_of(row_ids: pl.Series) -> Cells:
    """Sort rows into cells by their row ids, none of which is malformed.

    >>> found = cells_of(pl.Series(["ID_b_any", "ID_a_epidural", "ID_b_epidural"]))
    >>> found.images.to_list(), found.place.tolist()
    (['ID_b', 'ID_a'], [5, 6, 0])
    """
    rows = row_ids.rename(ID).to_frame().select(_image_id(), number=_label_number())
    images = rows["image_id"].unique(maintain_order=True)
    numbered = images.to_frame().with_row_index("place")
    placed = rows.join(numbered, on="image_id", how="left", maintain_order="left")
    place = placed.select(pl.col("place").cast(pl.Int64) * len(LABELS) + pl.col("number"))
    return Cells(images, place.to_series().to_numpy())


def row_ids_of(images: pl.Series) -> pl.Series:
    """Return the row ids of images: those of an image together, in the order of the labels."""
    return row_ids_where(images, np.ones((len(images), len(LABELS)), dtype=bool))


def row_ids_where(images: pl.Series, cells: NDArray[np.bool_]) -> pl.Series:
    """Return the row ids of the cells that are true, (images, labels), image by image."""
    image, label = np.nonzero(cells)
    labels = pl.Series("label", list(map(str, LABELS))).gather(label)
    rows = pl.DataFrame([images.gather(image).rename("image_id"), labels])
    return rows.select(pl.format("{}_{}", "image_id", "label").alias(ID)).to_series()


def _label_number() -> pl.Expr:
    """Return the number of the label that ends `ID`; null if there is none."""
    ends = pl.col(ID).str.ends_with
    return pl.coalesce(
        pl.when(ends(f"_{label}")).then(pl.lit(number, dtype=pl.Int8))
        for number, label in enumerate(LABELS)
    )


def _image_length() -> pl.Expr:
    lengths = {number: len(label) + 1 for number, label in enumerate(LABELS)}
    cut = _label_number().replace_strict(lengths, return_dtype=pl.Int64)
    return pl.col(ID).str.len_chars().cast(pl.Int64) - cut


def _image_id() -> pl.Expr:
    return pl.col(ID).str.slice(0, _image_length()).alias("image_id")
