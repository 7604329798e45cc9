"""A run's log file."""

import logging
import os
from pathlib import Path

import pytest

from tasks.status.log import run_log


def test_undecodable_file_name_is_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest sends captured log records between processes as UTF-8.
    monkeypatch.setattr(logging.getLogger("lsdc"), "propagate", False)
    path = tmp_path / "logs" / "demo.log"
    with run_log(path, None, earlier=[os.fsdecode(b"said of \xff")]):
        logging.getLogger("lsdc.test").warning("%s: not read", os.fsdecode(b"image-\xfe.dcm"))
    text = path.read_text(encoding="utf-8")
    assert "said of \\udcff" in text
    assert "image-\\udcfe.dcm: not read" in text
    assert "Traceback" not in capfd.readouterr().err
