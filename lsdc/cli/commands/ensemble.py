"""`lsdc ensemble`: combine predictions of several models, and say what each of them adds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import ValidationError

from lsdc.challenges.lumbar.config.ensemble import EnsembleConfig
from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.streams import open_console
from lsdc.errors import DataError, SettingsError
from lsdc.store.home import existing_home, resolve_home
from lsdc.store.runs import list_runs

if TYPE_CHECKING:
    from lsdc.challenges.lumbar.ensemble.assess import Assessment
    from lsdc.challenges.lumbar.ensemble.members import Member


Weights = Annotated[
    Literal["equal", "fitted"],
    typer.Option(help="Weights of the mean; fitted ones differ by condition."),
]
SecondLevel = Annotated[
    bool,
    typer.Option(
        "--second-level",
        help="Instead of the mean, fit a logistic regression over all members' logits for a row "
        "and for the other conditions of its level.",
    ),
]
Folds = Annotated[
    Path | None,
    typer.Option(
        help="CSV or Parquet file with study_id and fold (or fold_id). What is fitted never sees "
        "the fold that it predicts.",
        show_default="the folds of the members, else 5 new ones",
    ),
]


def ensemble(
    members: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|RUN...",
            help="CSV or Parquet files with row_id, normal_mild, moderate, severe, or names of "
            "runs. A member may have some rows only.",
            autocompletion=complete_runs,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with train.csv, the labels.", show_default="the labels of runs"),
    ] = None,
    home: Annotated[Path | None, home_option("Home of the runs.")] = None,
    weights: Weights = "equal",
    second_level: SecondLevel = False,
    temperature: Annotated[
        bool, typer.Option("--temperature", help="Then fit a temperature by condition.")
    ] = False,
    prior_shift: Annotated[
        bool, typer.Option("--prior-shift", help="Then fit a shift of each grade by condition.")
    ] = False,
    folds: Folds = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write the ensemble's predictions to: .csv or .parquet."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Combine predictions of several models; show its score, and what each of them adds.

    They must be out of fold: of models that were not trained on the studies that they predict.
    Intervals are 95 % intervals over random sets of studies.
    """
    config = _config(weights, second_level, temperature, prior_shift)
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise SettingsError(f"--out: expected a file .csv or .parquet, got {out}; rename it")
    # They load numpy and polars, which the shell's completion does not need.
    from lsdc.cli.render.ensemble_tables import show_ensemble, summarize

    result = _assess(config, _read_members(members, home), data, folds)
    if out is not None:
        _write(result, out)
    if as_json:
        typer.echo(json.dumps(summarize(result, config, out), indent=2))
    else:
        show_ensemble(result, config, out, open_console())


def _assess(
    config: EnsembleConfig, members: "Sequence[Member]", data: Path | None, folds: Path | None
) -> "Assessment":
    from lsdc.challenges.lumbar.competition.tables import read_labels
    from lsdc.challenges.lumbar.ensemble.assess import assess
    from lsdc.challenges.lumbar.ensemble.members import (
        complete_folds,
        folds_of,
        labels_of,
        read_folds,
    )

    labels = labels_of(members, read_labels(data) if data is not None else None)
    split = folds_of(members, read_folds(folds) if folds is not None else None, str(folds))
    fitted_on = complete_folds(split, labels) if config.is_fitted else None
    return assess(config, members, labels, fitted_on)


def _config(
    weights: str, second_level: bool, temperature: bool, prior_shift: bool
) -> EnsembleConfig:
    try:
        return EnsembleConfig.model_validate(
            {
                "weights": weights,
                "second_level": second_level,
                "temperature": temperature,
                "prior_shift": prior_shift,
            }
        )
    except ValidationError:
        raise SettingsError(
            "--second-level takes the place of the mean, so that it has no --weights: expected one "
            "of the two; leave the other out"
        ) from None


def _read_members(given: Sequence[str], home: Path | None) -> "list[Member]":
    """Read files and runs; what is a file is not looked for among the runs."""
    from lsdc.challenges.lumbar.competition.predictions import name_files
    from lsdc.challenges.lumbar.ensemble.members import read_member, read_run

    files = [Path(each) for each in given if _is_file(each)]
    runs = [each for each in given if not _is_file(each)]
    names = {
        path: str(path) if name in runs else name
        for path, name in zip(files, name_files(files), strict=True)
    }
    read = {}
    if runs:
        opened = existing_home(resolve_home(home))
        there = list_runs(opened)
        for name in runs:
            if name not in there:
                raise DataError(
                    f"{name}: neither a file nor a run of {opened.root}, found the runs "
                    f"{', '.join(there) or 'none'}; give a file, one of these, or another --home"
                )
            read[name] = read_run(opened, name)
    for path, name in names.items():
        read[str(path)] = read_member(name, path)
    if len(read) < len(given):
        twice = next(each for each in given if given.count(each) > 1)
        raise SettingsError(f"ensemble: {twice} given twice; give each member once")
    return [read[each if each in read else str(Path(each))] for each in given]


def _is_file(given: str) -> bool:
    """Return whether a member is a file: it exists, or is spelled as a path."""
    path = Path(given)
    return path.is_file() or len(path.parts) > 1 or path.suffix in (".csv", ".parquet")


def _write(result: "Assessment", out: Path) -> None:
    from lsdc.store.files import write_atomic

    with write_atomic(out) as temporary:
        if out.suffix == ".csv":
            result.predictions.write_csv(temporary)
        else:
            result.predictions.write_parquet(temporary)
