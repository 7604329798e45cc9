"""Descriptions of the tables of an index and their columns, for the catalog."""

from lsdc.store.catalog import CatalogTable

_SPLIT = "train or test, where the path has the competition's layout"
_IDS = (
    "from the path in the competition's layout; elsewhere a number made of StudyInstanceUID or "
    "SeriesInstanceUID"
)
_REFUSED_IDS = "as in instances, where path or header tell; null of a stage after the index"
_HEADER_IDS = (
    "of StudyInstanceUID and SeriesInstanceUID: the number itself where it is one as the "
    "competition has it, else 63 bits of a digest"
)
_DESCRIPTION = "from the competition's table"

INDEX_TABLES: dict[str, CatalogTable] = {
    "instances": CatalogTable(
        "a row a usable image",
        {
            "split": _SPLIT,
            "study_id": _IDS,
            "series_id": _IDS,
            "instance_number": "from the file's name in the layout; elsewhere InstanceNumber; "
            "slices without one are counted on from their series' highest, along the normal, "
            "and so are further frames of a file",
            "header_study_id": _HEADER_IDS,
            "header_series_id": _HEADER_IDS,
            "id_mismatch": "path and header contradict one another, or the file's series is not "
            "that of its folder",
            "series_description": _DESCRIPTION,
            "path": "the file",
            "frame": "which of the file's images, from 1: of Enhanced MR, each frame is one",
            "bytes": "the file's size when it was read",
            "mtime_ns": "when the file was last changed, in nanoseconds since 1970",
            "rows": "height in pixels",
            "columns": "width in pixels",
            "row_spacing_mm": "PixelSpacing between rows",
            "column_spacing_mm": "PixelSpacing between columns",
            "position_mm": "ImagePositionPatient: the centre of the first pixel",
            "orientation": "ImageOrientationPatient: directions of growing column and growing row",
            "orientation_group": "which stack of parallel slices of the series, from 0",
            "normal_position_mm": "where the slice lies along the mean normal of its group",
            "stack": "which stack of the series, from 0: images of one orientation group, shape "
            "and pixel spacing",
            "used_as": "the kind of series that a run uses the image as; null where it does not",
            "set_aside": "why not: another plane than described, localizer or second contrast",
            "transfer_syntax": "as in the header",
            "bits_stored": "as in the header",
            "photometric": "as in the header",
            "patient_position": "as in the header",
            "sop_class": "SOPClassUID: the kind of object",
            "echo_time_ms": "EchoTime",
        },
    ),
    "series": CatalogTable(
        "a row a series that is listed or found",
        {
            "split": _SPLIT,
            "study_id": _IDS,
            "series_id": _IDS,
            "series_description": _DESCRIPTION,
            "images": "usable ones; of Enhanced MR, each frame is one",
            "quarantined": "files that cannot be used",
            "orientation_groups": "stacks of parallel slices",
            "plane": "by the slices' median normal: sagittal, coronal, axial, or oblique beyond "
            "41 degrees",
            "order": "where instance numbers grow towards: left to right, head to feet and so on, "
            "or mixed",
            "first_instance": "the lowest instance number",
            "last_instance": "the highest instance number",
            "gaps": "how many instance numbers between the two are missing",
            "duplicate_positions": "slices within 0.01 mm of another one of their stack",
            "shapes": "different sizes in pixels",
            "slice_spacing_mm": "median distance of neighbours",
            "extent_mm": "the longest stack's length",
            "id_mismatches": "files whose ids contradict one another",
        },
    ),
    "studies": CatalogTable(
        "a row a study that is listed or found",
        {
            "split": _SPLIT,
            "study_id": _IDS,
            "usable": "whether it has any image",
            "images": "how many usable images",
            "series": "how many series",
        },
    ),
    "quarantine": CatalogTable(
        "a row a file that cannot be used",
        {
            "path": "the file",
            "stage": "who refused it",
            "reason": "why; it quotes nothing from the file",
            "bytes": "the file's size when it was refused; null of a stage after the index",
            "mtime_ns": "when the file was last changed, in nanoseconds since 1970; null of a "
            "stage after the index",
            "study_id": _REFUSED_IDS,
            "series_id": _REFUSED_IDS,
            "instance_number": _REFUSED_IDS,
        },
    ),
    "other_files": CatalogTable(
        "a row a file that is no image of its own, and no fault: none counts against --max-bad",
        {
            "path": "the file",
            "what": "a copy, byte for byte or of the image; structured report, presentation "
            "state, secondary capture and so on, by SOPClassUID, but for those in listed series "
            "whose header tells all that a slice's does; DICOMDIR; AppleDouble or another file "
            "that operating systems leave; no DICOM; in a run, a file in no listed series, which "
            "is not read",
            "copy_of": "the file of its series whose copy it is",
            "study_id": "as in instances, where path or header tell",
            "series_id": "as in instances, where path or header tell",
        },
    ),
    "twins": CatalogTable(
        "a row a series whose images another one has: their studies are in one fold",
        {
            "split": _SPLIT,
            "study_id": _IDS,
            "series_id": _IDS,
            "twin_split": "of the first series with these images",
            "twin_study_id": "of the first series with these images",
            "twin_series_id": "of the first series with these images",
            "images": "how many images lie at one place; the pixels of some were compared",
        },
    ),
}
