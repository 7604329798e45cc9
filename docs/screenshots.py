"""Take the pictures of docs/how-to/pools.md: `python -m docs.screenshots`, with Chromium.

A real installation trains three folds of a small phantom; fold 1 fails once, and Retry follows.
"""

import base64
import contextlib
import io
import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from websockets.sync.client import ClientConnection, connect

from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from tests.flows.conftest import ask
from tests.flows.pools import Installation, installed
from tests.flows.test_pools import PLANTED

HERE = Path(__file__).parent
SECONDS, SETTLING = 600, 8
FLAGS = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--enable-unsafe-swiftshader")
FOLDS = ("--folds", "3", "--set", "training.epochs=12", "--threads", "1")


class Browser:
    """A page of a headless Chromium, led through its debugging port."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.sent = 0

    def do(self, method: str, **parameters: Any) -> Any:
        """A command of the protocol, and what came of it."""
        self.sent += 1
        self.connection.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.connection.recv(timeout=SECONDS))
            if answer.get("id") == self.sent:
                return answer["result"]

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives on the page."""
        return self.do("Runtime.evaluate", expression=expression)["result"].get("value")

    def wait_for(self, text: str) -> None:
        """Return once the page shows a text."""
        deadline = time.monotonic() + SECONDS
        while text not in (shown := self.value("document.body.innerText") or ""):
            assert time.monotonic() < deadline, f"expected {text!r} on the page, found:\n{shown}"
            time.sleep(0.5)

    def picture(self, name: str, url: str, shows: str, *, tab: str = "", height: int = 900) -> None:
        """Save a page, with one of its tabs, a while after it has the text that it is to show."""
        size = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", **size)
        self.do("Page.navigate", url=url)
        self.wait_for(tab or shows)
        if tab:
            named = (
                f"[...document.querySelectorAll('*')].filter(e => e.innerText?.trim() == '{tab}')"
            )
            self.value(f"{named}.pop().click()")
            self.wait_for(shows)
        time.sleep(SETTLING)  # graphs draw themselves
        shot = base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"])
        image = Image.open(io.BytesIO(shot)).convert("RGB").quantize(64, dither=Image.Dither.NONE)
        image.save(HERE / "pictures" / f"{name}.png", optimize=True)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium, gone after the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["chromium", *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}"],
            stderr=subprocess.DEVNULL,
        )
        try:
            place = Path(profile) / "DevToolsActivePort"
            while not place.is_file() or "\n" not in place.read_text():
                assert process.poll() is None, "chromium ended"
                time.sleep(0.2)
            address = f"http://127.0.0.1:{place.read_text().split()[0]}/json/new"
            with urllib.request.urlopen(urllib.request.Request(address, method="PUT")) as opened:
                page = json.load(opened)["webSocketDebuggerUrl"]
            with connect(page, max_size=None) as connection:
                yield Browser(connection)
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """Take all pictures, in about ten minutes."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_phantom(root / "data", Order(studies=12, test=2, seed=3, max_size=96))
        (root / "site").mkdir()
        planted = f"planted_once = {str(root / 'planted')!r}\n{PLANTED}"
        (root / "site/sitecustomize.py").write_text(planted)
        with installed(root / "home", site=root / "site") as here, browser() as page:
            take(here, page, root / "data")


def take(here: Installation, page: Browser, data: Path) -> None:
    """Take the pictures of a run that fails once."""
    pages = here.api.removesuffix("/api")
    begun = here.trigger("train-folds/default", "--data", data, *FOLDS)
    run = begun.stdout.splitlines()[0]
    run_id = run.rpartition("/")[2]
    here.until((here.home / "runs/demo/fold-0/resume.pt").is_file)
    page.picture("pools-running", run, "train-fold-0-demo", tab="Subflow Runs")
    here.ended(run_id)
    page.picture("pools-failed", run, "train-fold-1-demo", tab="Subflow Runs")
    here.retry(run_id)
    here.ended(run_id)
    page.picture("pools-retried", run, "train-fold-1-demo", tab="Subflow Runs")
    latest = {
        each["key"]: each["latest_id"] for each in ask(here.api, "artifacts/latest/filter", {})
    }
    for picture, key in (("losses", "fold-0-losses"), ("oof", "oof"), ("confusions", "confusions")):
        artifact = f"{pages}/artifacts/artifact/{latest[f'demo-{key}']}"
        page.picture(f"pools-{picture}", artifact, "fold")


if __name__ == "__main__":
    main()
