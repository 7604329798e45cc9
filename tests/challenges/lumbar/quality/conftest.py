"""A phantom's competition, its index, and a patient to plant faults in."""

from pathlib import Path

import pytest

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.dicom_index.index import Index
from tests.challenges.lumbar.planned import planned_index
from tests.challenges.lumbar.quality.examined import Patient


@pytest.fixture(scope="module")
def competition(phantom: Path) -> Competition:
    return open_competition(phantom)


@pytest.fixture(scope="module")
def index() -> Index:
    """Plan the index of the session's phantom, without its broken files."""
    return planned_index(Order(studies=6, test=2, seed=3, grades="balanced", max_size=64))


@pytest.fixture
def patient(competition: Competition, index: Index) -> Patient:
    """Return the phantom's second study: T1, T2 and one straight axial stack, all labelled."""
    return Patient(competition, index, int(competition.labels["study_id"].unique().sort()[1]))
