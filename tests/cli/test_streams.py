"""Printing never fails, whatever standard output is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINTS = "from lsdc.cli.streams import open_console, prepare_streams; prepare_streams(); "


def python(
    script: str, *, shell: str = "", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a script; `shell` is appended to its command."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"$0" -P -c "$1" {shell}', sys.executable, script],
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )


def printed_characters() -> str:
    """Return all characters beyond ASCII that the project may print."""
    rooms = ("lsdc/cli", "tasks", "flows", "lsdc/experiments", "lsdc/challenges", "lsdc/store")
    files = [file for room in rooms for file in (ROOT / room).rglob("*.*")]
    texts = [file.read_text("utf-8") for file in files if file.suffix in (".py", ".toml")]
    return "".join(sorted(set(re.findall(r"[^\x00-\x7f]", "".join(texts)))))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_characters_that_cannot_be_encoded_become_plain_ones(encoding: str) -> None:
    script = PRINTS + f"open_console().print({printed_characters() + 'é中'!r}); print('\\udcff')"
    said = python(script, PYTHONIOENCODING=encoding)
    assert (said.returncode, said.stderr) == (0, b"")
    text = said.stdout.decode(encoding)
    assert "\\xff" in text
    if encoding == "ascii":
        assert "?" not in text.replace("e?", "")  # 中 is the only one without a plain letter
        assert {"+", "x"} <= set(text)


@pytest.mark.parametrize(
    ("stream", "shell"), [("stdout", "| head -c 1"), ("stderr", "2>&1 >/dev/null | head -c 1")]
)
def test_closed_pipe_does_not_end_the_process(stream: str, shell: str, tmp_path: Path) -> None:
    end = tmp_path / "end"
    script = PRINTS + (
        f"import sys; [print('x' * 1000, file=sys.{stream}) for _ in range(1000)]; "
        "open_console().print('more'); open_console(stderr=True).print('done'); "
        f"open({str(end)!r}, 'w').close()"
    )
    said = python(script, shell=shell)
    assert said.stdout == b"x"
    assert said.stderr == (b"done\n" if stream == "stdout" else b"")
    assert end.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a disk always full")
@pytest.mark.parametrize("shell", [">/dev/full", "2>/dev/full", ">/dev/full 2>&1"])
def test_full_disk_of_a_log_does_not_end_the_process(shell: str, tmp_path: Path) -> None:
    end = tmp_path / "end"
    script = PRINTS + (
        "import sys; print('said'); print('said', file=sys.stderr); open_console().print('more'); "
        f"open({str(end)!r}, 'w').close()"
    )
    assert python(script, shell=shell).returncode == 0
    assert end.exists()


def test_closed_descriptor_is_not_reused_for_a_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    script = PRINTS + (
        f"file = open({str(kept)!r}, 'wb', buffering=0); print('said'); "
        "import os, sys; print('said', file=sys.stderr); os.write(1, b'x'); os.write(2, b'x'); "
        "file.write(b'kept'); sys.exit(7)"
    )
    said = python(script, shell=">&- 2>&- <&-")
    assert said.returncode == 7
    assert kept.read_bytes() == b"kept"


def test_output_to_a_pipe_has_no_width_limit() -> None:
    script = PRINTS + "open_console().print('x ' * 300)"
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    wide = subprocess.run(
        [sys.executable, "-P", "-c", script], env=environment, capture_output=True, check=True
    )
    assert wide.stdout.count(b"\n") == 1
    assert python(script, COLUMNS="100").stdout.count(b"\n") == 6


def test_output_is_literal_text_without_markup() -> None:
    said = python(PRINTS + "open_console().print('/data [v2]/:x:/[bold]a')")
    assert said.stdout == b"/data [v2]/:x:/[bold]a\n"


def test_main_prepares_the_streams() -> None:
    script = "from lsdc.cli.app import main; main()"
    said = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -P -c "{script}" experiments list | head -1', sys.executable],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert said.stdout.startswith(b"Weighted log loss")
    assert said.stderr == b""


@pytest.mark.parametrize(
    ("environment", "colored"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": ""}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_reach_a_pipe_only_if_forced_and_a_live_display_never(
    environment: dict[str, str], colored: bool
) -> None:
    script = PRINTS + (
        "from rich.progress import Progress\n"
        "console = open_console(); console.print('said', style='red'); print(console.is_terminal)\n"
        "with Progress(console=console) as bar: bar.add_task('x', total=1)"
    )
    said = python(script, **environment).stdout.decode()
    assert ("\x1b[31msaid" in said) == colored
    assert "False" in said
    assert "\x1b[2K" not in said
    assert "\x1b[?25l" not in said
