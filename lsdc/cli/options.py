"""Options of commands: those that several share, and those made of the parameters of runs."""

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from lsdc.cli.completion import complete_changes, complete_experiments
from lsdc.cli.fractions import parse_fraction
from tasks.request import RunRequest, parameters_of, sent_names, unset_means

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="Print results, warnings and errors, but no progress."),
]
NoPretrained = Annotated[
    bool, typer.Option("--no-pretrained", help="Train without pretrained weights.")
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        help="Folder or S3 address (s3://BUCKET/PREFIX) through which hosts share results.",
        show_default="LSDC_STORE",
    ),
]

_COMPLETED = {"experiment": complete_experiments, "settings": complete_changes}


def home_option(text: str) -> Any:
    """Return the option --home with a help text."""
    return typer.Option("--home", help=text, show_default="LSDC_HOME, else ./lsdc-home")


def run_options(
    model: type[RunRequest],
    *,
    without: Collection[str] = (),
    help_texts: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each parameter of a run.

    The command is called with a dictionary of the typed values by parameter name, without defaults,
    and with its own options as keyword arguments.

    Args:
        model: the parameters' model; parameters that runs send to one another get no option.
        without: names of parameters that get no option.
        help_texts: texts that replace a parameter's description.
    """
    left_out = {*without, *sent_names(model)}
    fields = parameters_of(model, left_out)
    unset = {name: meaning for name, field in fields.items() if (meaning := unset_means(field))}
    return options_of(fields, texts=help_texts or {}, defaults=unset)


def options_of(
    fields: Mapping[str, FieldInfo], *, texts: Mapping[str, str], defaults: Mapping[str, str]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each declared field; see `run_options` for how it is called.

    Args:
        fields: the declarations by name.
        texts: help texts in place of a field's description.
        defaults: what the help shows as the default, in place of the value itself.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(command).parameters.values()
        options = [
            _option(name, field, texts.get(name, str(field.description)), defaults.get(name, ""))
            for name, field in fields.items()
        ]

        @wraps(command)
        def called(context: typer.Context, **given: Any) -> None:
            values = {name: given.pop(name) for name in fields}
            command({name: values[name] for name in values if _is_typed(context, name)}, **given)

        context = inspect.Parameter(
            "context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
        )
        parameters = (context, *options, *own)
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return decorate


def _is_typed(context: typer.Context, name: str) -> bool:
    """Return whether the value of an option was typed, and is not its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _option(name: str, field: FieldInfo, text: str, shown: str) -> inspect.Parameter:
    kind: Any = field.annotation
    default = field.default
    details: dict[str, Any] = {}
    if kind is float and _is_share(field):
        details = {"parser": parse_fraction, "metavar": "FRACTION"}
        default = f"{default:.0%}"
    elif kind == tuple[str, ...]:
        kind, default = list[str] | None, None
        details = {"metavar": "KEY=VALUE"}
        text, shown = f"{text} May be repeated.", ""
    flags = ["--set"] if name == "settings" else [f"--{name.replace('_', '-')}"]
    if kind is bool and default:
        flags = [f"{flags[0]}/--no-{flags[0].removeprefix('--')}"]
    details["autocompletion"] = _COMPLETED.get(name)
    option = typer.Option(*flags, help=text, show_default=shown or True, **details)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def _is_share(field: FieldInfo) -> bool:
    """Return whether a number is 1 at most, so that it may be typed as a percentage."""
    annotation: Any = Annotated[field.annotation, field]
    return bool(TypeAdapter(annotation).json_schema().get("maximum", math.inf) <= 1)
