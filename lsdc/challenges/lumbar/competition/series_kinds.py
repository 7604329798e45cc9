"""The properties of the competition's three kinds of series."""

from lsdc.challenges.lumbar.vocabulary import SeriesDescription
from lsdc.dicom_index.listing import SeriesKind

# Each disc may have its own angle in axial stacks. Among sagittal kinds, only T2 replaces another.
SERIES_KINDS = {
    str(SeriesDescription.SAGITTAL_T1): SeriesKind(
        axis=0, late_echo=False, one_angle=True, stands_in=False
    ),
    str(SeriesDescription.SAGITTAL_T2): SeriesKind(
        axis=0, late_echo=True, one_angle=True, stands_in=True
    ),
    str(SeriesDescription.AXIAL_T2): SeriesKind(
        axis=2, late_echo=True, one_angle=False, stands_in=True
    ),
}
