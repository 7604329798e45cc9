"""Check whose images they are: a patient in several folds or sets gives the answers away."""

import polars as pl

from lsdc.challenges.hemorrhage.quality.checks import check
from lsdc.tables.findings import Severity

_STUDY = ["split", "study_id"]


@check(
    "Patients in both the training and the test set",
    "studies",
    advice="test scores can be too good; where the tables decide, nothing can be done",
)
def patients_in_both_splits(studies: pl.DataFrame) -> pl.DataFrame:
    """Return the studies of patients who have studies in both splits."""
    both = pl.col("split").n_unique().over("patient") > 1
    return _sorted(studies.filter(pl.col("patient").is_not_null(), both))


@check(
    "Studies of patients with several studies",
    "studies",
    Severity.NOTE,
    of=lambda studies: studies,
    advice="runs keep all studies of a patient in one fold",
)
def patients_with_several_studies(studies: pl.DataFrame) -> pl.DataFrame:
    """Return the studies of patients who have several in one split."""
    several = pl.len().over("split", "patient") > 1
    return _sorted(studies.filter(pl.col("patient").is_not_null(), several))


@check(
    "Studies of several patients",
    "studies",
    advice="runs go by the patient of each image; look for mixed headers",
)
def studies_of_several_patients(studies: pl.DataFrame) -> pl.DataFrame:
    """Return the studies whose images name different patients."""
    return studies.filter(pl.col("patients") > 1).select(*_STUDY, "images", "patients")


@check("Studies of several series", "studies", Severity.NOTE, advice="each series is a stack")
def studies_of_several_series(studies: pl.DataFrame) -> pl.DataFrame:
    """Return the studies with more than one series."""
    return studies.filter(pl.col("series") > 1).select(*_STUDY, "images", "series")


@check(
    "Studies without a PatientID",
    "studies",
    advice="each is taken for a patient of its own; if it is not, folds give answers away",
)
def studies_without_patient(images: pl.DataFrame) -> pl.DataFrame:
    """Return the studies with images that have no PatientID, and the number of these."""
    nameless = images.filter(~pl.col("has_patient_id"))
    return nameless.group_by(_STUDY).agg(images=pl.len()).sort(_STUDY)


def _sorted(studies: pl.DataFrame) -> pl.DataFrame:
    return studies.select("patient", *_STUDY, "images").sort("patient", *_STUDY)
