"""What all commands have in common: --json, --quiet, exit codes."""

import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

import lsdc.cli.app
from lsdc.cli.app import app, main
from lsdc.errors import LsdcError
from tests.commands import load_command

ROOT = Path(__file__).parents[2]
NAMES = list(load_command().commands)


def leaves(name: str) -> list[Any]:
    """Return a command, or those of a group."""
    command = load_command(name)
    return list(getattr(command, "commands", {"": command}).values())


def source(name: str) -> str:
    return inspect.getsource(import_module(f"lsdc.cli.commands.{name.replace('-', '_')}"))


def flags(command: Any) -> set[str]:
    return {*itertools.chain(*(parameter.opts for parameter in command.params))}


@pytest.mark.parametrize("name", NAMES)
def test_command_that_prints_a_table_prints_json_too(name: str) -> None:
    if re.search(r"FittedTable|_table\(|print_overview|show_file_of_scores", source(name)):
        assert all("--json" in flags(each) for each in leaves(name))


@pytest.mark.parametrize("name", NAMES)
def test_command_that_prints_progress_can_be_quiet(name: str) -> None:
    if re.search(r"\bDisplay\(|\bProgress\(|indexing\(", source(name)):
        assert all({"-q", "--quiet"} <= flags(each) for each in leaves(name))


def errors(kind: type[LsdcError] = LsdcError) -> Iterator[type[LsdcError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from errors(each)


KINDS = [each for each in errors() if each.__module__ == "lsdc.errors"]
PAGE = (ROOT / "docs/reference/terminal.md").read_text()
DOCUMENTED = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_of_error_ends_the_command_with_its_documented_code(
    kind: type[LsdcError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> NoReturn:
        raise kind("what, where, what to do")

    monkeypatch.setattr(lsdc.cli.app, "app", fail)
    monkeypatch.setattr(lsdc.cli.app, "prepare_streams", lambda: None)
    monkeypatch.setattr(lsdc.cli.app.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == kind.exit_code
    assert kind.exit_code in DOCUMENTED
    assert capsys.readouterr().err == "lsdc: what, where, what to do\n"


def test_documented_exit_codes_are_those_that_are_used() -> None:
    assert {0} | {kind.exit_code for kind in KINDS} == DOCUMENTED
    assert CliRunner().invoke(app, ["--version"]).exit_code == 0
    assert CliRunner().invoke(app, ["run-local", "--nonsense"]).exit_code == 2
    help_text = CliRunner().invoke(app, ["--help"]).output
    named = help_text.partition("Exit codes:")[2]
    assert {int(code) for code in re.findall(r"\b\d+\b", named)} == DOCUMENTED
    assert "docs/reference/terminal.md" in named


def test_interrupt_outside_a_run_has_the_code_of_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["lsdc", "experiments", "list"])
    monkeypatch.setattr(lsdc.cli.app, "prepare_streams", lambda: None)
    monkeypatch.setattr("lsdc.cli.commands.experiments.find_home", lambda _: interrupted())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
