"""The tables of an index: images, series, studies, and the files that are not images."""

from typing import get_args

import dataframely as dy

from lsdc.dicom_index.listing import Split
from lsdc.dicom_index.other_files import SkippedFiles
from lsdc.dicom_index.quarantine import BadFiles
from lsdc.tables.table import Table, one_of, real

_AS_IN_THE_HEADER = "As in the header."
_STUDY = (
    "StudyInstanceUID as it is written if it is an id such as ID_0a1b2c3d4e or a short number. "
    "A UID, which can identify a patient, is replaced by a number. The image's id if it has none."
)
_SERIES = "The same of SeriesInstanceUID; the study's id if it has none."
_PATIENT = (
    "A digest of PatientID: 16 hexadecimal digits. If a file has no PatientID, a digest of its "
    "study's id."
)
_MM = real("mm.")


def split_column() -> dy.String:
    """Return the column with the split of a file, series or study."""
    return dy.String(
        check=one_of(get_args(Split)), description="train or test, from the folder of images."
    )


class ReadImages(Table):
    """One row per usable image, as its header describes it."""

    split = split_column()
    path = dy.String(description="Path of the file.")
    image_id = dy.String(description="The file's name without its extension.")
    study_id = dy.String(description=_STUDY)
    series_id = dy.String(description=_SERIES)
    patient = dy.String(regex=r"^[0-9a-f]{16}$", description=_PATIENT)
    rows = dy.Int32(min=1, description="Height in pixels.")
    columns_ = dy.Int32(min=1, alias="columns", description="Width in pixels.")
    bits_stored = dy.Int32(nullable=True, description=_AS_IN_THE_HEADER)
    pixel_representation = dy.Int32(
        nullable=True, description="1 where stored values are signed, else 0."
    )
    rescale_slope = real("HU per stored value.", nullable=True)
    rescale_intercept = real("HU of the stored value 0.", nullable=True)
    window_centers = dy.List(real("HU."), nullable=True, description=_AS_IN_THE_HEADER)
    window_widths = dy.List(real("HU."), nullable=True, description=_AS_IN_THE_HEADER)
    row_spacing_mm = real("Distance between rows, from PixelSpacing.", nullable=True)
    column_spacing_mm = real("Distance between columns, from PixelSpacing.", nullable=True)
    orientation = dy.Array(
        real("Cosine."),
        6,
        nullable=True,
        description="ImageOrientationPatient: the directions in which column number and row number "
        "increase.",
    )
    position_mm = dy.Array(
        _MM, 3, nullable=True, description="ImagePositionPatient: the centre of the first pixel."
    )
    instance_number = dy.Int64(nullable=True, description="InstanceNumber.")
    modality = dy.String(nullable=True, description=_AS_IN_THE_HEADER)
    has_patient_id = dy.Bool(description="Whether the header has a PatientID.")
    id_mismatch = dy.Bool(description="Whether SOPInstanceUID is another id than the file's name.")
    bytes = dy.Int64(nullable=True, description="Size of the file in bytes, when it was read.")
    mtime_ns = dy.Int64(
        nullable=True,
        description="Time of the file's last change, in nanoseconds since 1970.",
    )


class Images(ReadImages):
    """One row per usable image, sorted by split, study, series and order in the stack."""

    along_mm = real(
        "Position along the normal of the series' stack, towards the head; null without position "
        "or orientation. The distance between slices of a tilted stack is less than that of z.",
        nullable=True,
    )
    order = dy.Int32(
        min=0,
        description="Place in the series, from 0, by along_mm. Images at one position are ordered "
        "by InstanceNumber, then z, then id. Images without a position come last.",
    )
    step_mm = real("Distance along the normal to the next image; null at the end.", nullable=True)
    tilt_degrees = real(
        "Angle between the image's normal and the patient's long axis.", nullable=True
    )
    tied = dy.Bool(description="Whether it is within 0.01 mm of another image of its series.")


class Series(Table):
    """One row per series with any file, usable or not."""

    split = split_column()
    study_id = dy.String(description=_STUDY)
    series_id = dy.String(description=_SERIES)
    images = dy.Int64(min=0, description="Number of usable images.")
    quarantined = dy.Int64(min=0, description="Number of files that cannot be used.")
    orientations = dy.Int64(min=0, description="Number of directions that its images have.")
    tilt_degrees = real("The largest tilt of an image.", nullable=True)
    step_mm = real("Median distance of neighbouring positions.", nullable=True)
    step_min_mm = real("The shortest one.", nullable=True)
    step_max_mm = real("The longest one.", nullable=True)
    steps_unlike = dy.Int64(
        min=0, description="Number of distances that differ from the median by more than 10 %."
    )
    tied = dy.Int64(min=0, description="Number of images that share a position.")
    unplaced = dy.Int64(min=0, description="Number of images without position or orientation.")
    shapes = dy.Int64(min=0, description="Number of different sizes in pixels.")
    encodings = dy.Int64(
        min=0, description="Number of different pairs of BitsStored and PixelRepresentation."
    )
    rescales = dy.Int64(
        min=0, description="Number of different pairs of RescaleSlope and RescaleIntercept."
    )
    two_windows = dy.Int64(
        min=0, description="Number of images with more than one WindowCenter or WindowWidth."
    )
    unlike_windows = dy.Int64(
        min=0, description="Number of images whose several window values differ."
    )


class Studies(Table):
    """One row per study with any file, usable or not."""

    split = split_column()
    study_id = dy.String(description=_STUDY)
    patient = dy.String(
        nullable=True, description="Digest of PatientID; null without a usable image."
    )
    usable = dy.Bool(description="Whether the study has any usable image.")
    images = dy.Int64(min=0, description="Number of usable images.")
    series = dy.Int64(min=1, description="Number of series.")
    patients = dy.Int64(min=0, description="Number of different patients that its images name.")


class Quarantine(BadFiles):
    """One row per file that cannot be used."""

    split = split_column()
    image_id = dy.String(description="The file's name without its extension.")
    study_id = dy.String(nullable=True, description="Null if the header could not be read.")
    series_id = dy.String(nullable=True, description="Null if the header could not be read.")


class OtherFiles(SkippedFiles):
    """One row per file that is not an image, or is a copy. --max-bad does not count these files."""

    split = split_column()
