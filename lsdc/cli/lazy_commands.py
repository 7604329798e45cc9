"""A command group that imports a command only when it is called, so that `lsdc` starts quickly."""

import difflib
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_ROOM = "lsdc.cli.commands"


class Command(TyperCommand):
    """A command that suggests only similar options in place of an unknown one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; click also compares the dashes, which all options share."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if names := getattr(error, "possibilities", None):
                typed = str(getattr(error, "option_name", "")).lstrip("-")
                bare = {name.lstrip("-"): name for name in names}
                close = difflib.get_close_matches(typed, bare)
                error.possibilities = [bare[name] for name in close]  # type: ignore[attr-defined]
            raise


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
            loaded.command(name, cls=Command, short_help=named.short_help, epilog=named.epilog)(
                called
            )
        return name, typer.main.get_group(loaded).commands[name], rest


def announce(app: typer.Typer, name: str, summary: str, examples: Sequence[str]) -> None:
    """Register a command of the room `commands` that is not imported yet.

    Args:
        app: an app whose class is `LazyGroup`.
        name: the command's name; `-` stands for `_` in its module's.
        summary: a summary short enough for the command list.
        examples: usage examples for the end of its help.
    """
    app.command(name, short_help=summary, epilog=as_epilog(examples))(_nothing)


def as_epilog(examples: Sequence[str]) -> str:
    """Return usage examples as the end of a command's help."""
    # A line with only a backspace makes click keep the line breaks of its paragraph.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)])


def _nothing() -> None:
    """Stand for a command that is not imported."""
