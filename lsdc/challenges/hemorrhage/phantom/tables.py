"""Write the competition's tables, and the answers that a real competition keeps secret."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lsdc.challenges.hemorrhage.phantom.record import PlannedImage, StudyRecord
from lsdc.challenges.hemorrhage.phantom.visibility import MEASURES, RULE, Findings, labels
from lsdc.challenges.hemorrhage.vocabulary import LABELS, SUBTYPES

_HEADER = ("ID", "Label")
_MOST_REPEATED = 4
_IMAGES_PER_REPEATED = 50
_ANSWERS = """Answers of the phantom, for training and test studies.

labels.csv    the labels of each image
bleeding.csv  what each image shows of each planted bleed
bleeds.csv    the bleeds of each study; x to the left, y to the back, z up along the head's axes,
              in mm of a head of ordinary size, from the middle of the brain
studies.csv   how each study lies, and how it is stored
quirks.csv    the oddities of real data that were planted, and where
masks/        STUDY.npz: for each image with visible blood, by its id, (rows, columns) of 8 bits;
              bit 0 is the first subtype: {subtypes}

{rule}
"""

Study = tuple[StudyRecord, Findings]


def write_tables(
    root: Path, studies: Sequence[Study], rng: np.random.Generator, *, repeat: bool
) -> None:
    """Write all tables of the competition and `answers/`.

    Args:
        root: the competition's folder; `answers/` exists in it.
        studies: each study with what was found in its images.
        rng: the only source of randomness.
        repeat: whether some images are listed twice, as in the real table.
    """
    train = [study for study in studies if study[0].split == "train"]
    repeated = _write_train(root / "stage_2_train.csv", train, rng, repeat=repeat)
    test = [
        image.image_id for record, _ in studies if record.split == "test" for image in record.images
    ]
    _write(
        root / "stage_2_sample_submission.csv",
        _HEADER,
        ([f"{image}_{label}", 0.5] for image in sorted(test) for label in LABELS),
    )
    _write_answers(root / "answers", studies, repeated)


def _write_train(
    path: Path, studies: Sequence[Study], rng: np.random.Generator, *, repeat: bool
) -> list[str]:
    """Write the labels in random order of images; return the ids of images that are listed twice.

    As in the real table, these have no bleeding, and both copies are equal.
    """
    rows = [
        (image.image_id, row.tolist())
        for record, findings in studies
        for image, row in zip(record.images, labels(findings), strict=True)
    ]
    count = min(_MOST_REPEATED, len(rows) // _IMAGES_PER_REPEATED) if repeat else 0
    negative = [row for row in rows if not any(row[1])]
    chosen = rng.choice(len(negative), size=min(count, len(negative)), replace=False)
    again = [negative[number] for number in chosen]
    order = rng.permutation(len(rows) + len(again))
    listed = [*rows, *again]
    _write(
        path,
        _HEADER,
        (
            [f"{listed[number][0]}_{label}", value]
            for number in order
            for label, value in zip(LABELS, listed[number][1], strict=True)
        ),
    )
    return [image_id for image_id, _ in again]


def _write_answers(folder: Path, studies: Sequence[Study], repeated: list[str]) -> None:
    text = _ANSWERS.format(subtypes=", ".join(SUBTYPES), rule=RULE)
    (folder / "README.txt").write_text(text, encoding="ascii")
    _write(
        folder / "labels.csv",
        ["split", "study_id", "image_id", *LABELS],
        (
            [record.split, record.study_id, image.image_id, *row.tolist()]
            for record, findings in studies
            for image, row in zip(record.images, labels(findings), strict=True)
        ),
    )
    _write(
        folder / "bleeding.csv",
        ["split", "study_id", "image_id", "subtype", "label", *MEASURES],
        (row for record, findings in studies for row in _bleeding_rows(record, findings)),
    )
    _write(
        folder / "bleeds.csv",
        [
            *("split", "study_id", "subtype", "grade", "place", "side", "hu", "push_mm"),
            *("x_mm", "y_mm", "z_mm", "size_x_mm", "size_y_mm", "size_z_mm"),
        ],
        (row for record, _ in studies for row in _bleed_rows(record)),
    )
    _write(
        folder / "studies.csv",
        ["split", "study_id", "series_id", "patient_id", "images", "storage", "implicit_vr",
         "tilt_degrees", "spacing_mm", "noise_hu"],
        (
            [
                *(record.split, record.study_id, record.series_id, record.patient_id),
                *(len(record.images), record.storage, int(record.implicit_vr)),
                *(f"{record.stack.tilt_degrees:.6f}", f"{record.stack.spacing_mm:.6f}"),
                f"{record.noise_hu:.3f}",
            ]
            for record, _ in studies
        ),
    )  # fmt: skip
    quirks = [row for record, _ in studies for row in _quirk_rows(record)]
    quirks += [["listed twice", "train", "", image_id] for image_id in repeated]
    _write(folder / "quirks.csv", ["quirk", "split", "study_id", "image_id"], quirks)


def _bleeding_rows(record: StudyRecord, findings: Findings) -> Iterable[list[object]]:
    """Return a row for each image and subtype of which something is planted in it."""
    for image, measures, row in zip(record.images, findings, labels(findings), strict=True):
        for number, subtype in enumerate(SUBTYPES):
            if measures[number].any():
                figures = [f"{value:.2f}" for value in measures[number]]
                yield [
                    record.split,
                    record.study_id,
                    image.image_id,
                    subtype,
                    row[number],
                    *figures,
                ]


def _bleed_rows(record: StudyRecord) -> Iterable[list[object]]:
    sides = {1: "left", -1: "right", 0: "both"}
    for bleed in record.bleeds:
        yield [
            *(record.split, record.study_id, bleed.subtype, bleed.grade, bleed.place),
            *(sides[bleed.side], f"{bleed.hu:.2f}", f"{bleed.push_mm:.2f}"),
            *(f"{value:.3f}" for value in (*bleed.centre_mm, *bleed.size_mm)),
        ]


def _quirk_rows(record: StudyRecord) -> Iterable[list[object]]:
    quirks = record.quirks
    of_study = {
        str(quirks.storage): quirks.storage is not None,
        "starts at the teeth": quirks.teeth,
        "half the step below": quirks.finer_below,
        "second study of a patient": quirks.patient_of is not None,
    }
    of_images: dict[str, tuple[PlannedImage | None, ...]] = {
        "two images at one position": record.tied_images,
        "other rows and columns": (record.odd_image,),
        "short PixelData": (record.short_image,),
        "nearly empty": (record.empty_image,),
    }
    for name, planted in of_study.items():
        if planted:
            yield [name, record.split, record.study_id, ""]
    for name, images in of_images.items():
        for image in images:
            if image is not None:
                yield [name, record.split, record.study_id, image.image_id]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
