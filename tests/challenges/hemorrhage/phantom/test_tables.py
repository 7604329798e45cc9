"""The tables: the competition's, and the answers with the rule of the labels."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lsdc.challenges.hemorrhage.vocabulary import LABELS, SUBTYPES
from tests.challenges.hemorrhage.phantom.written import Headers, rows_of


def grouped(path: Path) -> list[tuple[str, tuple[str, ...], list[str]]]:
    """Return each run of six rows: image, labels' names, labels."""
    rows = rows_of(path)
    assert len(rows) % 6 == 0
    groups = []
    for start in range(0, len(rows), 6):
        names = [row["ID"].rsplit("_", 1) for row in rows[start : start + 6]]
        assert len({image for image, _ in names}) == 1
        labels = [row["Label"] for row in rows[start : start + 6]]
        groups.append((names[0][0], tuple(name for _, name in names), labels))
    return groups


def test_train_table_has_six_rows_an_image_in_the_order_of_the_labels(
    head_phantom: Path, files: Headers
) -> None:
    groups = grouped(head_phantom / "stage_2_train.csv")
    assert {names for _, names, _ in groups} == {LABELS}
    on_disk = {dataset.SOPInstanceUID for datasets in files.values() for dataset in datasets}
    assert {image for image, _, _ in groups} == on_disk
    images = [image for image, _, _ in groups]
    assert images != sorted(images)


def test_any_is_the_largest_of_the_subtypes(head_phantom: Path) -> None:
    for _, _, labels in grouped(head_phantom / "stage_2_train.csv"):
        assert labels[-1] == max(labels[:-1])


def test_a_few_images_without_bleeding_are_listed_twice(head_phantom: Path) -> None:
    groups = grouped(head_phantom / "stage_2_train.csv")
    counts = Counter(image for image, _, _ in groups)
    twice = {image for image, count in counts.items() if count == 2}
    assert max(counts.values()) == 2
    assert len(twice) == len(counts) // 50
    assert {label for image, _, labels in groups if image in twice for label in labels} == {"0"}
    quirks = rows_of(head_phantom / "answers/quirks.csv")
    assert {row["image_id"] for row in quirks if row["quirk"] == "listed twice"} == twice


def test_sample_submission_lists_the_test_images_with_a_half(head_phantom: Path) -> None:
    groups = grouped(head_phantom / "stage_2_sample_submission.csv")
    on_disk = {path.stem for path in (head_phantom / "stage_2_test_images").iterdir()}
    assert {image for image, _, _ in groups} == on_disk
    assert len(groups) == len(on_disk)
    assert {value for _, _, labels in groups for value in labels} == {"0.5"}


def test_labels_follow_from_the_visible_masks(head_phantom: Path) -> None:
    answers = head_phantom / "answers"
    studies = {row["study_id"]: row for row in rows_of(answers / "studies.csv")}
    positives = 0
    masks = {path.stem: np.load(path) for path in (answers / "masks").iterdir()}
    for row in rows_of(answers / "labels.csv"):
        study = masks.get(row["study_id"])
        has_mask = study is not None and row["image_id"] in study
        for number, subtype in enumerate(SUBTYPES):
            area = 0.0
            if has_mask:
                bits = study[row["image_id"]] >> number & 1
                area = bits.sum() * float(studies[row["study_id"]]["spacing_mm"]) ** 2
            assert row[subtype] == str(int(area >= 25.0))
            positives += row[subtype] == "1"
    assert positives > 10


def test_visible_areas_and_contrasts_keep_the_stated_rule(head_phantom: Path) -> None:
    answers = head_phantom / "answers"
    noise = {row["study_id"]: float(row["noise_hu"]) for row in rows_of(answers / "studies.csv")}
    rows = rows_of(answers / "bleeding.csv")
    assert rows
    for row in rows:
        assert (float(row["visible_mm2"]) >= 25) == (row["label"] == "1")
        if float(row["visible_mm2"]) > 0 and float(row["contrast_hu"]) > 0:
            assert float(row["contrast_hu"]) >= 4 * noise[row["study_id"]] - 0.01
    readme = (answers / "README.txt").read_text()
    assert "25 mm2" in readme
    assert "4 standard deviations" in readme


def test_labels_of_the_answers_are_those_of_the_table(head_phantom: Path) -> None:
    answers = {row["image_id"]: row for row in rows_of(head_phantom / "answers/labels.csv")}
    for image, names, labels in grouped(head_phantom / "stage_2_train.csv"):
        assert [answers[image][name] for name in names] == labels


def test_all_subtypes_are_planted_and_listed(head_phantom: Path) -> None:
    bleeds = rows_of(head_phantom / "answers/bleeds.csv")
    assert {row["subtype"] for row in bleeds if row["split"] == "train"} == set(SUBTYPES)
    studies = {row["study_id"] for row in rows_of(head_phantom / "answers/bleeding.csv")}
    assert studies <= {row["study_id"] for row in bleeds}


@pytest.mark.parametrize("split", ["train", "test"])
def test_answers_list_every_image_of_both_splits(head_phantom: Path, split: str) -> None:
    listed = {
        row["image_id"]
        for row in rows_of(head_phantom / "answers/labels.csv")
        if row["split"] == split
    }
    assert listed == {path.stem for path in (head_phantom / f"stage_2_{split}_images").iterdir()}


def test_between_a_twelfth_and_a_quarter_of_the_images_bleed(head_phantom: Path) -> None:
    rows = rows_of(head_phantom / "answers/labels.csv")
    assert 1 / 12 < sum(row["any"] == "1" for row in rows) / len(rows) < 1 / 4
