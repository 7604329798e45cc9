"""Counts and lists of names in messages."""

import pytest

from lsdc.messages import MOST_NAMES, counted, few


@pytest.mark.parametrize(
    ("number", "noun", "expected"),
    [
        (0, "fold", "0 folds"),
        (1, "fold", "1 fold"),
        (1, "study", "1 study"),
        (2, "study", "2 studies"),
        (2000, "usable image", "2,000 usable images"),
        (2, "listed series", "2 listed series"),
    ],
)
def test_noun_agrees_with_the_number(number: int, noun: str, expected: str) -> None:
    assert counted(number, noun) == expected


def test_long_list_of_names_is_shortened() -> None:
    names = [str(number) for number in range(MOST_NAMES + 1)]
    assert few(names[:2]) == "0, 1"
    assert few(names[:-1]).endswith(names[-2])
    assert few(names).endswith(f"{names[-2]}, ...")
