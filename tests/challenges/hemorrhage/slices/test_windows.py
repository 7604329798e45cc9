import numpy as np
import pytest
from pydantic import ValidationError

from lsdc.challenges.hemorrhage.config.slices import SlicesConfig
from lsdc.challenges.hemorrhage.slices.windows import (
    Window,
    show,
    show_unstretched,
    windows_of,
)
from lsdc.dicom.image import Image

EVERY = Image(np.arange(0, 5120, dtype=np.uint16).reshape(64, 80), 1.0, -1024.0)


def slice_of(*hu: int) -> Image:
    return Image(np.array([hu], np.int16), 1.0, 0.0)


def grey(image: Image, window: Window) -> list[int]:
    (levels,) = show(image.stored, image, window).tolist()
    return levels


@pytest.mark.parametrize(
    ("centre", "width", "black", "white"),
    [
        (40, 80, 0, 80),
        (80, 200, -20, 180),
        (200, 450, -25, 425),
        (50, 175, -37.5, 137.5),
        (500, 3000, -1000, 2000),
        (40, 380, -150, 230),
        (600, 2800, -800, 2000),
    ],
)
def test_grey_levels_are_shares_of_the_window(
    centre: float, width: float, black: float, white: float
) -> None:
    window = Window.around(centre, width)
    assert window == (black, white)
    exact = np.clip((EVERY.rescaled() - black) / (white - black), 0, 1) * 255
    for values in (EVERY.stored, EVERY.stored.astype(np.float32)):
        assert np.abs(show(values, EVERY, window) - exact).max() <= 0.5001


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [
        (np.int16, 1.0, -1024.0),
        (np.int16, 1.0, 60_000.0),  # black is no int16
        (np.int16, -1.0, 5.0),
        (np.uint16, 0.0625, -1024.0),
        (np.int32, 0.5, -1000.5),
    ],
)
def test_windows_are_the_same_for_every_kind_of_values(
    dtype: type, slope: float, intercept: float
) -> None:
    some = np.linspace(-2000, 5000, 700)
    limits = np.iinfo(dtype)
    stored = np.clip((some[None] - intercept) / slope, limits.min, limits.max).astype(dtype)
    image = Image(stored, slope, intercept)
    hu = stored * slope + intercept
    for black, white in ((0, 80), (-37.5, 137.5), (-1000, 2000)):
        exact = np.clip((hu - black) / (white - black), 0, 1) * 255
        assert np.abs(show(stored, image, Window(black, white)) - exact).max() <= 0.51


def test_a_slice_stretched_by_itself_reaches_black_and_white() -> None:
    image = slice_of(-500, 10, 30, 50)
    assert Window(0, 80).stretched(image) == (0, 50)
    assert grey(image, Window(0, 50)) == [0, 51, 153, 255]
    assert Window(20, 40).stretched(image) == (20, 40)
    assert Window(-900, 40).stretched(image) == (-500, 40)
    for beside in (Window(100, 200), Window(-900, -600)):
        assert grey(image, beside.stretched(image)) == [0, 0, 0, 0]


def test_without_stretching_a_grey_level_is_one_hu() -> None:
    image = Image(np.array([[24, 1019, 1024, 1057, 1104, 1105, 4024]], np.uint16), 1.0, -1024.0)
    for window, expected in (
        (Window(0, 80), [0, 0, 0, 33, 80, 80, 80]),
        (Window(-200, 400), [0, 0, 0, 33, 80, 81, 255]),
        (Window(50, 90), [50, 50, 50, 50, 80, 81, 90]),
    ):
        assert show_unstretched(image.stored, image, window).tolist() == [expected]


def test_windows_are_fixed_or_the_first_of_the_header() -> None:
    fixed = SlicesConfig(windows=((40, 80), (50, 175), (600, 2800), (40, 380)))
    assert [window.black for window in windows_of(fixed, [36.0], [80.0])] == [0, -37.5, -800, -150]
    assert fixed.channels == 4
    header = fixed.model_copy(update={"window": "header"})
    assert header.channels == 1
    assert windows_of(header, [36.0, 300.0], [80.0, 1500.0]) == [(-4, 76)]
    for centers, widths in ((None, None), ([], []), ([36.0], [0.0]), ([36.0], [None])):
        assert windows_of(header, centers, widths) == [(0, 80)]


@pytest.mark.parametrize("windows", [[], [[40, 0]], [[40, -80]], [[40]]])
def test_impossible_windows_are_refused(windows: list[list[float]]) -> None:
    with pytest.raises(ValidationError, match="windows"):
        SlicesConfig.model_validate({"windows": windows})
