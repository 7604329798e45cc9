"""How the page calls conditions, levels, grades and parts of the score."""

from lsdc.challenges.lumbar.scoring.metric import PARTS
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, GRADES, LEVELS
from lsdc.report.runs.losses import Words

CONDITION_NAMES = {
    "spinal_canal_stenosis": "Spinal canal",
    "left_neural_foraminal_narrowing": "Left foraminal",
    "right_neural_foraminal_narrowing": "Right foraminal",
    "left_subarticular_stenosis": "Left subarticular",
    "right_subarticular_stenosis": "Right subarticular",
}
KIND_NAMES = {
    "spinal": "Spinal canal",
    "foraminal": "Foraminal",
    "subarticular": "Subarticular",
}
PART_NAMES = {
    "score": "Score",
    **dict(zip(PARTS, (*KIND_NAMES.values(), "Any severe canal"), strict=True)),
}
LOSSES = Words(PART_NAMES, prior="weighted prior", drawn="study", rows="rows")
LEVEL_NAMES = {str(level): level.replace("_", "/").upper() for level in LEVELS}
GRADE_NAMES = {str(grade): grade.replace("_", "/") for grade in GRADES}
GRADES_SHOWN = tuple(GRADE_NAMES.values())
CONDITION_IDS = tuple(str(condition) for condition in CONDITIONS)
LEVEL_IDS = tuple(str(level) for level in LEVELS)
