"""`lsdc`: the front door. Commands live in modules of their own; here they meet."""

import signal
import sys

import typer

from lsdc import __version__
from lsdc.cli.clean import clean
from lsdc.cli.demo_data import demo_data
from lsdc.cli.doctor import doctor
from lsdc.cli.experiments import experiments
from lsdc.cli.index import index
from lsdc.cli.inspect import inspect
from lsdc.cli.run import run_local
from lsdc.cli.score import score
from lsdc.cli.streams import open_console, prepare_streams
from lsdc.cli.trigger import trigger
from lsdc.cli.ui import ui
from lsdc.cli.up import up
from lsdc.cli.worker import worker
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
app.command()(index)
app.command()(doctor)
app.command()(inspect)
app.command()(ui)
app.command()(up)
app.command()(worker)
app.command()(trigger)
app.command()(clean)
app.add_typer(experiments, name="experiments")


@app.callback(invoke_without_command=True)
def about(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Lumbar spine MR: from DICOM folders to a cross-validated, scored submission."""
    if version:
        typer.echo(f"lsdc {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; what a person can act on is one line and an exit code."""
    prepare_streams()
    for each in (signal.SIGTERM, signal.SIGHUP):  # ended like an interrupt: in order
        if signal.getsignal(each) != signal.SIG_IGN:  # as nohup has it
            signal.signal(each, signal.default_int_handler)
    try:
        app()
    except LsdcError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        line = _in_one_line(error)
        if line is None:
            raise  # a fault of ours: its traceback is what helps
        _print_error(line)
        sys.exit(LsdcError.exit_code)


def _in_one_line(error: Exception) -> str | None:
    """What the world outside refused, if that is what it is; libraries wrap a full disk."""
    if "No space left on device" in str(error):
        return (
            f"no space left on the disk ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "make room ('lsdc clean' says what may go) and run the same command again"
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; see that it exists and may be used"
    return None


def _print_error(line: str) -> None:
    open_console(stderr=True).print(
        f"lsdc: {line}", style="red", markup=False, highlight=False, soft_wrap=True
    )
