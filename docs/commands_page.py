"""Write the reference of commands: `python -m docs.commands_page > docs/reference/commands.md`."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from lsdc.cli.app import app

_PAGE = """# Commands
This page has the help of every command, as `lsdc COMMAND --help` prints it.
[Files and runs](files.md) has the exit codes. This page is generated from the declarations of the
commands: `python -m docs.commands_page > docs/reference/commands.md`.
"""
_COLUMNS = 92


def commands_page() -> str:
    """Return the page in Markdown."""
    parts = [
        f"{'#' * max(2, 1 + len(path))} {' '.join(['lsdc', *path])}\n```text\n{text}\n```\n"
        for path, text in _helps(typer.main.get_group(app), "lsdc")
    ]
    return "\n".join([_PAGE, *parts])


def _helps(
    command: Any, name: str, parent: Any = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and the help of a command and of all below it."""
    context = command.make_context(
        *(name, [], parent),
        **{"resilient_parsing": True, "terminal_width": _COLUMNS, "max_content_width": _COLUMNS},
    )
    yield path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    for each in getattr(command, "list_commands", lambda _: [])(context):
        _, found, _ = command.resolve_command(context, [each])
        yield from _helps(found, each, context, (*path, each))


if __name__ == "__main__":
    sys.stdout.write(commands_page())
