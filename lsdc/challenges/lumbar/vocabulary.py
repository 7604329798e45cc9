"""The challenge's vocabulary: conditions, levels, grades, sides and series descriptions.

Row ids are `{study_id}_{condition}_{level}`, for example
`4003253_left_neural_foraminal_narrowing_l4_l5`.

>>> condition = Condition("left_subarticular_stenosis")
>>> condition.pooled, str(condition.side), str(condition.mirrored)
('subarticular', 'left', 'right_subarticular_stenosis')
"""

from enum import StrEnum


class Side(StrEnum):
    """The patient's side; in DICOM's patient space (LPS) +x points to the patient's left."""

    LEFT = "left"
    RIGHT = "right"


class Condition(StrEnum):
    """The five graded conditions, in the order of every array with an axis of conditions."""

    SPINAL_CANAL_STENOSIS = "spinal_canal_stenosis"
    LEFT_NEURAL_FORAMINAL_NARROWING = "left_neural_foraminal_narrowing"
    RIGHT_NEURAL_FORAMINAL_NARROWING = "right_neural_foraminal_narrowing"
    LEFT_SUBARTICULAR_STENOSIS = "left_subarticular_stenosis"
    RIGHT_SUBARTICULAR_STENOSIS = "right_subarticular_stenosis"

    @property
    def pooled(self) -> str:
        """The metric's name for the condition, left and right together."""
        if self is Condition.SPINAL_CANAL_STENOSIS:
            return "spinal"
        return "foraminal" if "foraminal" in self.value else "subarticular"

    @property
    def shown_on(self) -> "SeriesDescription":
        """The kind of series that shows the condition."""
        return {
            "spinal": SeriesDescription.SAGITTAL_T2,
            "foraminal": SeriesDescription.SAGITTAL_T1,
            "subarticular": SeriesDescription.AXIAL_T2,
        }[self.pooled]

    @property
    def side(self) -> Side | None:
        """The side the condition names, or None for the canal."""
        for side in Side:
            if self.value.startswith(side.value):
                return side
        return None

    @property
    def mirrored(self) -> "Condition":
        """The same condition on the other side; the canal is its own mirror."""
        swap = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}
        if self.side is None:
            return self
        return Condition(self.value.replace(self.side.value, swap[self.side].value, 1))


class Level(StrEnum):
    """The five discs from top to bottom, in the order of every array with an axis of levels."""

    L1_L2 = "l1_l2"
    L2_L3 = "l2_l3"
    L3_L4 = "l3_l4"
    L4_L5 = "l4_l5"
    L5_S1 = "l5_s1"


class Grade(StrEnum):
    """The three grades, in the order of every array with an axis of grades."""

    NORMAL_MILD = "normal_mild"
    MODERATE = "moderate"
    SEVERE = "severe"

    @property
    def in_table(self) -> str:
        """The grade's spelling in `train.csv`."""
        return {"normal_mild": "Normal/Mild", "moderate": "Moderate", "severe": "Severe"}[self]


class SeriesDescription(StrEnum):
    """The three kinds of series, as the competition's tables name them."""

    SAGITTAL_T1 = "Sagittal T1"
    SAGITTAL_T2 = "Sagittal T2/STIR"
    AXIAL_T2 = "Axial T2"


CONDITIONS = tuple(Condition)
LEVELS = tuple(Level)
GRADES = tuple(Grade)
GRADE_WEIGHTS = (1.0, 2.0, 4.0)
