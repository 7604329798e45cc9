"""The shell completes runs, experiments, settings and deployments."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.register import FLOWS, NAME
from lsdc.cli.app import app
from lsdc.cli.completion import DEPLOYMENTS
from lsdc.store.home import Home, open_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = open_home(tmp_path / "home")
    for name in ("demo", "demo@folds-3", "mine"):
        home.run(name).mkdir(parents=True)
    monkeypatch.setenv("LSDC_HOME", str(home.root))
    presets = tmp_path / "lsdc-presets.toml"
    presets.write_text('[mine]\nbased_on = "demo"\n')
    monkeypatch.setenv("LSDC_PRESETS", str(presets))
    return home


def completed(*words: str) -> list[str]:
    """Return what bash offers for the last of the words."""
    environment = {
        "_LSDC_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["lsdc", *words]),
        "COMP_CWORD": str(len(words)),
    }
    result = CliRunner().invoke(app, prog_name="lsdc", env=environment)
    assert result.exit_code == 0, result.output
    return result.output.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["lo"], ["logs"]),
        (["logs", ""], ["demo", "demo@folds-3", "mine"]),
        (["clean", "m"], ["mine"]),
        (["inspect", "1", "--experiment", "demo@"], ["demo@folds-3"]),
        (["explain", "1", "--run", "m"], ["mine"]),
        (["predict", "studies", "--run", "demo@"], ["demo@folds-3"]),
        (["report", "demo", "m"], ["mine"]),
        (["pack", "demo", "m"], ["mine"]),
        (["run-local", "--experiment", "exp12"], [f"exp12{digit}" for digit in range(10)]),
        (["run-local", "--set", "training.ep"], ["training.epochs="]),
        (["experiments", "show", "mi"], ["mine"]),
        (["experiments", "diff", "demo", "base"], ["baseline"]),
        (["experiments", "compare", "demo"], ["demo", "demo@folds-3"]),
        (["experiments", "explain", "training.kee"], ["training.keep"]),
        (["experiments", "explain", "traini"], ["training"]),
        (["trigger", "train-folds"], ["train-folds/default"]),
        (["trigger", "pipeline/default", "--experiment", "baselin"], ["baseline"]),
        (["logs", "--foll"], ["--follow"]),
        (["run-local", "--data", ""], []),  # left to the shell, which completes paths
    ],
)
def test_word_is_completed(home: Home, words: list[str], offered: list[str]) -> None:
    found = completed(*words)
    assert found[: len(offered)] == offered
    if words[-1] != "traini":  # its settings follow
        assert len(found) == len(offered)


def test_option_home_decides_whose_runs_are_offered(home: Home, tmp_path: Path) -> None:
    open_home(tmp_path / "other").run("elsewhere").mkdir(parents=True)
    assert completed("logs", "--home", str(tmp_path / "other"), "") == ["elsewhere"]
    assert completed("logs", "--home", str(tmp_path / "none"), "") == []
    assert not (tmp_path / "none").exists()


def test_presets_that_cannot_be_read_complete_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(os.environ["LSDC_PRESETS"]).write_text("[")
    assert completed("experiments", "show", "") == []


def test_all_deployments_are_offered() -> None:
    registered = [f"{flow.name}/{NAME}" for flows in FLOWS.values() for flow in flows]
    assert sorted(DEPLOYMENTS) == sorted(registered)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_the_command_in_a_shell(home: Home, tmp_path: Path) -> None:
    command = tmp_path / "lsdc"
    command.write_text(f"#!{sys.executable} -P\nfrom lsdc.cli.app import main\nmain()\n")
    command.chmod(0o755)
    script = CliRunner().invoke(app, prog_name="lsdc", env={"_LSDC_COMPLETE": "source_bash"}).output
    asks = (
        f'{script}\nPATH="{tmp_path}:$PATH"\nCOMP_WORDS=(lsdc logs demo@)\nCOMP_CWORD=2\n'
        '_lsdc_completion lsdc\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asks], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["demo@folds-3"], done.stderr
