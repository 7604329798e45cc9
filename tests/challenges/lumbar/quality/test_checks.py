"""The registry of checks: each has its own name, and runs where its tables are."""

import importlib
import pkgutil

import polars as pl
import pytest

from lsdc.challenges.lumbar import quality
from lsdc.challenges.lumbar.competition.tables import Competition
from lsdc.challenges.lumbar.quality.checks import CHECKS, check
from lsdc.challenges.lumbar.quality.corrections import Rule
from lsdc.challenges.lumbar.quality.doctor import examine
from lsdc.dicom_index.index import Index


def test_every_check_of_every_module_runs_on_a_whole_competition(
    competition: Competition, index: Index
) -> None:
    for module in pkgutil.iter_modules(quality.__path__, f"{quality.__name__}."):
        importlib.import_module(module.name)
    found = [finding.name for finding in examine(competition, index).findings]
    assert sorted(found) == sorted([*CHECKS, *Rule])


def test_a_second_check_of_the_same_name_is_rejected() -> None:
    def empty_labels(labels: pl.DataFrame) -> pl.DataFrame:
        return labels

    with pytest.raises(ValueError, match="already named empty_labels"):
        check("Label cells without a grade", "cells")(empty_labels)
