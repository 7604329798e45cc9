"""The command line starts quickly: it imports only what a command needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lsdc.cli.commands


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


def test_commands_that_the_shell_completes_import_no_heavy_library() -> None:
    """The shell imports the module of a command at each press of Tab."""
    rooms = Path(lsdc.cli.commands.__file__).parent
    completed = [path.stem for path in rooms.glob("*.py") if "complete_" in path.read_text()]
    assert {"clean", "experiments", "inspect", "logs", "trigger"} <= {*completed}
    code = "\n".join(f"import lsdc.cli.commands.{name}" for name in completed)
    assert not modules_after(code) & {"prefect", "polars", "duckdb", "torch", "numpy", "sqlalchemy"}


def test_prefect_is_imported_to_read_the_users_settings_only_if_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    read = "from lsdc.cli.server.user_settings import read_user_settings\nread_user_settings()"
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    assert "prefect" not in modules_after(read)
    (tmp_path / "pyproject.toml").write_text("[tool.prefect.api]\nrequest_timeout = 50\n")
    assert "prefect" in modules_after(read)


def test_run_local_starts_the_server_before_it_imports_heavy_libraries() -> None:
    heavy = {"prefect", "torch", "sklearn", "polars", "duckdb", "numpy", "sqlalchemy", "fsspec"}
    assert not modules_after("import lsdc.cli.commands.run_local") & heavy


def test_flow_is_imported_without_duckdb() -> None:
    """Objects that exist before the flow begins are not freed, which duckdb would report."""
    assert "duckdb" not in modules_after("import flows.pipeline, lsdc.cli.render.run_summary")
