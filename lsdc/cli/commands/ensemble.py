"""`lsdc ensemble`: combine predictions of several models, and say what each of them adds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from lsdc.challenges.registry import CHALLENGES, challenge_of_runs, require_challenge_in
from lsdc.cli.completion import complete_runs
from lsdc.cli.options import AsJson, home_option
from lsdc.cli.sources import is_file
from lsdc.cli.streams import print_result
from lsdc.errors import DataError, SettingsError
from lsdc.store.home import Home, existing_home, resolve_home
from lsdc.store.runs import list_runs

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
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise SettingsError(f"--out: expected a file .csv or .parquet, got {out}; rename it")
    settings = {
        "weights": weights,
        "second_level": second_level,
        "temperature": temperature,
        "prior_shift": prior_shift,
    }
    runs = [each for each in members if not is_file(each)]
    opened = existing_home(resolve_home(home)) if runs else None
    if opened is not None:
        _require_runs(opened, runs)
    if twice := next((each for each in members if members.count(each) > 1), None):
        raise SettingsError(f"ensemble: {twice} given twice; give each member once")
    if opened is not None:
        challenge = challenge_of_runs(opened, runs)
    else:
        challenge = CHALLENGES[0] if data is None else require_challenge_in(data)
    found = challenge.combine(members, runs, settings, home=opened, data=data, folds=folds, out=out)
    print_result(found, as_json=as_json)


def _require_runs(home: Home, runs: Sequence[str]) -> None:
    there = list_runs(home)
    for name in runs:
        if name not in there:
            raise DataError(
                f"{name}: neither a file nor a run of {home.root}, found the runs "
                f"{', '.join(there) or 'none'}; give a file, one of these, or another --home"
            )
