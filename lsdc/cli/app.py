"""The `lsdc` command: registers the commands and turns expected errors into one line."""

import errno
import os
import signal
import sys

import typer

from lsdc import __version__
from lsdc.cli.lazy_commands import LazyGroup, announce
from lsdc.cli.streams import open_console, prepare_streams
from lsdc.errors import NO_ROOM, LsdcError

app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # else Rich would drop [words] in brackets as markup
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train and score models for imaging competitions, from raw files to a submission.",
    epilog=(
        "Exit codes: 0 success, 1 a stage failed, 2 an error in the call, the data or the "
        "settings, 3 the home is in use, 75 stopped and can be resumed, 130 interrupted. "
        "docs/reference/terminal.md explains them, shell completion, --quiet, --json and colours."
    ),
)
# For each command, a summary short enough for the command list, and usage examples.
_COMMANDS: dict[str, tuple[str, list[str]]] = {
    "run-local": (
        "Train and score on this machine, from raw files to a submission.",
        [
            "lsdc run-local                         # the demo, on a phantom",
            "lsdc run-local --experiment ich-demo   # the same for head CT",
            "lsdc run-local --data rsna-2024 --home /big/disk/lsdc --experiment baseline",
            "lsdc run-local --data rsna-2024 --only-fold 0 --set training.epochs=2",
            "lsdc run-local --quiet --json > scores.json",
        ],
    ),
    "score": (
        "Score predictions with the competition's metric.",
        ["lsdc score lsdc-home/runs/demo/oof.parquet --data rsna-2024 --json"],
    ),
    "ensemble": (
        "Combine predictions of several models; say what each adds.",
        [
            "lsdc ensemble one.csv other.csv --data rsna-2024",
            "lsdc ensemble demo demo@epochs-4 --second-level --out both.csv --json",
        ],
    ),
    "demo-data": (
        "Write a synthetic competition (phantom).",
        ["lsdc demo-data phantom", "lsdc demo-data heads --challenge hemorrhage --studies 20"],
    ),
    "index": (
        "Write the DICOM headers of a folder to the catalog.",
        ["lsdc index rsna-2024", "lsdc index cds/2024 --max-bad 100%"],
    ),
    "doctor": ("Check a folder's data.", ["lsdc doctor rsna-2024 --json"]),
    "inspect": (
        "Draw a study: its slices, points and crops.",
        ["lsdc inspect 100206310 --experiment demo --out study.png"],
    ),
    "explain": (
        "Explain a study's predictions: folds, slices, places.",
        [
            "lsdc explain 100206310 --run demo",
            "lsdc explain 100206310 --run demo@lumbar --out pictures --json",
        ],
    ),
    "report": (
        "Write a run's report: where its score is lost, as an HTML page.",
        [
            "lsdc report demo",
            "lsdc report baseline baseline@seed-1 --out compared",
            "lsdc report --predictions oof.csv --data rsna-2024",
        ],
    ),
    "suspects": (
        "List labels that the predictions contradict.",
        [
            "lsdc suspects demo",
            "lsdc suspects --predictions oof.csv --data rsna-2024 --out suspects.csv",
        ],
    ),
    "predict": (
        "Predict any studies with a run's models.",
        [
            "lsdc predict studies --run demo --out predicted",
            "lsdc predict rsna-2024 --run baseline --home /big/disk/lsdc --no-pictures",
        ],
    ),
    "pack": (
        "Put runs into a folder that predicts without a network.",
        [
            "lsdc pack demo --out bundle",
            "lsdc pack baseline winners --out bundle --wheels   # predicts their mean",
        ],
    ),
    "status": (
        "Show what runs, the runs of a home, sizes and the disk.",
        ["lsdc status", "lsdc status --home /big/disk/lsdc --json"],
    ),
    "logs": (
        "Print how a run ended, then its log.",
        ["lsdc logs demo", "lsdc logs demo --lines 200 --follow"],
    ),
    "ui": ("Serve Prefect's UI with the runs of a home.", ["lsdc ui --home /big/disk/lsdc"]),
    "up": (
        "Start a Prefect server and workers, with pools and deployments.",
        [
            "lsdc up",
            "lsdc up --no-workers --host 0.0.0.0    # for workers on other machines",
        ],
    ),
    "worker": ("Start workers for a server that is running.", ["lsdc worker --pool lsdc-gpu"]),
    "trigger": (
        "Start a run of a Prefect deployment on the workers.",
        ["lsdc trigger train-folds/default --experiment baseline --watch"],
    ),
    "clean": (
        "List and remove results that no run needs.",
        ["lsdc clean", "lsdc clean demo@folds-3    # also removes this run"],
    ),
    "experiments": ("List, show and compare experiments.", ["lsdc experiments list"]),
}
# Error numbers of reads and writes on a failing disk or file server.
_DISK = (errno.EIO, errno.ESTALE, errno.EROFS, errno.ENXIO, errno.ENODEV)
for _name, (_summary, _examples) in _COMMANDS.items():
    announce(app, _name, _summary, _examples)


@app.callback(invoke_without_command=True)
def about(
    version: bool = typer.Option(False, "-V", "--version", help="Print the version."),
) -> None:
    """Train and score models for imaging competitions, from raw files to a submission."""
    if version:
        typer.echo(f"lsdc {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; report errors that users can act on in one line, with an exit code."""
    prepare_streams()
    for each in (signal.SIGTERM, signal.SIGHUP):  # handled like an interrupt: orderly shutdown
        if signal.getsignal(each) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(each, signal.default_int_handler)
    try:
        app()
    except LsdcError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        line = _in_one_line(error)
        if line is None:
            raise  # a bug of lsdc: show its traceback
        _print_error(line)
        sys.exit(LsdcError.exit_code)


def _in_one_line(error: Exception) -> str | None:
    """Return a message for an external failure, such as a full disk, wrapped or not."""
    message = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if any(os.strerror(number) in str(error) for number in NO_ROOM):
        return (
            f"no space left on the disk ({message}); free some space ('lsdc clean' lists what can "
            "be removed) and run the same command again"
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check that it exists and that you may use it"
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return "the working folder no longer exists; change to one that exists"
    if isinstance(error, OSError) and error.errno in _DISK:
        return (
            f"a disk failed ({message}); check that home, data and TMPDIR can be read and written "
            "('dmesg' may show the cause), and run the same command again"
        )
    httpx = sys.modules.get("httpx")  # whatever talks to a server has imported it
    if httpx is not None and isinstance(error, httpx.HTTPError):
        reason = (str(error).splitlines() or ["no answer in time"])[0]
        return (
            f"the Prefect server no longer answers ({reason}); check that it runs, and run the "
            "same command again"
        )
    return None


def _has_working_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 (called for the error it raises)
    except FileNotFoundError:
        return False
    return True


def _print_error(line: str) -> None:
    open_console(stderr=True).print(
        f"lsdc: {line}", style="red", markup=False, highlight=False, soft_wrap=True
    )
