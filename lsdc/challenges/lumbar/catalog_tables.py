"""Descriptions of the catalog's tables and columns, defined in one place.

They are written to the catalog as comments and shown in `docs/catalog.md`. A stage that adds a
column to its table describes it here.
"""

from lsdc.dicom_index.catalog_tables import INDEX_TABLES
from lsdc.store.catalog import CatalogTable

_OF_A_RUN = "train or test"
_STUDY, _SERIES = "the study's id", "the series' id"
_DESCRIPTION = "from the competition's table"
_CONDITION, _LEVEL = "one of the five graded conditions", "the disc, l1_l2 to l5_s1"
_GRADE = "0 normal or mild, 1 moderate, 2 severe; null where there is none"
_CONFIDENCE = "0 to 1: how sure the net is, 1 of what was annotated"
_WORLD = "the point in mm in the patient's space (LPS: +x left, +y back, +z head)"
_IMAGE = "the image's number within its series"
_PIXEL = "where the point lies on the image: x the column, y the row"

CATALOG: dict[str, CatalogTable] = INDEX_TABLES | {
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
