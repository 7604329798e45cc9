"""The report and the page of layers in a browser: accessible, moved by the keyboard, offline."""

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from lsdc.challenges.ink.challenge import INK
from lsdc.challenges.ink.vocabulary import LAYERS
from tests.challenges.ink.made_run import write_run

pytestmark = pytest.mark.slow_training

NARROW = {"width": 380, "height": 800}
SURFACE = "document.getElementById('surface')"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a report of a run, one of two runs, and the pages of a fragment and of a test one."""
    root = tmp_path_factory.mktemp("home")
    write_run(root)
    home = write_run(root, "ink-demo@seed-1", seed=1)
    one, other = (INK.read_run(home, name) for name in ("ink-demo", "ink-demo@seed-1"))
    for name, sources in {"one": [one], "two": [one, other]}.items():
        INK.write_report(sources, root / f"{name}.html", images=12, say=print)
    for name in ("2", "a"):
        INK.inspect(home, "ink-demo", name, root / f"{name}.html")
    return {name: root / f"{name}.html" for name in ("one", "two", "2", "a")}


def shown(page: Page) -> str:
    """Return what the page shows as its layer, once it is drawn."""
    page.wait_for_function(f"{SURFACE}.complete && {SURFACE}.naturalWidth > 0")
    found: str = page.evaluate(f"{SURFACE}.src")
    return found


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize("name", ["one", "two", "2", "a"])
def test_page_is_accessible_and_does_not_scroll_sideways(
    opened: Callable[..., Page], pages: dict[str, Path], name: str
) -> None:
    page = opened(pages[name])
    for details in page.query_selector_all("details"):
        details.evaluate("each => each.open = true")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    for size in (page.viewport_size, NARROW):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("name", ["one", "2"])
def test_every_picture_has_a_text_of_its_own(
    opened: Callable[..., Page], pages: dict[str, Path], name: str
) -> None:
    page = opened(pages[name])
    texts = page.eval_on_selector_all("img", "all => all.map(each => each.alt)")
    assert len(texts) > 3
    assert all(texts)
    assert len({*texts}) == len(texts)


def test_the_slider_moves_the_layer_and_its_text(
    opened: Callable[..., Page], pages: dict[str, Path]
) -> None:
    page = opened(pages["2"])
    slider = page.get_by_label("Layer", exact=True)
    first, number = shown(page), int(slider.input_value())
    slider.focus()
    press(page, "ArrowRight")
    assert shown(page) != first
    text = page.get_attribute("#surface", "alt") or ""
    assert f"layer {number + 1}" in text.lower()
    assert page.inner_text("#number") == str(number + 1)
    press(page, "ArrowLeft")
    assert shown(page) == first
    press(page, "Home")
    lowest = shown(page)
    press(page, "End")
    assert len({first, lowest, shown(page)}) == 3
    assert slider.input_value() == str(LAYERS - 1)


def test_keys_move_the_layer_from_anywhere_on_the_page_and_stop_at_the_ends(
    opened: Callable[..., Page], pages: dict[str, Path]
) -> None:
    page = opened(pages["2"])
    slider = page.get_by_label("Layer", exact=True)
    number = int(slider.input_value())
    first = shown(page)
    press(page, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert slider.input_value() == str(number + 1)
    assert shown(page) != first
    press(page, *["ArrowLeft"] * (number + 3))
    assert slider.input_value() == "0"


def test_overlays_are_switched_and_faded_by_the_keyboard(
    opened: Callable[..., Page], pages: dict[str, Path]
) -> None:
    page = opened(pages["2"])
    box = page.get_by_label("Mask", exact=True)
    box.focus()
    assert not page.is_visible("#over-mask")
    press(page, "Space")
    assert page.is_visible("#over-mask")
    assert page.eval_on_selector("#over-mask", "each => each.naturalWidth") > 0
    opacity = "each => Number(getComputedStyle(each).opacity)"
    before = page.eval_on_selector("#over-mask", opacity)
    page.get_by_label("Opacity", exact=True).focus()
    press(page, "ArrowRight")
    assert page.eval_on_selector("#over-mask", opacity) > before
    box.focus()
    press(page, "Space")
    assert not page.is_visible("#over-mask")


def test_overlays_lie_exactly_over_the_layer(
    opened: Callable[..., Page], pages: dict[str, Path]
) -> None:
    page = opened(pages["2"])
    page.get_by_label("Label", exact=True).check()
    boxes = [page.locator(name).bounding_box() for name in ("#surface", "#over-label")]
    assert boxes[0] == boxes[1]
    assert boxes[0] is not None
