"""The table of cases: columns of small numbers, which the page's script filters and sorts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PARTS = 10_000  # probabilities and losses are whole numbers of these
SHARES = 100_000  # shares are, of a per cent
EXTRA_CASES = "#cases?extra=yes"  # the link to the cases with a share of the extra part


@dataclass(frozen=True)
class Facet:
    """A property with few values that cases are filtered by.

    Attributes:
        name: its heading.
        word: its name in links.
        ids: its values in links.
        names: its values as they are shown.
    """

    name: str
    word: str
    ids: Sequence[str]
    names: Sequence[str]


@dataclass(frozen=True)
class CasePredictions:
    """What one run predicts for all cases, a value each.

    Attributes:
        name: the run.
        probabilities: for each class.
        losses: the loss.
        shares: the fraction of the run's score that the case contributes.
        extras: how much of that is in the extra part; none without such a part.
    """

    name: str
    probabilities: Sequence[Sequence[float]]
    losses: Sequence[float]
    shares: Sequence[float]
    extras: Sequence[float] = ()


@dataclass(frozen=True)
class Cases:
    """The cases: a group (such as a patient's images) and a value of each facet.

    The key of a case, in links, is its group and its values of the first facets, joined by "_".

    Attributes:
        group_name: the heading of groups.
        groups: the ids of all groups.
        group: for each case the number of its group.
        facets: the facets; the first `apart` of them tell the cases of a group apart.
        values: for each facet and case the number of the value.
        classes: the names of the classes.
        labels: for each case the number of its true class.
        predictions: what each run predicts.
        extra: the name of the part of the score that counts groups, which few cases answer for;
            empty without such a part.
        notes: a remark about some cases, by their numbers.
        apart: 1 or 2.
        are_all: whether these are all cases, not only some of each group.
    """

    group_name: str
    groups: Sequence[str]
    group: Sequence[int]
    facets: Sequence[Facet]
    values: Sequence[Sequence[int]]
    classes: Sequence[str]
    labels: Sequence[int]
    predictions: Sequence[CasePredictions]
    extra: str = ""
    notes: Mapping[int, str] = field(default_factory=dict)
    apart: int = 2
    are_all: bool = True

    def as_json(self) -> str:
        """Return the table for the page's script."""
        return json.dumps(self._tables(), separators=(",", ":"), ensure_ascii=False)

    def _tables(self) -> dict[str, Any]:
        return {
            "parts": PARTS,
            "shares": SHARES,
            "groupName": self.group_name,
            "groups": list(self.groups),
            "group": list(self.group),
            "facets": [vars(facet) | {"ids": list(facet.ids)} for facet in self.facets],
            "values": [list(each) for each in self.values],
            "classes": list(self.classes),
            "extra": self.extra,
            "apart": self.apart,
            "areAll": self.are_all,
            "labels": list(self.labels),
            "notes": dict(self.notes),
            "runs": [
                {
                    "name": each.name,
                    "probabilities": [_whole(column, PARTS) for column in each.probabilities],
                    "losses": _whole(each.losses, PARTS),
                    "shares": _whole(each.shares, 100 * SHARES),
                    "extras": {
                        number: extra
                        for number, extra in enumerate(_whole(each.extras, 100 * SHARES))
                        if extra
                    },
                }
                for each in self.predictions
            ],
        }


def _whole(values: Sequence[float], parts: int) -> list[int]:
    return [round(value * parts) for value in values]
