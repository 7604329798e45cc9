"""`lsdc demo-data`: write a synthetic competition."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lsdc.challenges.registry import CHALLENGES, challenge_named
from lsdc.cli.completion import complete_challenges
from lsdc.cli.options import Quiet, options_of
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError
from lsdc.messages import counted

_OPTIONS = {each.name: each.demo_data.model_fields for each in CHALLENGES}


def _shared_text(option: str) -> str:
    """Return the help of an option, with the challenges that have it if not all do."""
    having = [name for name, fields in _OPTIONS.items() if option in fields]
    texts = list(dict.fromkeys(str(_OPTIONS[name][option].description) for name in having))
    if len(having) == len(_OPTIONS) and len(texts) == 1:
        return texts[0]
    if len(texts) == 1:
        return f"{texts[0]} Only for {' and '.join(having)}."
    return " ".join(f"{name}: {_OPTIONS[name][option].description}" for name in having)


def _shared_default(option: str) -> str:
    """Return the default of an option as the help shows it, by challenge if they differ."""
    having = {name: fields for name, fields in _OPTIONS.items() if option in fields}
    defaults = {name: fields[option].default for name, fields in having.items()}
    if len(set(defaults.values())) == 1:
        return str(next(iter(defaults.values())))
    return ", ".join(f"{name}: {default}" for name, default in defaults.items())


_FIELDS = {option: field for fields in _OPTIONS.values() for option, field in fields.items()}


@options_of(
    _FIELDS,
    texts={option: _shared_text(option) for option in _FIELDS},
    defaults={option: _shared_default(option) for option in _FIELDS},
)
def demo_data(
    options: dict[str, Any],
    *,
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    challenge: Annotated[
        str,
        typer.Option(
            help=f"Challenge to imitate: {' or '.join(_OPTIONS)}.",
            autocompletion=complete_challenges,
        ),
    ] = CHALLENGES[0].name,
    quiet: Quiet = False,
) -> None:
    """Write a phantom: a synthetic competition whose answers are known."""
    imitated = challenge_named(challenge)
    known = imitated.demo_data.model_fields
    for option in options:
        if option not in known:
            there = ", ".join(_flag(each) for each in known)
            raise SettingsError(
                f"{_flag(option)}: the phantom of {challenge} has no such option, expected one of "
                f"{there}"
            )
    try:
        order = imitated.demo_data(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise SettingsError(f"{_flag(name)} {first['input']}: {first['msg']}") from None
    console = open_console(stderr=True)
    with Progress(
        TextColumn("writing studies"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    ) as progress:
        bar = progress.add_task("writing studies", total=None)

        def on_progress(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        studies, test = imitated.write_demo_data(out, order, on_progress)
    typer.echo(
        f"{out}: {counted(studies, 'training study')} and {counted(test, 'test study')}; the "
        "correct answers are in answers/"
    )


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
