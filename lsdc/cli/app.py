"""`lsdc`: the front door. Commands live in modules of their own; here they meet."""

import errno
import signal
import sys

import typer
from rich.console import Console

from lsdc import __version__
from lsdc.cli.clean import clean
from lsdc.cli.demo_data import demo_data
from lsdc.cli.inspect import inspect
from lsdc.cli.run import run_local
from lsdc.cli.score import score
from lsdc.cli.ui import ui
from lsdc.errors import LsdcError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lumbar spine MR: from DICOM folders to a cross-validated, scored submission.",
)
app.command()(run_local)
app.command()(score)
app.command()(demo_data)
app.command()(inspect)
app.command()(ui)
app.command()(clean)

INTERRUPTED = 130


@app.callback(invoke_without_command=True)
def about(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Lumbar spine MR: from DICOM folders to a cross-validated, scored submission."""
    if version:
        typer.echo(f"lsdc {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; what a person can act on is one line and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended like an interrupt: in order
    try:
        app()
    except LsdcError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"lsdc: {error}", style="red", markup=False, highlight=False
        )
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        Console(stderr=True, soft_wrap=True).print(
            f"lsdc: no space left while writing {error.filename or 'to disk'}; make room "
            "('lsdc clean' says what may go) and run the same command again",
            style="red",
            markup=False,
            highlight=False,
        )
        sys.exit(LsdcError.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "lsdc: interrupted; the same command goes on where this one stopped", style="yellow"
        )
        sys.exit(INTERRUPTED)
