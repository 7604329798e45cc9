"""A command group that imports a command only when it is called, so that `lsdc` starts quickly."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

_ROOM = "lsdc.cli.commands"


class LazyGroup(TyperGroup):
    """A group whose commands are known by name and summary until one of them is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the called command; its function has the name of its module."""
        name, named, rest = super().resolve_command(ctx, args)
        if name is None or named is None:
            return name, named, rest
        module = name.replace("-", "_")
        called = getattr(import_module(f"{_ROOM}.{module}"), module)
        loaded = typer.Typer(rich_markup_mode=self.rich_markup_mode)
        loaded.callback()(_nothing)
        if isinstance(called, typer.Typer):  # a group of commands
            loaded.add_typer(called, name=name)
        else:
            loaded.command(name, short_help=named.short_help, epilog=named.epilog)(called)
        return name, typer.main.get_group(loaded).commands[name], rest


def announce(app: typer.Typer, name: str, summary: str, examples: list[str]) -> None:
    """Register a command of the room `commands` that is not imported yet.

    Args:
        app: an app whose class is `LazyGroup`.
        name: the command's name; `-` stands for `_` in its module's.
        summary: a summary short enough for the command list.
        examples: usage examples for the end of its help.
    """
    # A line with only a backspace makes click keep the line breaks of its paragraph.
    epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)])

    app.command(name, short_help=summary, epilog=epilog)(_nothing)


def _nothing() -> None:
    """Stand for a command that is not imported."""
