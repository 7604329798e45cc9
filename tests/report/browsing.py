"""A browser for pages: Chromium, wide or narrow, light or dark, that tolerates no message."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
LOOKS = ("wide light", "wide dark", "phone light", "phone dark")
_OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
_SIZES = {"wide": {"width": 1400, "height": 900}, "phone": {"width": 390, "height": 844}}


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Yield the browser; skip the test without it."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed, so no page can be opened")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        yield player.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)


@contextmanager
def opening(browser: "Browser", look: str) -> "Iterator[Callable[..., Page]]":
    """Yield a function that opens a file; afterwards nothing was printed or requested."""
    size, scheme = look.split()
    # The test's own code needs the policy off; the page's policy is tested by its requests.
    context = browser.new_context(
        viewport=_SIZES[size],  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,
    )
    page = context.new_page()
    said, asked = list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    def open_file(path: Path, anchor: str = "") -> "Page":
        page.goto(f"{path.as_uri()}{anchor}")
        return page

    yield open_file
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()
