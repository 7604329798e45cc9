"""Shifted slices are found, and other slices get no shift."""

import numpy as np
import pytest

from lsdc.geometry.shifts import JUMP_MM, stack_shifts

SPACING = (0.8, 1.2)  # rows, columns


def body(shifts_mm: np.ndarray, *, drift_mm: float = 0.0, seed: int = 0) -> list[np.ndarray]:
    """Return slices with discs that slowly change in brightness, drift, and shift by (x, y)."""
    rng = np.random.default_rng(seed)
    y_mm, x_mm = np.mgrid[:120, :90] * np.array(SPACING)[:, None, None]
    blobs = [(*rng.uniform(15, 85, 2), rng.uniform(4, 9), rng.uniform(0, 9)) for _ in range(25)]
    slices = []
    for number, (dx, dy) in enumerate(shifts_mm):
        image = np.zeros(y_mm.shape)
        for x, y, width, phase in blobs:
            away = (x_mm - x - dx - drift_mm * number) ** 2 + (y_mm - y - dy) ** 2
            image += (1.5 + np.sin(phase + 0.15 * number)) / (1 + np.exp(2 * (away**0.5 - width)))
        slices.append((1000 * image + rng.normal(0, 20, image.shape)).astype(np.float32))
    return slices


def planted(kind: str) -> np.ndarray:
    shifts = np.zeros((11, 2))
    if kind == "step":
        shifts[8:] = [5, -3]
    elif kind == "one slice":
        shifts[4] = [0, 6]
    elif kind == "interleaved":
        shifts[1::2] = [4, 0]
    elif kind == "first":
        shifts[0] = [-4, 4]
    return shifts


@pytest.mark.parametrize("drift_mm", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["still", "step", "one slice", "interleaved", "first"])
def test_planted_motion_is_found_and_drift_is_ignored(kind: str, drift_mm: float) -> None:
    shifts = planted(kind)
    found = stack_shifts(body(shifts, drift_mm=drift_mm), np.arange(11) * 4.0, SPACING)
    if kind == "interleaved":  # neither half is the larger one
        found = found - found[0]
    np.testing.assert_allclose(found, shifts, atol=0.7)


def test_shifts_too_small_to_be_motion_are_ignored() -> None:
    shifts = np.zeros((9, 2))
    shifts[4:] = [JUMP_MM / 2, 0]
    assert not stack_shifts(body(shifts), np.arange(9) * 4.0, SPACING).any()


def test_distant_slices_and_noise_give_no_shift() -> None:
    shifts = np.zeros((6, 2))
    shifts[3:] = [8, 0]
    gap = [0.0, 4, 8, 40, 44, 48]
    assert not stack_shifts(body(shifts), gap, SPACING).any()
    noise = list(np.random.default_rng(0).random((6, 200, 200)).astype(np.float32))
    assert not stack_shifts(noise, np.arange(6) * 4.0, SPACING).any()


def test_stack_of_two_slices_has_no_shift() -> None:
    assert not stack_shifts(body(planted("first")[:2]), [0.0, 4.0], SPACING).any()
