"""What each member of an ensemble scores, and what it adds."""

import polars as pl

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.challenges.lumbar.ensemble.assess import Assessment, assess
from lsdc.challenges.lumbar.ensemble.fitted import FOLDER, MEMBERS
from lsdc.challenges.lumbar.ensemble.members import Member
from lsdc.challenges.lumbar.report.figures.sources import RunSource
from lsdc.store.exact_names import read_parquet


def assess_members(source: RunSource) -> Assessment:
    """Score an ensemble, each of its members, and the ensemble without each member.

    They are scored on the labelled rows that a member predicts, with the folds of the run.
    """
    found = read_parquet(source.home.run(source.name) / FOLDER / MEMBERS)
    members = [
        Member(name, found.filter(member=name).select("row_id", *PROBABILITIES))
        for name in source.members
    ]
    rows = source.scored.rows.join(found, on="row_id", how="semi", maintain_order="left")
    labels = rows.select("study_id", "condition", "level", "grade")
    folds = rows.select("study_id", pl.col("fold").cast(pl.Int64)).unique(maintain_order=True)
    config = EnsembleConfig.model_validate(source.experiment["ensemble"])
    return assess(config, members, labels, folds)
