"""`lsdc pack`: put finished runs into a folder that predicts without a network."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.render.fitted_tables import Column, FittedTable
from lsdc.cli.streams import open_console
from lsdc.messages import counted
from lsdc.store.home import resolve_home

if TYPE_CHECKING:
    from lsdc.challenges.lumbar.pack.write import Bundle


def pack(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Names of runs: folders in runs/. Of several, the mean is predicted. An ensemble "
            "is named alone.",
            autocompletion=complete_runs,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="A new folder, or an earlier bundle, which is replaced.")
    ],
    home: Annotated[Path | None, home_option("Home of the runs.")] = None,
    wheels: Annotated[
        bool, typer.Option("--wheels", help="Bring the libraries that the machine lacks.")
    ] = False,
    image: Annotated[
        Path | None,
        typer.Option(
            help="Output of 'pip freeze' on the machine that will predict.",
            show_default="Kaggle's notebook",
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            help="Python's version there, such as 3.12.", show_default="Kaggle's, or this one"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put runs into one folder that predicts a test folder without a network."""
    # They load numpy and polars, which the shell's completion does not need.
    from lsdc.challenges.lumbar.pack.libraries import check_python, kaggle_image, read_image
    from lsdc.challenges.lumbar.pack.write import write_bundle

    kaggle = kaggle_image()
    version = check_python(python) if python else None
    if image is None:
        target = kaggle if version is None else type(kaggle)(kaggle.name, version, kaggle.libraries)
    else:
        target = read_image(image, version or f"{sys.version_info.major}.{sys.version_info.minor}")
    bundle = write_bundle(resolve_home(home), runs, out, image=target, wheels=wheels)
    if as_json:
        typer.echo(json.dumps(_summary(bundle), indent=2))
    else:
        _show(bundle)


def _summary(bundle: "Bundle") -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "out": str(bundle.folder),
        "runs": [run.model_dump() for run in manifest.runs],
        "ensemble": manifest.ensemble and manifest.ensemble.model_dump(),
        "bytes": bundle.bytes_of(),
        "files": len(manifest.files),
        "image": manifest.image,
        "python": manifest.python,
        "libraries": manifest.libraries,
        "wheels": bundle.wheels,
        "lacking": list(bundle.lacking),
    }


def _show(bundle: "Bundle") -> None:
    from lsdc.challenges.lumbar.pack.layout import CODE, ENSEMBLE, ENTRY, MODELS, POINTS, WHEELS

    manifest = bundle.manifest
    parts = [
        (run.name, counted(len(run.folds), "fold"), f"{MODELS}/{run.name}") for run in manifest.runs
    ]
    if manifest.ensemble:
        parts.append((manifest.ensemble.name, "ensemble of these", ENSEMBLE))
    parts.append(("level points", f"of {counted(len(manifest.runs), 'run')}", POINTS))
    parts.append(("code", f"lsdc {manifest.lsdc}", CODE))
    if bundle.wheels:
        brought = ", ".join(f"{name} {version}" for name, version in bundle.wheels.items())
        parts.append(("libraries", brought, WHEELS))
    rows = [(name, what, bundle.bytes_of(folder)) for name, what, folder in parts]
    rows.append(("all", counted(len(manifest.files), "file"), bundle.bytes_of()))
    columns = [
        Column("part", [row[0] for row in rows], is_text=True),
        Column("content", [row[1] for row in rows], is_text=True),
        Column("size", [f"{row[2] / 1e6:.1f} MB" for row in rows]),
    ]
    console = open_console()
    ends = frozenset({len(rows) - 2})
    console.print(FittedTable(columns, title=str(bundle.folder), ends=ends))
    if bundle.lacking:
        console.print(
            f"{manifest.image} lacks these libraries, or has other versions: "
            f"{', '.join(bundle.lacking)}; pack with --wheels to bring them",
            style="yellow",
        )
    console.print("predict with it on any machine:")
    command = f"python {bundle.folder / ENTRY} TEST_FOLDER --out submission.csv"
    console.print(f"  {command}", soft_wrap=True)
