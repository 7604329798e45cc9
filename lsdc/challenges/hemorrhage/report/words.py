"""How reports call labels, parts of the score, and parts of the head."""

from lsdc.challenges.hemorrhage.scoring.metric import PART_WEIGHTS, PARTS
from lsdc.challenges.hemorrhage.vocabulary import Label
from lsdc.report.runs.losses import Words

LABEL_NAMES = {str(label): str(label).capitalize() for label in Label}
PART_NAMES = {"score": "Score", **LABEL_NAMES}
LOSSES = Words(
    PART_NAMES,
    prior="prior",
    drawn="patient",
    rows="images",
    weights={
        "score": 1.0,
        **dict(zip(PARTS, (PART_WEIGHTS / PART_WEIGHTS.sum()).tolist(), strict=True)),
    },
)
# As radiologists abbreviate them, for pictures.
SHORT_NAMES = {
    str(Label.EPIDURAL): "EDH",
    str(Label.INTRAPARENCHYMAL): "IPH",
    str(Label.INTRAVENTRICULAR): "IVH",
    str(Label.SUBARACHNOID): "SAH",
    str(Label.SUBDURAL): "SDH",
    str(Label.ANY): "any",
}
# A binary label as classes of the page.
PRESENCE = ("absent", "present")
# Fifths of a stack.
HEIGHT_NAMES = ("lowest", "low", "middle", "high", "highest")
