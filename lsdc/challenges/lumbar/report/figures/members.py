"""What each member of an ensemble scores, and what it adds."""

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.competition.row_ids import split_row_ids
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.assess import Assessment, assess
from lsdc.challenges.lumbar.ensemble.fitted import FOLDER, MEMBERS
from lsdc.challenges.lumbar.ensemble.members import Member
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.store.exact_names import read_parquet


def assess_members(source: RunSource) -> Assessment:
    """Score an ensemble, each of its members, and the ensemble without each member.

    They are scored on the labelled rows of the run that a member predicts, with the run's folds.
    """
    folder = source.home.run(source.name)
    found = read_parquet(folder / FOLDER / MEMBERS)
    members = [
        Member(name, found.filter(member=name).select("row_id", *PROBABILITIES))
        for name in source.members
    ]
    oof = read_parquet(folder / "oof.parquet")
    # Rows of other conditions have no grade here, but a second level judges by them.
    rows = found.select("row_id").unique(maintain_order=True)
    labels = split_row_ids(rows["row_id"], source.name).hstack(rows)
    grades = oof.select("row_id", grade="label")
    labels = labels.join(grades, on="row_id", how="left", maintain_order="left").drop("row_id")
    folds = oof.select("study_id", pl.col("fold").cast(pl.Int64)).unique(maintain_order=True)
    config = EnsembleConfig.model_validate(source.experiment["ensemble"])
    return assess(config, members, labels, folds)
