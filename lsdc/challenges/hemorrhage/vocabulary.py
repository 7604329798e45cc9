"""The challenge's vocabulary: the labels of a slice, and their weights in the metric.

>>> str(Label.ANY), [str(label) for label in SUBTYPES][:2]
('any', ['epidural', 'intraparenchymal'])
"""

from enum import StrEnum


class Label(StrEnum):
    """The labels of a slice, in the order of the competition's tables and of every array."""

    EPIDURAL = "epidural"
    INTRAPARENCHYMAL = "intraparenchymal"
    INTRAVENTRICULAR = "intraventricular"
    SUBARACHNOID = "subarachnoid"
    SUBDURAL = "subdural"
    ANY = "any"

    @property
    def weight(self) -> int:
        """The label's weight in the metric."""
        return 2 if self is Label.ANY else 1


LABELS = tuple(Label)
SUBTYPES = tuple(label for label in Label if label is not Label.ANY)
