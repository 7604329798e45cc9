from typing import Any

import pytest

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.slots import list_places, mirrored_places

# The lab log's descriptions, and the settings for them.
COUNTS: dict[str, tuple[int, dict[str, Any]]] = {
    "9: T1 left, T2 middle, T1 right": (
        9,
        {"middle_slices": 3, "axial_slices": 0, "t1_middle": False, "t2_sides": False},
    ),
    "12: the same and axial": (12, {"middle_slices": 3, "t1_middle": False, "t2_sides": False}),
    "16: T2 without its sides": (16, {"axial_slices": 0, "t2_sides": False}),
    "18: 9 each": (18, {"middle_slices": 3, "axial_slices": 0}),
    "21: 9 each and axial": (21, {"middle_slices": 3}),
    "22: 11 each": (22, {"axial_slices": 0}),
    "25: 11 each and axial": (25, {}),
}


@pytest.mark.parametrize("words", COUNTS)
@pytest.mark.parametrize("group_by", ["series", "side"])
def test_slice_counts_of_the_lab_log_can_be_configured(words: str, group_by: str) -> None:
    count, settings = COUNTS[words]
    config = SlicesConfig(group_by=group_by, **settings)
    places = list_places(config)
    assert config.count == len(places) == len(set(places)) == count


def runs(config: SlicesConfig) -> list[str]:
    names = [place.name for place in list_places(config)]
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


def test_places_are_grouped_by_series_or_by_side() -> None:
    assert runs(SlicesConfig(axial_slices=2)) == [
        *("T1 left", "T1 middle", "T1 right", "T2 left", "T2 middle", "T2 right"),
        *("axial 1", "axial 2"),
    ]
    assert runs(SlicesConfig(axial_slices=2, group_by="side")) == [
        *("T1 left", "T2 left", "T1 middle", "T2 middle", "T1 right", "T2 right"),
        *("axial 1", "axial 2"),
    ]
    nine = SlicesConfig(**COUNTS["9: T1 left, T2 middle, T1 right"][1], group_by="side")
    assert runs(nine) == ["T1 left", "T2 middle", "T1 right"]


@pytest.mark.parametrize("group_by", ["series", "side"])
def test_mirror_exchanges_sides_and_keeps_axial_slots(group_by: str) -> None:
    config = SlicesConfig(group_by=group_by)
    names = [place.name for place in list_places(config)]
    order = mirrored_places(config)
    assert sorted(order) == list(range(25))
    assert [order[place] for place in order] == list(range(25))
    swap = {"left": "right", "right": "left", "middle": "middle"}
    for name, source in zip(names, order, strict=True):
        kind, part = name.split()
        assert names[source] == (name if kind == "axial" else f"{kind} {swap[part]}")
    assert order[0] != order[1] - 1  # both run from left to right, so the order is reversed


def test_mirror_of_slices_ordered_by_instance() -> None:
    by_quantile = SlicesConfig(sagittal="quantiles", stack_order="instances")
    assert mirrored_places(by_quantile) == list(range(25))
    by_argmin = SlicesConfig(sagittal="argmin", stack_order="instances")
    assert mirrored_places(by_argmin)[:11] == [8, 9, 10, 3, 4, 5, 6, 7, 0, 1, 2]
