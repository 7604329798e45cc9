"""Checks of the competition's tables: a study in only some of them is listed."""

from dataclasses import replace

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.doctor import examine


def test_study_missing_from_a_table_is_listed(competition: Competition) -> None:
    study = competition.labels["study_id"][0]
    cut = replace(competition, labels=competition.labels.filter(pl.col("study_id") != study))
    report = examine(cut, None)
    rows = report.finding("studies_absent_from_a_table").rows
    assert rows.select("study_id", "listed_in", "absent_from").rows() == [
        (study, "train_series_descriptions", "train"),
        (study, "train_label_coordinates", "train"),
    ]
    assert report.finding("points_without_a_label").studies == 1
