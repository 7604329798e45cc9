"""What the catalog's tables and columns are, in words: one place says so.

The catalog carries them as comments, and `docs/catalog.md` shows them. A stage that gives its
table a new column describes it here.
"""

from lsdc.store.catalog import CatalogTable

_SPLIT = "train or test, where the path has the competition's layout"
_OF_A_RUN = "train or test"
_IDS = (
    "from the path in the competition's layout; elsewhere a number made of StudyInstanceUID or "
    "SeriesInstanceUID"
)
_STUDY, _SERIES = "the study's id", "the series' id"
_DESCRIPTION = "from the competition's table"
_CONDITION, _LEVEL = "one of the five graded conditions", "the disc, l1_l2 to l5_s1"
_GRADE = "0 normal or mild, 1 moderate, 2 severe; null where there is none"
_CONFIDENCE = "0 to 1: how sure the net is, 1 of what was annotated"
_WORLD = "the point in mm in the patient's space (LPS: +x left, +y back, +z head)"
_IMAGE = "the image's number within its series"
_PIXEL = "where the point lies on the image: x the column, y the row"
_REFUSED_IDS = "as in instances, where path or header tell; null of a stage after the index"
_HEADER_IDS = (
    "of StudyInstanceUID and SeriesInstanceUID: the number itself where it is one as the "
    "competition has it, else 63 bits of a digest"
)

CATALOG: dict[str, CatalogTable] = {
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
    "folds": CatalogTable(
        "a row a study that is in a fold",
        {"study_id": _STUDY, "fold": "which fold holds it out, from 0"},
    ),
    "labels": CatalogTable(
        "a row a study, condition and level of the studies in folds",
        {"study_id": _STUDY, "condition": _CONDITION, "level": _LEVEL, "grade": _GRADE},
    ),
    "holdout": CatalogTable(
        "a row a study, condition and level of the studies that no fold gets",
        {"study_id": _STUDY, "condition": _CONDITION, "level": _LEVEL, "grade": _GRADE},
    ),
    "annotations": CatalogTable(
        "a row a point of train_label_coordinates.csv, as the run reads it",
        {
            "study_id": _STUDY,
            "series_id": _SERIES,
            "instance_number": _IMAGE,
            "condition": _CONDITION,
            "level": _LEVEL,
            "x_px": _PIXEL,
            "y_px": _PIXEL,
        },
    ),
    "corrections": CatalogTable(
        "a row a point that a run corrected",
        {
            "row": "of train_label_coordinates.csv, from 0",
            "rule": "why; in this order: wrong_series, outside_the_image, repeated_apart, "
            "no_lumbar_spine, level_off_by_one, sides_swapped, off_the_trend, across_the_middle",
            "study_id": "the point's image",
            "series_id": "the point's image",
            "instance_number": "the point's image",
            "condition": "what it was named before",
            "level": "what it was named before",
            "x_px": "where it lies",
            "y_px": "where it lies",
            "became_condition": "what it is named now; null where it is left out of what is learnt",
            "became_level": "what it is named now; null where it is left out of what is learnt",
        },
    ),
    "points": CatalogTable(
        "a row a study and level: where the level is",
        {
            "split": _OF_A_RUN,
            "study_id": _STUDY,
            "level": _LEVEL,
            "x_mm": _WORLD,
            "y_mm": _WORLD,
            "z_mm": _WORLD,
            "confidence": _CONFIDENCE,
            "source": "predicted by a net, annotated, or filled from other levels or studies",
        },
    ),
    "landmarks": CatalogTable(
        "a row a study, condition and level: where it is looked for, and the slice that shows it "
        "best",
        {
            "split": _OF_A_RUN,
            "study_id": _STUDY,
            "condition": _CONDITION,
            "level": _LEVEL,
            "x_mm": _WORLD,
            "y_mm": _WORLD,
            "z_mm": _WORLD,
            "confidence": _CONFIDENCE,
            "source": "predicted by a net, annotated, or filled from other levels or studies",
            "series_id": "of the nearest slice of the right kind; null where there is none",
            "instance_number": "of the nearest slice of the right kind; null where there is none",
            "x_px": "where the point lies on that slice: x the column, y the row",
            "y_px": "where the point lies on that slice: x the column, y the row",
            "distance_mm": "of the point from that slice",
        },
    ),
    "spines": CatalogTable(
        "a row a study with points: its levels as a whole",
        {
            "split": _OF_A_RUN,
            "study_id": _STUDY,
            "seen": "how many levels were seen",
            "filled": "how many levels were filled from others",
            "absent": "how many levels are outside every image",
            "absent_levels": "their names",
            "widest_step": "the longest step from level to level, as a multiple of the median one",
            "shifted": "0 to 1: how much speaks for every level being named one off",
            "extra_vertebra": "whether there may be more vertebrae than names, by one of these two",
            "disputed_levels": "levels that sagittal and axial images put over 10 mm apart",
        },
    ),
    "moves": CatalogTable(
        "a row a series that lies elsewhere than the others of its study",
        {
            "split": _OF_A_RUN,
            "study_id": _STUDY,
            "series_id": _SERIES,
            "x_mm": "how far from where the others have its levels",
            "y_mm": "how far from where the others have its levels",
            "z_mm": "how far from where the others have its levels",
            "source": "annotated or predicted: by which points it was found",
        },
    ),
    "slices": CatalogTable(
        "a row a slice and level: every slice against every level point of its study",
        {
            "split": _OF_A_RUN,
            "study_id": _STUDY,
            "series_id": _SERIES,
            "instance_number": _IMAGE,
            "series_description": _DESCRIPTION,
            "level": _LEVEL,
            "offset_mm": "how far the slice's plane lies from the level point: towards the "
            "patient's left for sagittal slices, towards the head for axial ones",
            "left_offset_mm": "the same from the left foramen or subarticular zone",
            "right_offset_mm": "the same from the right foramen or subarticular zone",
            "x_px": "the level point dropped onto the slice: x the column, y the row",
            "y_px": "the level point dropped onto the slice: x the column, y the row",
            "height_mm": "how far ImagePositionPatient lies above the level point",
            "image_share": "how far down the image the point is, 0 to 1",
            "inside": "whether the slice shows the level: the point is within the image, and the "
            "plane leans by no more than 60 degrees from where its kind should face",
            "patient_left_is_image_right": "how an axial slice is stored",
            "stack": "its stack within the series, as in instances",
        },
    ),
    "conflicts": CatalogTable(
        "a row an annotation that lies on the other side of its level point than it names",
        {
            "study_id": _STUDY,
            "series_id": _SERIES,
            "instance_number": _IMAGE,
            "condition": _CONDITION,
            "level": _LEVEL,
            "offset_mm": "from the level point, towards the patient's left",
            "named_side": "the side that the condition names",
            "side": "the side by position",
        },
    ),
    "samples": CatalogTable(
        "a row a crop",
        {
            "row": "of crops.npy, from 0",
            "split": _OF_A_RUN,
            "study_id": _STUDY,
            "level": _LEVEL,
            "side": "where an experiment tells sides apart; else null",
            "mask": "place by place, whether a slice is there",
        },
    ),
    "motion": CatalogTable(
        "a row a slice on which the patient had moved, where an experiment looks for it",
        {
            "study_id": _STUDY,
            "series_id": _SERIES,
            "instance_number": _IMAGE,
            "shift_x_mm": "how far to the right in the image",
            "shift_y_mm": "how far down in the image",
        },
    ),
}
