"""Writing: the same bytes for the same order, and nothing left after an error."""

from pathlib import Path
from typing import Any

import pytest

from lsdc.challenges.hemorrhage.phantom.study import Order
from lsdc.challenges.hemorrhage.phantom.writer import write_phantom
from lsdc.errors import SettingsError
from tests.challenges.hemorrhage.phantom.written import digests, rows_of

SMALL: dict[str, Any] = {"size": 32, "fewest_slices": 6, "most_slices": 8}


def test_same_seed_gives_the_same_bytes_with_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(studies=5, test=1, seed=5, **SMALL)
    write_phantom(tmp_path / "one", order)
    monkeypatch.setattr("lsdc.phantom._WORTH_PROCESSES", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    write_phantom(tmp_path / "two", order)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_another_seed_gives_other_studies(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        write_phantom(tmp_path / str(seed), Order(studies=1, test=0, seed=seed, **SMALL))
        rows = rows_of(tmp_path / str(seed) / "answers/labels.csv")
        found.append({row["image_id"] for row in rows})
    assert found[0].isdisjoint(found[1])


def test_folder_holds_what_the_competitions_does_and_answers(head_phantom: Path) -> None:
    assert {path.name for path in head_phantom.iterdir()} == {
        "stage_2_train_images",
        "stage_2_test_images",
        "stage_2_train.csv",
        "stage_2_sample_submission.csv",
        "answers",
    }


@pytest.mark.parametrize(
    "wrong",
    [{"studies": 0}, {"test": -1}, {"seed": -1}, {"size": 8}, {"fewest_slices": 2},
     {"most_slices": 5}],
)  # fmt: skip
def test_numbers_out_of_bounds_are_refused_by_name(tmp_path: Path, wrong: dict[str, Any]) -> None:
    numbers = {"studies": 1, "test": 0, "seed": 0, **SMALL} | wrong
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        write_phantom(tmp_path / "out", Order(**numbers))
    assert not (tmp_path / "out").exists()
