"""Check series: missing or repeated ones, and the files that the index found."""

import polars as pl

from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.tables.findings import Finding, Severity

_KEY = ["split", "study_id", "series_id", "series_description"]
_GEOMETRY = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]


def check_series_tables(competition: Competition) -> list[Finding]:
    """Apply the rules on a competition's tables alone."""
    return [
        Finding(
            "studies_missing_a_series",
            "Studies missing a kind of series",
            "series",
            studies_missing_a_series(competition.series),
            advice="runs mask the missing slices",
        ),
        Finding(
            "several_series_of_a_kind",
            "Studies with several series of a kind",
            "studies",
            several_series_of_a_kind(competition.series),
            Severity.NOTE,
        ),
        Finding(
            "test_rows_left_out",
            "Unusable rows of the test table",
            "rows",
            competition.left_out,
            advice="their series are masked; correct test_series_descriptions.csv",
        ),
        Finding(
            "studies_absent_from_a_table",
            "Studies missing from one of the tables",
            "studies",
            studies_absent_from_a_table(competition),
            advice="not used for training; in the submission they get the weighted prior",
        ),
    ]


def studies_missing_a_series(series: pl.DataFrame) -> pl.DataFrame:
    """Return kinds of series missing in listed studies: split, study_id, series_description."""
    study = ["split", "study_id"]
    kinds = pl.DataFrame({"series_description": [str(kind) for kind in SeriesDescription]})
    wanted = series.select(study).unique(maintain_order=True).join(kinds, how="cross")
    return wanted.join(series, on=[*study, "series_description"], how="anti", maintain_order="left")


def several_series_of_a_kind(series: pl.DataFrame) -> pl.DataFrame:
    """Return kinds with several series in a study: split, study_id, series_description, series."""
    return (
        series.group_by("split", "study_id", "series_description", maintain_order=True)
        .agg(series=pl.len().cast(pl.Int64))
        .filter(pl.col("series") > 1)
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


def check_indexed_series(series: pl.DataFrame, *, with_tables: bool) -> list[Finding]:
    """Apply the rules on the index's series; with tables, also report unlisted series."""
    found = [
        Finding(
            "series_without_images",
            "Series without a usable image",
            "series",
            series.filter(pl.col("images") == 0).select(*_KEY, "quarantined"),
            of=series.height,
            advice="masked; find their files, or remove the series from the table",
        ),
        Finding(
            "gaps_in_instance_numbers",
            "Instance numbers with gaps or not from 1",
            "series",
            gaps_in_instance_numbers(series),
            Severity.NOTE,
        ),
        *_check_stacks(series),
        Finding(
            "id_mismatches",
            "Series with other ids in the headers",
            "series",
            series.filter(pl.col("id_mismatches") > 0).select(*_KEY, "id_mismatches"),
            advice="runs use the ids in the paths; look for misplaced files",
        ),
    ]
    if with_tables:
        not_listed = series.filter(pl.col("series_description").is_null())
        unlisted = not_listed.select("split", "study_id", "series_id", "images", "plane")
        found.append(
            Finding(
                "unlisted_series",
                "Unlisted series",
                "series",
                unlisted,
                advice="runs ignore them; add them to the table to use them",
            )
        )
    return found


def _check_stacks(series: pl.DataFrame) -> list[Finding]:
    """Apply the rules on the shape, the direction and the order of a series' slices."""
    return [
        Finding(
            "duplicate_positions",
            "Series with several slices at a position",
            "series",
            series.filter(pl.col("duplicate_positions") > 0).select(*_KEY, "duplicate_positions"),
            advice="runs use the first slice at each position; look for copies",
        ),
        Finding(
            "mixed_shapes",
            "Series with images of different shapes",
            "series",
            series.filter(pl.col("shapes") > 1).select(*_KEY, "shapes"),
        ),
        Finding(
            "several_orientations",
            "Series with stacks at different angles",
            "series",
            series.filter(pl.col("orientation_groups") > 1).select(*_KEY, "orientation_groups"),
            Severity.NOTE,
        ),
        Finding(
            "mixed_order",
            "Series with slices out of order",
            "series",
            series.filter(order="mixed").select(*_KEY, "plane"),
            Severity.NOTE,
        ),
    ]


def gaps_in_instance_numbers(series: pl.DataFrame) -> pl.DataFrame:
    """Return series with missing instance numbers, or whose numbers do not start at 1.

    Returns:
        split, ids, series_description, images, first_instance, last_instance, gaps.
    """
    return series.filter(
        pl.col("images") > 0, (pl.col("gaps") > 0) | (pl.col("first_instance") != 1)
    ).select(*_KEY, "images", "first_instance", "last_instance", "gaps")


def check_twins(twins: pl.DataFrame) -> list[Finding]:
    """Report the same images under two ids: two studies, or two series of one study."""
    one = (pl.col("study_id") == pl.col("twin_study_id")) & pl.col("split").eq_missing(
        pl.col("twin_split")
    )
    return [
        Finding(
            "studies_with_the_same_images",
            "Studies with the images of another study",
            "series",
            twins.filter(~one),
            advice="runs keep them in one fold; remove one of each pair",
        ),
        Finding(
            "series_with_the_same_images",
            "Series with the images of another series",
            "series",
            twins.filter(one),
            advice="both are used; remove one of each pair",
        ),
    ]


def check_quarantine(quarantine: pl.DataFrame) -> list[Finding]:
    """Report the files that the index cannot use: those without geometry, and all others."""
    ids = ["study_id", "series_id", "instance_number"]
    rows = quarantine.filter(stage="index").select(*ids, "path", "reason")
    no_geometry = pl.col("reason").str.starts_with("no usable ") & pl.any_horizontal(
        pl.col("reason").str.contains(tag, literal=True) for tag in _GEOMETRY
    )
    return [
        Finding(
            "files_without_position",
            "Files without a position in the header",
            "files",
            rows.filter(no_geometry),
            advice="masked; export them again with all tags",
        ),
        Finding(
            "unusable_files",
            "Files that cannot be used",
            "files",
            rows.filter(~no_geometry),
            advice="masked; for the reasons see --json or the catalog's table quarantine",
        ),
    ]
