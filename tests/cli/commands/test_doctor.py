"""`lsdc doctor` on the command line."""

import io
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from lsdc.challenges.lumbar.quality.checks import CHECKS
from lsdc.challenges.lumbar.quality.corrections import TITLES
from lsdc.cli.commands.doctor import doctor, show_report
from lsdc.errors import DataError
from lsdc.store.home import open_home
from lsdc.tables.findings import Finding, Report

app = typer.Typer()
app.command()(doctor)


@pytest.fixture
def tables(phantom: Path, tmp_path: Path) -> Path:
    """Return a folder with the phantom's tables and without images."""
    root = tmp_path / "tables"
    root.mkdir()
    for path in phantom.glob("*.csv"):
        shutil.copy(path, root)
    return root


def typed(*words: object, columns: int = 200) -> str:
    result = CliRunner().invoke(
        app, [*map(str, words)], catch_exceptions=False, env={"COLUMNS": str(columns)}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_finding_has_a_line_with_count_and_ids(tables: Path) -> None:
    printed = typed(tables)
    study = pl.read_csv(tables / "train.csv").filter(
        pl.col("left_subarticular_stenosis_l1_l2").is_null()
    )["study_id"][0]
    assert re.search(rf"Label cells without a grade +2 +{study} *\n", printed)
    assert re.search(r"Sagittal T1 +5 +2 *\n", printed)
    assert "other checks found nothing." in printed
    assert "--json" in printed


def test_output_fits_80_columns_without_truncated_titles(tables: Path) -> None:
    path = tables / "train_label_coordinates.csv"
    points = pl.read_csv(path, infer_schema=False)
    points.with_columns(instance_number=pl.lit("5046"), x=pl.lit("-9")).write_csv(path)
    printed = typed(tables, columns=80)
    found = json.loads(typed(tables, "--json"))["findings"]
    assert max(map(len, printed.splitlines())) <= 80
    for finding in found:
        assert (finding["title"] in printed) == (finding["count"] > 0)
    assert "…" not in printed


@pytest.mark.parametrize("columns", [80, 120])
def test_every_title_is_printed_in_full(columns: int) -> None:
    studies = pl.DataFrame({"study_id": range(4_000_000_000, 4_000_048_668)})
    found = [
        Finding(name, each.title, each.unit, studies, of=48_668 if each.of else None)
        for name, each in CHECKS.items()
    ]
    found += [Finding(rule, title, "points", studies) for rule, title in TITLES.items()]
    console = Console(width=columns, file=io.StringIO())
    show_report(Report({}, tuple(found), {}), console)
    printed = console.file.getvalue()
    assert max(map(len, printed.splitlines())) <= columns
    for finding in found:
        assert finding.title in printed
    assert "4000000000" in printed


def test_advice_is_printed_only_for_findings(tables: Path) -> None:
    printed = " ".join(typed(tables).split())
    for finding in json.loads(typed(tables, "--json"))["findings"]:
        if finding["advice"]:
            assert (finding["advice"] in printed) == (finding["count"] > 0)
    assert "Studies missing a kind of series: runs mask the missing slices." in printed


def test_json_has_every_row_and_the_checks_that_found_nothing(tables: Path) -> None:
    report = json.loads(typed(tables, "--json"))
    assert report["counts"]["studies"] == {"test": 2, "train": 6}
    findings = {finding["name"]: finding for finding in report["findings"]}
    empty = findings["empty_labels"]
    assert (empty["count"], empty["studies"], empty["severity"]) == (2, 1, "warning")
    assert [set(row) for row in empty["rows"]] == [{"study_id", "condition", "level"}] * 2
    assert findings["swapped_pairs"]["rows"] == []


def test_planted_fault_is_reported_with_its_ids(tables: Path) -> None:
    path = tables / "train_label_coordinates.csv"
    points = pl.read_csv(path, infer_schema=False)
    first = points.row(0, named=True)
    pl.concat([points, points.slice(0, 1)]).write_csv(path)
    findings = json.loads(typed(tables, "--json"))["findings"]
    repeated = next(each for each in findings if each["name"] == "repeated_points")
    assert repeated["count"] == 2
    assert str(repeated["rows"][0]["series_id"]) == first["series_id"]


@pytest.mark.parametrize(("row", "first"), [(",77,Axial T2", "77"), (",,Axial T2", "line {}")])
def test_row_of_the_test_table_without_ids_is_named(tables: Path, row: str, first: str) -> None:
    path = tables / "test_series_descriptions.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, row]), encoding="utf-8")
    assert re.search(rf" 1 +{first.format(len(lines) + 1)} *\n", typed(tables))


@pytest.mark.parametrize("name", ["elsewhere", "empty"])
def test_folder_without_tables_or_images_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"{name}: .*expected") as caught:
        typed(tmp_path / name, "--json")
    assert caught.value.exit_code == 2


def test_missing_tables_of_the_competition_are_refused(tables: Path) -> None:
    (tables / "train.csv").unlink()
    with pytest.raises(DataError, match=r"no train\.csv"):
        typed(tables)


def test_phantom_stands_for_the_homes_phantom(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="home/phantom: no such folder"):
        typed("phantom", "--home", home)
    assert not home.exists()
    shutil.copytree(tables, open_home(home).root / "phantom")
    assert typed("phantom", "--home", home) == typed(tables, "--home", home)
