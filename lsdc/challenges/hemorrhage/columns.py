"""Columns that several of the challenge's tables have."""

import dataframely as dy

from lsdc.challenges.hemorrhage.vocabulary import Label


def image(*, primary_key: bool = False) -> dy.String:
    """Return the column with an image's id."""
    about = "Id of the image: its SOPInstanceUID, which is also the name of its file."
    return dy.String(primary_key=primary_key, description=about)


def study() -> dy.String:
    """Return the column with a study's id."""
    return dy.String(description="Id of the study: its StudyInstanceUID.")


def patient() -> dy.String:
    """Return the column with a patient's digest."""
    about = "Digest of PatientID, or of the study's id if its files have none."
    return dy.String(description=about)


def fold() -> dy.Int32:
    """Return the column with an image's fold."""
    return dy.Int32(min=0, description="Number of the fold that holds the image out, from 0.")


def label(name: Label) -> dy.Int8:
    """Return the column with a label."""
    return dy.Int8(min=0, max=1, description=f"1 if the image shows {_shown(name)}, else 0.")


def probability(name: Label) -> dy.Float64:
    """Return the column with a label's probability."""
    return dy.Float64(min=0, max=1, description=f"Predicted probability of {_shown(name)}.")


def _shown(name: Label) -> str:
    return "any haemorrhage" if name is Label.ANY else f"an {name} haemorrhage"
