"""Images of made-up patients, with labels and predictions."""

import numpy as np
import polars as pl

from lsdc.challenges.hemorrhage.vocabulary import LABELS, SUBTYPES

NAMES = [str(label) for label in LABELS]
SHARES = (0.02, 0.2, 0.15, 0.2, 0.25)  # of the subtypes, among slices of patients who bleed


def make_images(patients: int = 12, seed: int = 0, split: str = "train") -> pl.DataFrame:
    """Return images of patients with one or two studies, of 4 to 9 slices each, shuffled."""
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        for study in range(1 + int(random.random() < 0.2)):
            name = f"ID_{split}{patient}{study}"
            ids = {"study_id": name, "series_id": f"{name}s", "patient": f"{patient:016x}"}
            slices = int(random.integers(4, 10))
            rows += [ids | {"order": order, "along_mm": 5.0 * order} for order in range(slices)]
    table = pl.DataFrame(rows).with_columns(split=pl.lit(split))
    names = [f"ID_{split}{number:05x}" for number in random.permutation(table.height)]
    table = table.with_columns(image_id=pl.Series(names))
    return table.sample(fraction=1, shuffle=True, seed=seed)


def make_labels(images: pl.DataFrame, seed: int = 0, bleeding: float = 0.4) -> pl.DataFrame:
    """Return labels in which some patients bleed, each with its own subtypes."""
    random = np.random.default_rng(seed)
    patients = images["patient"].unique().sort()
    bleeds = dict(zip(patients, random.random(len(patients)) < bleeding, strict=True))
    shows = random.random((images.height, len(SUBTYPES))) < SHARES
    shows &= np.array([[bleeds[patient]] for patient in images["patient"]])
    labels = np.hstack([shows, shows.any(axis=1, keepdims=True)]).astype(np.int8)
    return images.select("image_id").hstack(pl.DataFrame(labels, schema=NAMES, orient="row"))


def predict(labels: pl.DataFrame, seed: int = 0, skill: float = 0.5) -> pl.DataFrame:
    """Return predictions that lean towards the labels."""
    random = np.random.default_rng(seed)
    noise = random.uniform(0.01, 0.99, (labels.height, len(NAMES)))
    values = skill * labels.select(NAMES).to_numpy() + (1 - skill) * noise
    return labels.select("image_id").hstack(pl.DataFrame(values, schema=NAMES, orient="row"))


def as_long(wide: pl.DataFrame) -> pl.DataFrame:
    """Return a wide table in the form of the competition's tables."""
    rows = [
        (f"{image_id}_{name}", value)
        for image_id, *values in wide.select("image_id", *NAMES).iter_rows()
        for name, value in zip(NAMES, values, strict=True)
    ]
    return pl.DataFrame(rows, schema=["ID", "Label"], orient="row")
