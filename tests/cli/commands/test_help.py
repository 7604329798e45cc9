"""Help texts have every word and default of the declarations, with words in brackets."""

import itertools
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.register import FLOWS, NAME
from lsdc.cli.app import app
from tests.commands import load_command


def commands(*path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    command = load_command(*path)
    yield path, command
    for name in getattr(command, "commands", {}):
        yield from commands(*path, name)


ALL = dict(commands())


def squeezed(text: str) -> str:
    """Return the text without white space, as lines break anywhere."""
    return re.sub(r"\s+", "", text)


def shown(path: tuple[str, ...], flag: str = "--help", columns: int = 80) -> str:
    result = CliRunner().invoke(app, [*path, flag], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_has_every_word_and_default(path: tuple[str, ...]) -> None:
    command = ALL[path]
    for columns in (60, 80, 200):
        printed = squeezed(shown(path, columns=columns))
        assert squeezed(command.help) in printed
        for parameter in command.params:
            assert squeezed(parameter.help or "") in printed, parameter.name
            if isinstance(parameter.show_default, str):
                assert f"[default:({squeezed(parameter.show_default)})" in printed
            elif parameter.default not in (None, False, ()) and not parameter.required:
                assert "[default:" in printed
    assert shown(path, "-h") == shown(path)


def test_every_parameter_of_every_command_is_described() -> None:
    bare = [
        (*path, parameter.name)
        for path, command in ALL.items()
        for parameter in command.params
        if not parameter.help
    ]
    assert not bare


def test_default_in_brackets_is_shown_as_written() -> None:
    printed = squeezed(shown(("trigger",)))
    assert "CPUthreadsthattherunmayuse.[default:(onepercore)]" in printed
    assert "[default:(LSDC_HOME,else./lsdc-home)]" in printed


def test_run_local_and_trigger_show_the_same_defaults() -> None:
    local, sent = (
        {option.name: option for option in ALL[name,].params} for name in ("run-local", "trigger")
    )
    shared = local.keys() & sent.keys()
    assert {"experiment", "folds", "holdout", "device", "strict"} <= shared
    for name in shared:
        defaults = {(each[name].default, each[name].show_default) for each in (local, sent)}
        assert len(defaults) == 1, name
    assert "Numberofcross-validationfolds.[default:4]" in squeezed(shown(("trigger",)))


def test_trigger_help_lists_every_deployment() -> None:
    printed = squeezed(shown(("trigger",)))
    for flow in itertools.chain(*FLOWS.values()):
        assert f"{flow.name}/{NAME}" in printed


@pytest.mark.parametrize("command", ["up", "ui"])
def test_port_has_a_metavar(command: str) -> None:
    assert "--port PORT" in shown((command,))


def test_command_list_is_not_truncated() -> None:
    assert "..." not in shown(()).partition("Commands:")[2].partition("Exit codes:")[0]


@pytest.mark.parametrize("path", [path for path in ALL if path], ids=" ".join)
def test_help_of_every_command_ends_with_examples_that_it_accepts(path: tuple[str, ...]) -> None:
    command = ALL[path]
    if hasattr(command, "commands"):
        return
    examples = [line.strip() for line in (command.epilog or "").splitlines()[2:]]
    assert examples
    assert shown(path).splitlines()[-len(examples) :] == [f"    {line}" for line in examples]
    for example in examples:
        name, *arguments = shlex.split(example.partition(" > ")[0], comments=True)
        assert [name, *arguments[: len(path)]] == ["lsdc", *path]
        assert max(len(line) for line in shown(path).splitlines()) <= 80
        context = command.make_context(path[-1], arguments[len(path) :])  # parses, runs nothing
        assert not context.args


def test_unknown_option_suggests_only_similar_ones() -> None:
    for typed, suggested in [
        ("--nonsense", []),
        ("--seeed", ["--seed"]),
        ("--expriment", ["--experiment"]),
    ]:
        printed = CliRunner().invoke(app, ["run-local", typed]).output
        assert f"No such option: {typed}" in printed
        found = re.findall(r"--[a-z-]+", printed.partition(typed)[2])
        assert found == suggested


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version_is_one_line(flag: str) -> None:
    assert re.fullmatch(r"lsdc \d+\.\d+\S*\n", shown((), flag))
