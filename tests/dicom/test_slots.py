"""Slots: an image in use is never overwritten."""

import gc
import mmap
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lsdc.dicom.image import Image
from lsdc.dicom.names import escape_name
from lsdc.dicom.reader import read_pixels
from lsdc.dicom.slots import NO_SLOT, SLOT_BYTES, Slots, image_in

TYPE = np.dtype("uint16")


def test_parent_sees_the_image_that_a_child_writes() -> None:
    slots = Slots()
    slot = slots.take()
    child = mmap.mmap(slots.file.fileno(), 0)
    image_in(child, slot, (3, 4), TYPE)[:] = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(slots.show(slot, (3, 4), TYPE), np.arange(12).reshape(3, 4))


def test_slot_is_free_again_when_its_last_view_is_deleted() -> None:
    slots = Slots()
    taken = []
    while (slot := slots.take()) != NO_SLOT:
        taken.append(slot)
    assert len(set(taken)) == len(taken) > 100
    image = slots.show(taken[0], (8, 8), TYPE)
    part = image[2:4, ::2].T
    del image
    gc.collect()
    assert slots.take() == NO_SLOT
    del part
    gc.collect()
    assert slots.take() == taken[0]


def test_images_that_do_not_fit_a_slot_are_detected() -> None:
    slots = Slots()
    side = int((SLOT_BYTES / TYPE.itemsize) ** 0.5)
    assert slots.fits(0, (side, side), TYPE)
    assert not slots.fits(0, (side + 1, side + 1), TYPE)
    assert not slots.fits(0, (0, 5), TYPE)
    assert not slots.fits(NO_SLOT, (5, 5), TYPE)
    assert not slots.fits(10**6, (5, 5), TYPE)


def test_kept_images_never_change(write_dicom: Callable[..., Path]) -> None:
    paths = [write_dicom(f"{n}.dcm", np.full((40, 30), n, dtype=np.uint16)) for n in range(200)]
    images = dict(read_pixels([escape_name(path) for path in paths]))  # more than there are slots
    for n, image in images.items():
        assert isinstance(image, Image)
        assert image.stored.shape == (40, 30)
        assert (image.stored == n).all()


def test_image_larger_than_a_slot_is_sent_through_the_pipe(
    write_dicom: Callable[..., Path],
) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (1100, 1000), dtype=np.uint16)
    assert pixels.nbytes > SLOT_BYTES
    (image,) = (image for _, image in read_pixels([escape_name(write_dicom("large.dcm", pixels))]))
    assert isinstance(image, Image)
    np.testing.assert_array_equal(image.stored, pixels)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is a file of TMPDIR elsewhere")
def test_no_temporary_file_is_written(
    write_dicom: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a full disk, SIGBUS ends a process that writes to a mapped file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    names = [escape_name(write_dicom("a.dcm", np.full((4, 3), 7, dtype=np.uint16)))]
    ((_, image),) = read_pixels(names)
    assert isinstance(image, Image)
