"""Check a competition's tables against one another: studies or series missing or repeated."""

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.checks import check
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.tables.findings import Severity


@check("Studies missing a kind of series", "series", advice="runs mask the missing slices")
def studies_missing_a_series(competition: Competition) -> pl.DataFrame:
    """Return kinds of series missing in listed studies: split, study_id, series_description."""
    series, study = competition.series, ["split", "study_id"]
    kinds = pl.DataFrame({"series_description": [str(kind) for kind in SeriesDescription]})
    wanted = series.select(study).unique(maintain_order=True).join(kinds, how="cross")
    return wanted.join(series, on=[*study, "series_description"], how="anti", maintain_order="left")


@check("Studies with several series of a kind", "studies", Severity.NOTE)
def several_series_of_a_kind(competition: Competition) -> pl.DataFrame:
    """Return kinds with several series in a study: split, study_id, series_description, series."""
    return (
        competition.series.group_by("split", "study_id", "series_description", maintain_order=True)
        .agg(series=pl.len().cast(pl.Int64))
        .filter(pl.col("series") > 1)
    )


@check(
    "Unusable rows of the test table",
    "rows",
    advice="their series are masked; correct test_series_descriptions.csv",
)
def test_rows_left_out(competition: Competition) -> pl.DataFrame:
    """Return the rows of test_series_descriptions.csv that are skipped, and why."""
    return competition.left_out


@check(
    "Studies missing from one of the tables",
    "studies",
    advice="not used for training; in the submission they get the weighted prior",
)
def studies_absent_from_a_table(competition: Competition) -> pl.DataFrame:
    """Return studies that are in one table of their split but not in the other.

    Returns:
        split, study_id, listed_in, absent_from (names of tables).
    """
    train, test = (set(competition.series.filter(split=s)["study_id"]) for s in ("train", "test"))
    labelled, annotated = (
        set(competition.labels["study_id"]),
        set(competition.annotations["study_id"]),
    )
    wanted = {int(row_id.split("_", 1)[0]) for row_id in competition.row_ids}
    comparisons = [
        ("train", labelled - train, "train", "train_series_descriptions"),
        ("train", train - labelled, "train_series_descriptions", "train"),
        ("train", annotated - labelled, "train_label_coordinates", "train"),
        ("test", wanted - test, "sample_submission", "test_series_descriptions"),
        ("test", test - wanted, "test_series_descriptions", "sample_submission"),
    ]
    return pl.DataFrame(
        [
            (split, study, listed_in, absent_from)
            for split, studies, listed_in, absent_from in comparisons
            for study in sorted(studies)
        ],
        schema={
            "split": pl.String,
            "study_id": pl.Int64,
            "listed_in": pl.String,
            "absent_from": pl.String,
        },
        orient="row",
    )
