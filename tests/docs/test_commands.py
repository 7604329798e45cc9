"""The commands of the README and of the documentation run as they are written.

They run page by page in one folder, with a small phantom in `rsna-2024` and a finished run of the
demo on it in `lsdc-home`. Blocks that the page marks with what they need are in
`test_pages.NOT_RUN` instead; of these, only the options are checked.
"""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
import psutil
import pytest

from tests.docs.blocks import BLOCKS, ROOT, Block

# A study of the demo's phantom, which has more studies than the phantom of the tests.
STUDY = "26575970"
SECONDS = 900
# Stands for `lsdc`: a run without data gets the small phantom. A server gets a free port, and goes
# on until the end of its block, as in a terminal of its own.
COMMAND = """#!{python} -P
import os, subprocess, sys, time
arguments = sys.argv[1:]
if arguments[0] in ("run-local", "trigger") and "--data" not in arguments:
    arguments += ["--data", os.path.abspath("rsna-2024")]
command = ["{python}", "-P", "-m", "lsdc", *arguments]
if arguments[0] not in ("up", "ui"):
    os.execv(command[0], command)
with open("server.log", "wb") as log:
    server = subprocess.Popen(
        [*command, "--port", os.environ["FREE_PORT"]], stdout=log, stderr=log, process_group=0
    )
with open("server.pid", "w") as file:
    file.write(str(server.pid))
while "http://" not in open("server.log").read():
    if server.poll() is not None:
        sys.exit(open("server.log").read())
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Terminal:
    """A folder with `rsna-2024` and `lsdc-home`, and a shell that finds `lsdc`."""

    folder: Path
    study: str

    def run(self, script: str) -> str:
        """Run a script of bash and return its output; an exit code other than 0 is an error."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LSDC_", "PREFECT_API", "PYTEST_XDIST"))
        }
        paths = (self.folder / "bin", Path(sys.executable).parent, environment["PATH"])
        environment["PATH"] = os.pathsep.join(map(str, paths))
        environment["PYTHONPATH"] = str(ROOT)
        environment["FREE_PORT"] = str(_free_port())
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace(STUDY, self.study)],
            cwd=self.folder,
            env=environment,
            input="n\n",  # the answer to `lsdc clean`
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        ended = self._end_server()
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}{ended}"
        return done.stdout

    def _end_server(self) -> str:
        """Press Ctrl-C in the terminal of the server, if there is one, and return its output."""
        noted = self.folder / "server.pid"
        if not noted.exists():
            return ""
        server = psutil.Process(int(noted.read_text()))
        noted.unlink()
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
        return (self.folder / "server.log").read_text(encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture(scope="session")
def terminal(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Prepare the folder, with the run that the pages speak of."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / "rsna-2024").symlink_to(phantom)
    command = folder / "bin" / "lsdc"
    command.parent.mkdir()
    command.write_text(COMMAND.format(python=sys.executable), encoding="utf-8")
    command.chmod(0o755)
    first = pl.read_csv(phantom / "train.csv")["study_id"][0]
    prepared = Terminal(folder, str(first))
    prepared.run("lsdc run-local --folds 4")
    return prepared


TO_RUN = [block for block in BLOCKS if not block.needs]


@pytest.mark.slow_docs
@pytest.mark.parametrize("block", [block for block in TO_RUN if block.script], ids=str)
def test_commands_of_a_block_succeed(terminal: Terminal, block: Block) -> None:
    presets = [each.text for each in BLOCKS if each.page == block.page and each.language == "toml"]
    (terminal.folder / "lsdc-presets.toml").write_text("\n".join(presets), encoding="utf-8")
    assert terminal.run(block.script) or not block.commands


@pytest.mark.slow_docs
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=str)
def test_preset_of_a_page_can_be_shown(terminal: Terminal, block: Block) -> None:
    (terminal.folder / "lsdc-presets.toml").write_text(block.text, encoding="utf-8")
    name = block.text[1 : block.text.index("]")]
    assert name in terminal.run(f"lsdc experiments show {name}")


@pytest.mark.slow_docs
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "sql"], ids=str)
def test_queries_of_a_page_can_be_asked(terminal: Terminal, block: Block) -> None:
    catalog = terminal.folder / "lsdc-home" / "catalog.duckdb"
    with duckdb.connect(str(catalog), read_only=True) as connection:
        for query in filter(str.strip, block.text.split(";")):
            assert connection.execute(query).description
