"""Folds: the assignment of studies to folds."""

import polars as pl

from lsdc.challenges.lumbar import folds
from lsdc.challenges.lumbar.competition.tables import open_competition, read_labels
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.store.files import digest_file, write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.stage import stage


def require_studies(run: LumbarRun) -> None:
    """Refuse unreadable tables, or fewer studies than folds, before any image is read."""
    folds.require_studies(open_competition(run.data), run.folds, run.limit)


@stage(
    "folds",
    code=("lsdc.challenges.lumbar.folds", "lsdc.challenges.lumbar.competition.tables"),
    libraries=("numpy", "polars", "scikit-learn"),
    uses=lambda inputs: {
        "labels": digest_file(inputs["run"].data / "train.csv"),
        "folds": inputs["run"].folds,
        "seed": inputs["run"].seed,
        "limit": inputs["run"].limit,
        "strict": inputs["run"].strict,
        "holdout": inputs["run"].holdout,
    },
    run_name="folds",
    timeout_hours=1,
)
def assign_folds(run: LumbarRun, index: Manifest) -> Manifest:
    """Assign the studies with images and labels to folds."""
    studies = run.table(index, "studies")
    labels = read_labels(run.data)
    if run.limit is not None:  # studies beyond the limit are not wanted, so not missing
        labels = labels.filter(pl.col("study_id").is_in(studies["study_id"].implode()))
    with write_folder(run.root / "folds") as out:
        rows = folds.write_folds(
            labels,
            studies,
            out,
            folds=run.folds,
            seed=run.seed,
            strict=run.strict,
            holdout=run.holdout,
            twins=run.table(index, "twins"),
            spell=open_competition(run.data).spell,
        )
        return store_folder(run.root, "folds", out, rows=rows)
