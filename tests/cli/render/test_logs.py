"""What stands in a run's log, whatever is said."""

import logging
import os
from pathlib import Path

import pytest

from lsdc.cli.render.logs import run_log


def test_name_that_is_no_text_is_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What pytest catches of a log goes from process to process as UTF-8.
    monkeypatch.setattr(logging.getLogger("lsdc"), "propagate", False)
    path = tmp_path / "logs" / "demo.log"
    with run_log(path, None, said=[os.fsdecode(b"said of \xff")]):
        logging.getLogger("lsdc.test").warning("%s: not read", os.fsdecode(b"image-\xfe.dcm"))
    text = path.read_text(encoding="utf-8")
    assert "said of \\udcff" in text
    assert "image-\\udcfe.dcm: not read" in text
    assert "Traceback" not in capfd.readouterr().err
