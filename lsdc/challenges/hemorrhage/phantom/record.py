"""What is planned of one study, before anything is painted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lsdc.challenges.hemorrhage.phantom.bleeds import Bleed
from lsdc.challenges.hemorrhage.phantom.patient import Patient
from lsdc.challenges.hemorrhage.phantom.quirks import Quirks
from lsdc.challenges.hemorrhage.phantom.stack import Pose, Stack
from lsdc.challenges.hemorrhage.phantom.storage import Storage, frame_offset

Split = Literal["train", "test"]
_ODD_ROWS, _ODD_COLUMNS = 638 / 512, 490 / 512


@dataclass(frozen=True)
class PlannedImage:
    """One image of a study.

    Attributes:
        image_id: its id, and its file's name.
        place: its slice of the stack.
        again: whether it is a second image at its place.
        shape: rows, columns.
    """

    image_id: str
    place: int
    again: bool
    shape: tuple[int, int]


@dataclass(frozen=True)
class StudyRecord:
    """One study: ids, patient, bleeds, geometry, and how it is stored."""

    split: Split
    study_id: str
    series_id: str
    patient_id: str
    patient: Patient
    bleeds: tuple[Bleed, ...]
    pose: Pose
    stack: Stack
    storage: Storage
    implicit_vr: bool
    window: tuple[str, str]  # centre and width, as written
    noise_hu: float  # standard deviation
    quirks: Quirks
    images: tuple[PlannedImage, ...]  # from the base upwards

    def position_mm(self, image: PlannedImage) -> NDArray[np.float64]:
        """Return (3,) LPS of an image's first pixel (ImagePositionPatient)."""
        down, right = (frame_offset(self.stack.size_px, count) for count in image.shape)
        directions = right * self.stack.row_direction + down * self.stack.column_direction
        return np.asarray(self.stack.position_mm(image.place) + self.stack.spacing_mm * directions)

    @property
    def odd_image(self) -> PlannedImage | None:
        """The image of an odd size, if any."""
        size = self.stack.size_px
        return next((image for image in self.images if image.shape != (size, size)), None)

    @property
    def short_image(self) -> PlannedImage | None:
        """The image with too little PixelData, if any: the highest, above the brain."""
        return self.images[-1] if self.quirks.short else None

    @property
    def empty_image(self) -> PlannedImage | None:
        """The image that shows only air, if any: the highest."""
        return self.images[-1] if self.quirks.empty else None

    @property
    def tied_images(self) -> tuple[PlannedImage, ...]:
        """The images that share their place with another."""
        twice = {image.place for image in self.images if image.again}
        return tuple(image for image in self.images if image.place in twice)


def plan_images(
    image_ids: list[str], count: int, ties: int, odd: bool, size_px: int
) -> tuple[PlannedImage, ...]:
    """Plan the images of `count` slices, `ties` of which in the middle have two.

    With `odd`, one in the middle has other rows and columns.
    """
    first_tied = (count - ties) // 2
    square = (size_px, size_px)
    shape = (round(_ODD_ROWS * size_px), round(_ODD_COLUMNS * size_px))
    places = [
        (place, again)
        for place in range(count)
        for again in ((False, True) if first_tied <= place < first_tied + ties else (False,))
    ]
    return tuple(
        PlannedImage(image_id, place, again, shape if odd and place == count // 2 else square)
        for image_id, (place, again) in zip(image_ids[: len(places)], places, strict=True)
    )
