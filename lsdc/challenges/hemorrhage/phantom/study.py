"""One phantom study: planned without painting, then written as DICOM files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.phantom.bleeds import deal_subtypes, draw_bleeds
from lsdc.challenges.hemorrhage.phantom.dicom_files import write_image
from lsdc.challenges.hemorrhage.phantom.image import Scene
from lsdc.challenges.hemorrhage.phantom.patient import draw_patient
from lsdc.challenges.hemorrhage.phantom.quirks import Quirks, quirks_of
from lsdc.challenges.hemorrhage.phantom.record import (
    PlannedImage,
    Split,
    StudyRecord,
    plan_images,
)
from lsdc.challenges.hemorrhage.phantom.stack import draw_pose_and_stack
from lsdc.challenges.hemorrhage.phantom.storage import (
    CODINGS,
    HounsfieldImage,
    Storage,
    acquire,
    framed,
    stored_numbers,
)
from lsdc.challenges.hemorrhage.phantom.tissues import AIR
from lsdc.challenges.hemorrhage.phantom.visibility import Finding, find
from lsdc.challenges.hemorrhage.vocabulary import Label
from lsdc.phantom import Pieces

MASKS, FINDINGS = "answers/masks", "findings"
_PURPOSES = ("plan", "images", "patient", "deal", "ids")
_TIES = 8
_MOVED_MM = np.array([1.6, 0.8, 0.0])  # a patient between two images of one place
_WINDOWS = {
    True: (("30", "80"), ("40", "80"), ("50", "100")),
    False: (("36", "80"), ("40", "80"), ("40", "150")),
}
_NOISE_HU = (2.2, 4.2)


@dataclass(frozen=True)
class Order:
    """The parameters of a phantom; the same parameters always give the same bytes.

    Attributes:
        studies: the number of training studies; from ten on, every oddity of real data is present.
        test: the number of test studies.
        seed: the seed of all random draws.
        size: rows and columns of an image, in pixels.
        fewest_slices, most_slices: bounds of a study's number of slices. All studies cover the
            brain, so fewer slices are thicker ones.
        quirks: whether to plant the oddities of real data.
    """

    studies: int
    test: int
    seed: int
    size: int = 128
    fewest_slices: int = 20
    most_slices: int = 28
    quirks: bool = True

    @property
    def total(self) -> int:
        """The number of training and test studies together."""
        return self.studies + self.test


def plan_studies(order: Order) -> list[StudyRecord]:
    """Plan all studies of a phantom, training ones first; fast, since no image is painted."""
    dealing = _chance(order, 0, "deal")
    dealt = deal_subtypes(order.studies, dealing) + deal_subtypes(order.test, dealing)
    largest = order.most_slices + _TIES
    ids = _chance(order, 0, "ids")
    studies, series = (_draw_ids(order.total, 10, ids) for _ in range(2))
    patients, images = _draw_ids(order.total, 8, ids), _draw_ids(order.total * largest, 9, ids)
    return [
        _plan_study(
            order,
            number,
            dealt[number],
            (studies[number], series[number], patients),
            images[number * largest : (number + 1) * largest],
        )
        for number in range(order.total)
    ]


def write_study(root: Path, order: Order, number: int, record: StudyRecord) -> None:
    """Paint and write all images of the number-th study, its masks and its findings."""
    folder = root / f"stage_2_{record.split}_images"
    masks, measures = {}, []
    for image, hu, finding in _scan(order, number, record):
        write_image(folder, record, image, stored_numbers(hu, record.storage))
        measures.append(finding.measures)
        if finding.masks.any():
            masks[image.image_id] = finding.masks
    if record.bleeds:
        path = root / MASKS / f"{record.study_id}.npz"
        np.savez_compressed(path, allow_pickle=False, **masks)
    np.save(root / FINDINGS / f"{number}.npy", np.array(measures))


STUDIES = Pieces(Order, plan_studies, write_study, "lsdc.challenges.hemorrhage.phantom.worker")


def planned_hu(order: Order, number: int) -> Iterator[tuple[str, HounsfieldImage]]:
    """Yield the number-th study's image ids, from the base upwards, with their true HU.

    These are the HU, with noise, that a reader of the files should find: (rows, columns), -3024
    where a 16-bit file has its padding. The short file's are those that it lacks, too.
    """
    for image, hu, _ in _scan(order, number, plan_studies(order)[number]):
        yield image.image_id, hu


def _scan(
    order: Order, number: int, record: StudyRecord
) -> Iterator[tuple[PlannedImage, HounsfieldImage, Finding]]:
    """Render and acquire a study's images."""
    rng = _chance(order, number, "images")
    scene = Scene(record.patient, record.bleeds, record.pose, record.stack)
    moved = Scene(
        record.patient,
        record.bleeds,
        replace(record.pose, middle_mm=record.pose.middle_mm + _MOVED_MM),
        record.stack,
    )
    for image in record.images:
        rendered = (moved if image.again else scene).render(image.place)
        if image is record.empty_image:
            rendered = replace(rendered, hu=np.full_like(rendered.hu, AIR), cover={}, contrast={})
        finding = find(rendered, record.noise_hu, record.stack.spacing_mm**2)
        hu = acquire(rendered.hu, record.noise_hu, record.storage, rng)
        if hu.shape != image.shape:
            hu = framed(hu, image.shape, CODINGS[record.storage].outside_hu)
            finding = finding.framed(image.shape)
        yield image, hu, finding


def _plan_study(
    order: Order,
    number: int,
    subtypes: tuple[Label, ...],
    ids: tuple[str, str, list[str]],
    image_ids: list[str],
) -> StudyRecord:
    rng = _chance(order, number, "plan")
    split: Split = "train" if number < order.studies else "test"
    quirks = Quirks()
    if order.quirks:
        quirks = quirks_of(number if split == "train" else number - order.studies, split)
    owner = number if quirks.patient_of is None else quirks.patient_of
    patient = draw_patient(_chance(order, owner, "patient"))
    count = int(rng.integers(order.fewest_slices, order.most_slices + 1))
    pose, stack = draw_pose_and_stack(
        patient.scale,
        count,
        order.size,
        rng,
        teeth=quirks.teeth,
        finer_below=quirks.finer_below,
    )
    ties = min(_TIES, count // 3) if quirks.tied else 0
    storage = quirks.storage or (Storage.UNSIGNED if number % 2 else Storage.SIGNED)
    windows = _WINDOWS[storage is Storage.SIGNED]
    return StudyRecord(
        split=split,
        study_id=ids[0],
        series_id=ids[1],
        patient_id=ids[2][owner],
        patient=patient,
        bleeds=draw_bleeds(subtypes, rng),
        pose=pose,
        stack=stack,
        storage=storage,
        implicit_vr=storage is not Storage.SIGNED and number % 4 == 1,
        window=windows[rng.integers(len(windows))],
        noise_hu=float(rng.uniform(*_NOISE_HU)),
        quirks=quirks,
        images=plan_images(image_ids, count, ties, quirks.odd_size, order.size),
    )


def _draw_ids(count: int, digits: int, rng: np.random.Generator) -> list[str]:
    drawn: NDArray[Any] = rng.choice(16**digits, size=count, replace=False)
    return [f"ID_{value:0{digits}x}" for value in drawn.tolist()]


def _chance(order: Order, number: int, purpose: str) -> np.random.Generator:
    """Return a random stream per study and purpose, independent of which process writes what."""
    return np.random.default_rng((order.seed, number, _PURPOSES.index(purpose)))
