"""What a challenge may leave out, and what users then see."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from lsdc.challenges.challenge import Challenge
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.lumbar.challenge import LUMBAR
from lsdc.cli.render.run_summary import show_results
from lsdc.errors import SettingsError
from tasks.identity import locked_experiment
from tasks.request import RunRequest
from tasks.run import open_run
from tasks.status.rows import Rows

OPTIONAL = {
    "read_run": ("report, lsdc suspects", (None, "")),
    "read_prediction_files": ("report, lsdc suspects", ([], Path())),
    "write_report": ("report", ([], Path())),
    "inspect": ("inspect", (None, "", "", Path())),
    "explain": ("explain", (None, "", "")),
    "predict": ("predict", (None, "", Path(), Path())),
    "pack": ("pack", (None, [], Path())),
    "combine": ("ensemble", ([], [], {})),
    "list_suspects": ("suspects", (None, 0.5, None)),
}
NAMED = {
    "write_report": {"images": 0, "say": print},
    "explain": {"out": None, "device": "cpu", "long": False},
    "predict": {"device": "cpu", "threads": 1, "pictures": False, "on_progress": print},
    "pack": {"image": None, "python": None, "wheels": False},
    "combine": {"home": None, "data": None, "folds": None, "out": None},
}


def bare() -> Any:
    """Return a challenge that brings only what it must."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    required = dict.fromkeys(Challenge.__abstractmethods__, refuse)
    own = {"title": "Bare", "summarise": lambda *_: [], "sample_submission": "rows.csv"}
    return type("Bare", (Challenge,), required | own)()


@pytest.mark.parametrize("method", OPTIONAL)
def test_what_a_challenge_leaves_out_is_refused_by_the_name_of_the_command(method: str) -> None:
    command, given = OPTIONAL[method]
    challenge = bare()
    assert not challenge.brings(method)
    assert LUMBAR.brings(method)
    with pytest.raises(SettingsError, match=f"^lsdc {command}: not available for Bare; "):
        getattr(challenge, method)(*given, **NAMED.get(method, {}))


def test_every_method_is_required_or_optional() -> None:
    methods = {name for name, each in vars(Challenge).items() if callable(each) and name[0] != "_"}
    assert methods - Challenge.__abstractmethods__ == {*OPTIONAL, "brings"}


def test_summary_of_a_run_names_no_command_that_its_challenge_lacks(tmp_path: Path) -> None:
    home = tmp_path / "home"
    request = RunRequest.of(experiment="ich-demo", home=home, folds=2)
    losses = {"score": 0.1, "any": 0.1}
    scores = losses | {"weighted_prior": losses, "folds": {}, "partial": False, "selected": False}
    with locked_experiment(open_run(HemorrhageRun, request)) as run:
        run.folder.mkdir(parents=True, exist_ok=True)
        run.data.mkdir()
        (run.data / "stage_2_sample_submission.csv").write_text("ID,Label\n")
        (run.folder / "scores.json").write_text(json.dumps(scores))
        pl.DataFrame({"study_id": ["ID_7"]}).write_parquet(run.folder / "oof.parquet")
        console = Console(width=300)
        with console.capture() as capture:
            show_results(run, bare(), console, tmp_path / "log", Rows())
    printed = capture.get()
    assert "report      none: not available for Bare" in printed
    assert "next        lsdc ui --home" in printed
    assert "lsdc inspect" not in printed
