"""`lsdc index` writes the headers of any folder to the home's catalog."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.cli.app import app
from lsdc.store.catalog import publish_catalog
from lsdc.store.home import open_home
from lsdc.store.manifest import make_manifest

LSDC = [sys.executable, "-P", "-m", "lsdc"]


def lsdc(*arguments: object, home: Path) -> str:
    """Run a command that has to succeed, and return its output."""
    result = CliRunner().invoke(
        app, [*map(str, arguments), "--home", str(home)], env={"COLUMNS": "100"}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as catalog:
        return catalog.execute(query).fetchall()


def test_index_writes_a_competition_to_the_catalog(phantom: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    said = lsdc("index", phantom, home=home)
    files = sum(1 for path in phantom.rglob("*") if path.is_file())
    assert f"{files:,} files, {files:,} read now" in said
    assert "catalog.duckdb" in said
    (counted,) = rows(
        home,
        "SELECT (SELECT count(*) FROM instances) + (SELECT count(*) FROM quarantine)"
        " + (SELECT count(*) FROM other_files)",
    )
    assert counted == (files,)
    assert rows(home, "SELECT DISTINCT split FROM instances ORDER BY 1") == [("test",), ("train",)]
    assert rows(home, "SELECT DISTINCT plane FROM series ORDER BY 1") == [("axial",), ("sagittal",)]

    assert f"{files:,} files, 0 read now" in lsdc("index", phantom, home=home)
    found = json.loads(lsdc("index", phantom, "--json", "--quiet", home=home))
    assert (found["files"], found["read"]) == (files, 0)
    images = found["images"] + sum(each["files"] for each in found["quarantined"])
    assert images + sum(each["files"] for each in found["other_files"]) == files
    assert found["images"] == sum(each["images"] for each in found["series"])


def test_index_works_while_another_process_reads_the_catalog(phantom: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    lsdc("index", phantom / "test_images", home=home)
    with duckdb.connect(str(home / "catalog.duckdb"), read_only=True) as reader:
        before = reader.execute("SELECT count(*) FROM instances").fetchall()
        again = [*LSDC, "index", str(phantom), "--home", str(home)]
        subprocess.run(
            again, check=True, capture_output=True
        )  # a separate process, as one process shares open databases
        assert reader.execute("SELECT count(*) FROM instances").fetchall() == before
    assert rows(home, "SELECT count(*) FROM instances") > before


@pytest.mark.parametrize("command", ["index", "doctor"])
def test_indexing_a_folder_keeps_the_tables_of_runs(
    command: str, phantom: Path, tmp_path: Path
) -> None:
    home = open_home(tmp_path / "home")
    home.run("demo").mkdir(parents=True)
    folder = home.root / "coordinates" / "1"
    folder.mkdir(parents=True)
    for table in ("points", "quarantine"):
        pl.DataFrame({"study_id": [1], "path": "a"}).write_parquet(folder / f"{table}.parquet")
    names = ["points.parquet", "quarantine.parquet"]
    made = make_manifest(home.root, "coordinates", folder, rows=1, names=names)
    publish_catalog(home, "demo", [made], CATALOG)
    before = rows(home.root, "SHOW TABLES")

    said = lsdc(command, phantom, home=home.root)

    assert rows(home.root, "SHOW TABLES") == before
    assert rows(home.root, "SELECT path FROM quarantine") == [("a",)]
    looked_at = f"FROM all_runs.instances WHERE run = '{phantom}'"
    assert rows(home.root, f"SELECT count(*) > 0 {looked_at}") == [(True,)]
    assert command == "doctor" or looked_at in said


def test_too_many_bad_files_are_an_error_unless_max_bad_allows_them(
    phantom: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(phantom / "test_images", tree)
    for path in sorted(tree.rglob("*.dcm"))[:15]:
        path.write_bytes(b"")
    arguments = ["index", str(tree), "--home", str(tmp_path / "home")]
    refused = subprocess.run([*LSDC, *arguments], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "15 of" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "15 quarantined" in lsdc("index", tree, "--max-bad", "100%", home=tmp_path / "home")


def test_missing_folder_is_an_error_of_one_line(tmp_path: Path) -> None:
    arguments = ["index", str(tmp_path / "nowhere"), "--home", str(tmp_path / "home")]
    refused = subprocess.run([*LSDC, *arguments], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no such folder" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_index_resumes(phantom: Path, tmp_path: Path, number: int) -> None:
    tree, fifo = tmp_path / "tree", tmp_path / "reached"
    shutil.copytree(phantom / "test_images", tree)
    os.mkfifo(fifo)
    # The reading children open the FIFO when they have started; then they wait.
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if 'lsdc.dicom.child' in sys.orig_argv:\n"
        f"    open({str(fifo)!r}, 'w').close()\n"
        "    time.sleep(60)\n"
    )
    command = [*LSDC, "index", str(tree), "--home", str(tmp_path / "home")]
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(site)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        fifo.open().close()  # returns once a child has opened it for writing
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again to resume" in said
    lsdc("index", tree, home=tmp_path / "home")


def test_doctor_reports_bad_headers(phantom: Path, tmp_path: Path) -> None:
    report = json.loads(lsdc("doctor", phantom, "--json", home=tmp_path / "home"))
    found = {finding["name"]: finding["count"] for finding in report["findings"]}
    assert found["unusable_files"] == 3
    assert found["series_without_images"] == 0
    # Table, JSON and catalog have equal counts; the competition's CSV tables are not bad images.
    (quarantined,) = rows(tmp_path / "home", "SELECT count(*) FROM quarantine")[0]
    (others,) = rows(tmp_path / "home", "SELECT count(*) FROM other_files")[0]
    counts = report["counts"]["files"]
    assert (counts["quarantined"], counts["others"]) == (quarantined, others)
    assert quarantined == 3
    assert f"3 quarantined, {others} other files" in lsdc("index", phantom, home=tmp_path / "home")
