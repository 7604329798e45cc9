"""The command line starts quickly: it imports only what a command needs."""

import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that are imported after running `code`."""
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_import_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "from typer.testing import CliRunner\nfrom lsdc.cli.app import app\n"
        f"assert CliRunner().invoke(app, {arguments}).exit_code == 0"
    )
    assert not modules_after(code) & {"prefect", "polars", "duckdb", "torch", "numpy"}


def test_run_local_starts_the_server_before_it_imports_heavy_libraries() -> None:
    heavy = {"prefect", "torch", "sklearn", "polars", "duckdb", "numpy", "sqlalchemy", "fsspec"}
    assert not modules_after("import lsdc.cli.commands.run_local") & heavy
