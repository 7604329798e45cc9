"""The tables of `lsdc explain`: what they hold, and that they fit a terminal of 80 x 24."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.explain.slots import Slot
from lsdc.challenges.lumbar.explain.study import ExplainedCase, FoundLevel, StudyExplanation
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.terminal.explanations import (
    cases_table,
    grid_legend,
    grid_table,
    levels_lines,
)
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS

PLACES = list_places(SlicesConfig())
CROP = np.zeros((2, 2), np.uint8)
MAPS = np.zeros((len(PLACES), 1, 1))


def case_of(number: int, folds: int) -> ExplainedCase:
    """Return a case whose probabilities and weights are the same in every fold but the last."""
    rng = np.random.default_rng(number)
    by_fold = {fold: rng.dirichlet([1.0, 1.0, 1.0]) for fold in range(folds)}
    slots = tuple(Slot(place, 1, 10 + at, 1.0, CROP, None) for at, place in enumerate(PLACES))
    level, condition = LEVELS[number // 5], CONDITIONS[number % 5]
    weights = rng.dirichlet(np.full(len(PLACES), 0.2))
    return ExplainedCase(
        str(level),
        condition,
        number % 3,
        by_fold,
        slots,
        weights,
        np.zeros((len(PLACES), 1, 1)),
        None,
    )


def explained(folds: int = 4) -> StudyExplanation:
    ways = ["places of other levels", *["keypoint nets of all folds (median)"] * 4]
    levels = [
        FoundLevel(str(level), "predicted", way, 0.5 + number / 10)
        for number, (level, way) in enumerate(zip(LEVELS, ways, strict=True))
    ]
    return StudyExplanation(
        run="demo",
        study=cast("Any", SimpleNamespace(study_id=7, split="test")),
        folds=tuple(range(folds)),
        in_fold=None,
        has_attention=True,
        levels=tuple(levels),
        extra_vertebra=True,
        disputed=("l1_l2", "l2_l3"),
        cases=tuple(case_of(number, folds) for number in range(25)),
    )


def printed(*parts: Any) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        for part in parts:
            console.print(part, highlight=False)
    return capture.get().splitlines()


@pytest.mark.parametrize("folds", [1, 4])
def test_a_cell_has_the_shares_with_spread_and_label_above_the_slices_that_count_most(
    folds: int,
) -> None:
    study = explained(folds)
    lines = printed(grid_table(study))
    first = next(number for number, line in enumerate(lines) if line.startswith(" L1/L2"))
    for row in range(5):
        level, *shares = lines[first + 2 * row].split()
        confidence, *images = lines[first + 2 * row + 1].split()
        assert (level, confidence) == (
            f"L{row + 1}/{'S1' if row == 4 else f'L{row + 2}'}",
            f"0.{5 + row}0",
        )
        cases = study.cases[5 * row : 5 * row + 5]
        for place, case in enumerate(cases):
            expected = [f"{100 * share:.0f}" for share in case.mean]
            if folds > 1:
                best = int(case.mean.argmax())
                spread = np.std([own[best] for own in case.by_fold.values()])
                expected[best] += f"±{100 * spread:.0f}"
            expected[case.label or 0] += "*"
            assert shares[3 * place : 3 * place + 3] == expected
        numbers = [f"#{10 + int(case.weights.argmax())}" for case in cases]
        assert [word for word in images if word.startswith("#")] == numbers


def test_part_and_its_weight_are_those_of_the_slice_that_counts_most() -> None:
    study = explained()
    weights = np.zeros(len(PLACES))
    weights[[0, 1, -1]] = 0.36, 0.24, 0.4  # the first two are of T1, left
    alone = replace(study, cases=(replace(study.cases[0], weights=weights),))
    assert any("ax 40" in line for line in printed(grid_table(alone)))
    weights[[0, -1]] = 0.4, 0.36
    assert any("T1 L 64 #10" in line for line in printed(grid_table(alone)))


def test_all_lines_about_a_doubtful_study_fit_80_by_24() -> None:
    study = explained()
    lines = printed(
        "Study 26575970 (test), run demo: mean of folds 0, 1, 2, 3",
        *levels_lines(study),
        "Level names are doubtful: an extra or missing vertebra, or no sacrum in view.",
        grid_table(study),
        grid_legend(study),
        "/home/someone/lsdc-home/runs/demo/explain/26575970.png",
    )
    assert len(lines) + 1 <= 24  # a line is left for the prompt
    assert max(map(len, lines)) <= 80
    assert lines[1:4] == [
        "L1/L2: places of other levels",
        "L2/L3, L3/L4, L4/L5, L5/S1: keypoint nets of all folds (median)",
        "L1/L2, L2/L3: sagittal and axial images over 10 mm apart",
    ]


def test_long_table_has_a_row_per_cell() -> None:
    lines = printed(cases_table(explained()))
    assert sum("foramen L" in line for line in lines) == 5
    assert max(map(len, lines)) <= 80
