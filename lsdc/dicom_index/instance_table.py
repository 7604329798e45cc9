"""The instances table, and what the tables of an index have in common."""

import dataframely as dy

from lsdc.tables.table import Table, one_of, real

SPLITS = one_of(["train", "test"])
SPLIT = "train or test, from the path; null if the path does not have the competition's layout."
IDS = (
    "From the path if it has the competition's layout; otherwise a number computed from "
    "StudyInstanceUID or SeriesInstanceUID."
)
HEADER_IDS = (
    "StudyInstanceUID and SeriesInstanceUID as a number. If the UID is a plain number, as in the "
    "competition, that number; otherwise a 63-bit hash of the UID."
)
AS_IN_THE_HEADER = "As in the header."
SERIES_DESCRIPTION = "From the competition's table of series."
_ANY = real("Any number.", nullable=True)
MTIME = "Time of the file's last change, in nanoseconds since 1970."


def split_column() -> dy.String:
    """Return the column with the split of a file, series or study."""
    return dy.String(nullable=True, check=SPLITS, description=SPLIT)


class Instances(Table):
    """One row per usable image."""

    split = split_column()
    study_id = dy.Int64(description=IDS)
    series_id = dy.Int64(description=IDS)
    instance_number = dy.Int64(
        description=(
            "From the file's name if the path has the competition's layout; otherwise "
            "InstanceNumber. If slices have no number, they get the numbers after the highest one "
            "of their series, ordered along the normal. The second and later frames of a "
            "multi-frame file come after these, ordered by frame number."
        )
    )
    header_study_id = dy.Int64(nullable=True, description=HEADER_IDS)
    header_series_id = dy.Int64(nullable=True, description=HEADER_IDS)
    id_mismatch = dy.Bool(
        description=(
            "Whether path and header have different ids, or the file belongs to another series "
            "than the other files of its folder."
        )
    )
    series_description = dy.String(nullable=True, description=SERIES_DESCRIPTION)
    path = dy.String(description="Path of the file.")
    frame = dy.Int32(
        min=1,
        description="Number of the frame in the file, from 1; only Enhanced MR has more than one.",
    )
    bytes = dy.Int64(nullable=True, description="Size of the file in bytes, when it was read.")
    mtime_ns = dy.Int64(nullable=True, description=MTIME)
    rows = dy.Int32(min=1, description="Height in pixels.")
    columns_ = dy.Int32(min=1, alias="columns", description="Width in pixels.")
    row_spacing_mm = real("Distance between rows, from PixelSpacing.")
    column_spacing_mm = real("Distance between columns, from PixelSpacing.")
    position_mm = dy.Array(
        _ANY, 3, description="ImagePositionPatient: the centre of the first pixel."
    )
    orientation = dy.Array(
        _ANY,
        6,
        description="ImageOrientationPatient: the directions in which column number and row number "
        "increase.",
    )
    orientation_group = dy.Int32(
        min=0, description="Number of the group of parallel slices in the series, from 0."
    )
    normal_position_mm = real("Position of the slice along the mean normal of its group.")
    stack = dy.Int32(
        min=0,
        description="Number of the stack in the series, from 0. The images of a stack have the "
        "same orientation group, shape and pixel spacing.",
    )
    used_as = dy.String(
        nullable=True,
        description=(
            "The series description under which a run uses the image, for example Axial T2; null "
            "if the run does not use it."
        ),
    )
    set_aside = dy.String(
        nullable=True,
        description=(
            "Why a run does not use the image: another plane than described, localizer, or second "
            "contrast (such as a second echo at the same positions)."
        ),
    )
    transfer_syntax = dy.String(nullable=True, description=AS_IN_THE_HEADER)
    bits_stored = dy.Int32(nullable=True, description=AS_IN_THE_HEADER)
    photometric = dy.String(nullable=True, description=AS_IN_THE_HEADER)
    patient_position = dy.String(nullable=True, description=AS_IN_THE_HEADER)
    sop_class = dy.String(nullable=True, description="SOPClassUID: the kind of DICOM object.")
    echo_time_ms = real("EchoTime.", nullable=True)
