import numpy as np
import pytest

from lsdc.challenges.hemorrhage.slices.squares import background_box, fit_square


@pytest.mark.parametrize(
    ("shape", "size"),
    [((512, 512), 256), ((512, 512), 512), ((436, 436), 512), ((638, 490), 256), ((404, 430), 224)],
)
def test_a_slice_fills_the_middle_of_a_square(shape: tuple[int, int], size: int) -> None:
    square = fit_square(np.full(shape, 200, np.int16), size, beyond=-1024)
    rows, columns = (round(length * size / max(shape)) for length in shape)
    top, left = (size - rows) // 2, (size - columns) // 2
    expected = np.full((size, size), -1024)
    expected[top : top + rows, left : left + columns] = 200
    np.testing.assert_allclose(square, expected, atol=0.001)


def test_a_smaller_square_holds_means_of_areas() -> None:
    values = np.random.default_rng(0).integers(-2000, 3000, (96, 96), np.int16)
    for size in (48, 32):
        step = 96 // size
        means = values.reshape(size, step, size, step).mean(axis=(1, 3))
        np.testing.assert_allclose(fit_square(values, size, beyond=0), means, atol=0.001)
    assert abs(fit_square(values, 36, beyond=0).mean() - values.mean()) < 0.01


def test_a_disc_stays_round_and_in_the_middle() -> None:
    y, x = np.mgrid[:638, :490]
    disc = (np.hypot(y - 318.5, x - 244.5) < 150).astype(np.int16)
    rows, columns = np.nonzero(fit_square(disc, 256, beyond=0) > 0.5)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    assert abs(rows.mean() - 127.5) < 0.3
    assert abs(columns.mean() - 127.5) < 0.7  # the margins are whole pixels


def test_the_background_ends_where_no_channel_is_black() -> None:
    channels = np.zeros((2, 40, 50), np.uint8)
    channels[0, 5:30, 7:45] = 1
    channels[1, 3:25, 10:48] = 255
    assert background_box(list(channels)) == (slice(5, 24), slice(10, 44))  # the last ones are lost


def test_a_black_slice_stays_almost_whole() -> None:
    channels = np.zeros((1, 40, 50), np.uint8)
    assert background_box(list(channels)) == (slice(0, 39), slice(0, 49))
    channels[0, 20, 30] = 1
    assert background_box(list(channels)) == (slice(20, 21), slice(30, 31))
