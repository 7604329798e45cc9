"""Out-of-fold maps scored: a row a region, with the mask that a nested rule makes of its map."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl

from lsdc.challenges.ink import columns
from lsdc.challenges.ink.config.mask import MaskConfig
from lsdc.challenges.ink.masks.labelled import Labelled
from lsdc.challenges.ink.masks.nested import Nested, fit_nested
from lsdc.challenges.ink.masks.rules import Rules
from lsdc.challenges.ink.masks.variants import VARIANTS_FILE, Variants, try_variants
from lsdc.challenges.ink.scoring.metric import Counts, mean_score
from lsdc.challenges.ink.volumes.volume import Volume
from lsdc.errors import StageError
from lsdc.scoring.oof import scores_of_folds, were_selected, write_scores
from lsdc.store.table_files import write_table
from lsdc.tables.table import Table

HOLDOUT = "holdout.parquet"


class OutOfFold(Table):
    """One row per region of the trained folds."""

    study_id = dy.String(description="Name of the region's fragment.")
    region = columns.region(primary_key=True)
    fold = columns.fold()
    rule = dy.String(description="How the mask was made, as fitted on the other folds.")
    true_positive = dy.Int64(min=0, description="Pixels of ink that are predicted.")
    false_positive = dy.Int64(min=0, description="Pixels that are predicted and are not ink.")
    false_negative = dy.Int64(min=0, description="Pixels of ink that are not predicted.")
    f_beta = dy.Float64(min=0, max=1, description="F0.5 of the region.")
    inside_ink = dy.Int64(min=0, description="Pixels of ink inside the mask.")
    inside_other = dy.Int64(min=0, description="Other pixels inside the mask.")
    outside_ink = dy.Int64(min=0, description="Pixels of ink outside the mask.")


class HeldOut(Table):
    """No row: fragments are not held out of all folds."""

    study_id = OutOfFold.study_id
    region = OutOfFold.region


def read_labelled(
    maps: Sequence[Path], regions: pl.DataFrame, folds: pl.DataFrame, volumes: Path
) -> list[Labelled]:
    """Return the regions of the trained folds with their maps, in the order of the regions.

    Args:
        maps: the folders of the trained folds' maps, `REGION.npy`.
        regions: `Regions`.
        folds: `Folds`.
        volumes: the folder of the prepared training fragments.

    Raises:
        StageError: no fold is trained, or a map does not have the shape of its region.
        DataError: a volume is missing.
    """
    if not maps:
        raise StageError("oof: no fold has been trained, expected one or more; train a fold first")
    placed = regions.join(folds, on="region", how="inner", maintain_order="left")
    paths = {path.stem: path for folder in maps for path in folder.glob("*.npy")}
    found = []
    for row in placed.filter(pl.col("region").is_in([*paths])).iter_rows(named=True):
        volume, rows = (
            Volume.open(volumes / row["fragment"]),
            slice(row["first_row"], row["end_row"]),
        )
        path = paths[row["region"]]
        probabilities = np.load(path, mmap_mode="r")
        inside, labels = volume.mask[rows], volume.labels
        if labels is None or probabilities.shape != inside.shape:
            raise StageError(
                f"{path}: a map of {probabilities.shape}, expected {inside.shape} as region "
                f"{row['region']} has, with labels; predict the fold again"
            )
        found.append(
            Labelled(
                row["region"], row["fragment"], row["fold"], probabilities, inside, labels[rows]
            )
        )
    return found


def write_oof(
    maps: Sequence[Path],
    trained: Sequence[Path],
    regions: pl.DataFrame,
    folds: pl.DataFrame,
    volumes: Path,
    config: MaskConfig,
    out: Path,
    *,
    leaky: bool,
) -> int:
    """Score the trained folds, nested, and fit the rule for the test set.

    Writes `oof.parquet` (`OutOfFold`), `scores.json`, `rules.json`, `masks.parquet` (`Variants`:
    what each way to make masks scores) and an empty `holdout.parquet`.

    Args:
        maps: see `read_labelled`.
        trained: the folders of the trained folds, with their facts.
        regions: see `read_labelled`.
        folds: see `read_labelled`.
        volumes: see `read_labelled`.
        config: how masks are made.
        out: the folder to write to.
        leaky: whether folds see pixels near those that they are scored on.

    Returns:
        The number of regions.

    Raises:
        StageError, DataError: see `read_labelled`.
    """
    labelled = read_labelled(maps, regions, folds, volumes)
    nested = fit_nested(labelled, config)
    oof = pl.DataFrame([_row(each, nested) for each in labelled], schema=pl.Schema(OutOfFold))
    write_table(OutOfFold, oof, out / "oof.parquet")
    write_table(HeldOut, HeldOut.create_empty(), out / HOLDOUT)
    write_table(Variants, try_variants(labelled, config, nested), out / VARIANTS_FILE)
    fragments = oof["study_id"].unique(maintain_order=True).to_list()
    scores = scores_of_folds(
        oof, folds, lambda rows: score_rows(rows, fragments), selected=were_selected(trained)
    )
    write_scores(scores | {"leaky": leaky, "holdout": None}, out)
    Rules(nested.final, nested.rules).write(out)
    return oof.height


def score_rows(oof: pl.DataFrame, fragments: Sequence[str]) -> dict[str, Any]:
    """Return the score of some rows and that of every fragment, None where it has no row.

    `weighted_prior` has the same of a mask of all pixels inside the fragment's outline.
    """
    ours = ("true_positive", "false_positive", "false_negative")
    prior = ("inside_ink", "inside_other", "outside_ink")
    return {**_scores(oof, ours, fragments), "weighted_prior": _scores(oof, prior, fragments)}


def _scores(
    oof: pl.DataFrame, names: Sequence[str], fragments: Sequence[str]
) -> dict[str, float | None]:
    found: dict[str, float | None] = dict.fromkeys(fragments)
    for fragment, rows in oof.group_by("study_id", maintain_order=True):
        found[str(fragment[0])] = Counts(*(int(rows[name].sum()) for name in names)).f_beta
    score = mean_score(each for each in found.values() if each is not None)
    return {"score": score, **found}


def _row(labelled: Labelled, nested: Nested) -> dict[str, Any]:
    counts = nested.counts[labelled.region]
    ink = int(np.count_nonzero(labelled.labels))
    within = int(np.count_nonzero(labelled.labels & labelled.inside))
    return {
        "study_id": labelled.fragment,
        "region": labelled.region,
        "fold": labelled.fold,
        "rule": nested.rules[labelled.fold].describe(),
        **asdict(counts),
        "f_beta": counts.f_beta,
        "inside_ink": within,
        "inside_other": int(np.count_nonzero(labelled.inside)) - within,
        "outside_ink": ink - within,
    }
