"""The commands of `lsdc`, imported as by a call of the command."""

from typing import Any

import typer

from lsdc.cli.app import app


def load_command(*path: str) -> Any:
    """Return a command with its options; without a path, `lsdc` itself."""
    command: Any = typer.main.get_group(app)
    for name in path:
        context = command.make_context("lsdc", [], resilient_parsing=True)
        _, command, _ = command.resolve_command(context, [name])
    return command
