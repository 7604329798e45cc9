"""Bundles of a real run, in a jail: no network, no writable disk, no Prefect, no training data."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import polars as pl
import psutil
import pytest
import torch

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.pack.write import write_bundle
from lsdc.errors import DataError, SettingsError
from lsdc.pack.libraries import kaggle_image
from lsdc.store.runs import EXPERIMENT_FILE
from tests.flows.bundles import LIBRARIES, Jail, closure, linked_python, require_namespaces
from tests.flows.conftest import Ran
from tests.flows.hostile_studies import write_hostile

IMAGE = kaggle_image()


@pytest.fixture(scope="module")
def bundle(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the session's run."""
    out = tmp_path_factory.mktemp("pack") / "bundle"
    write_bundle(ran.home, ["demo"], out, image=IMAGE)
    return out


@pytest.fixture
def jail(tmp_path: Path) -> Jail:
    """Make a jail whose Python has the libraries of a bundle alone."""
    require_namespaces()
    python = linked_python(tmp_path / "python", LIBRARIES)
    for absent in ("prefect", "duckdb", "typer", "rich", "lsdc", "tasks", "flows"):
        command = [python, "-I", "-c", f"import {absent}"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1, absent
    return Jail(tmp_path, python)


@pytest.fixture
def fake(tmp_path: Path, bundle: Path) -> Path:
    """Copy the bundle, to be changed."""
    return Path(shutil.copytree(bundle, tmp_path / "changed"))


def submission_of(path: Path) -> pl.DataFrame:
    """Read a submission and check that it is complete and its probabilities valid."""
    table = pl.read_csv(path)
    values = table.select(PROBABILITIES).to_numpy()
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert values.sum(axis=1) == pytest.approx(1)
    return table


def test_notebook_of_a_bundle_writes_the_submission_of_the_run(
    ran: Ran, bundle: Path, jail: Jail
) -> None:
    notebook = nbformat.read(bundle / "kaggle.ipynb", as_version=4)
    nbformat.validate(notebook)
    places, predict, look = (cell.source for cell in notebook.cells)
    names: dict[str, str] = {}
    exec(places, names)
    assert all(names[name].startswith("/kaggle/input/") for name in ("BUNDLE", "TEST"))
    here = {"BUNDLE": bundle, "TEST": ran.data}
    (line,) = [line for line in predict.splitlines() if line.startswith("!")]
    python, *command = line[1:].format(**here).split()
    assert python == "python"
    done = jail.run_command(bundle, [jail.python, *command])
    assert done.returncode == 0, done.stdout + done.stderr
    out = jail.folder / "out"
    assert (out / "submission.csv").read_bytes() == (ran.folder / "submission.csv").read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["submission.csv", "submission.log"]
    shown = subprocess.run([jail.python, "-c", look], cwd=out, capture_output=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_bundle_holds_nothing_of_training_and_no_other_code(bundle: Path, ran: Ran) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert files - {"bundle.json"} == set(manifest["files"])
    tables = {path for path in files if path.endswith((".parquet", ".duckdb"))}
    assert tables == set()
    rooms = {path.split("/")[2] for path in files if path.startswith("code/lsdc/")}
    assert rooms.isdisjoint({"cli"})
    assert {path.split("/")[1] for path in files if path.startswith("code/")} == {"lsdc"}
    text = "".join((bundle / path).read_text() for path in files if path.endswith(".py"))
    assert not re.search(r"^\s*(from|import) (prefect|tasks|flows|typer|rich)\b", text, re.M)
    assert manifest["runs"][0]["name"] == "demo"
    assert (
        manifest["runs"][0]["tables"] == json.loads((ran.folder / "run.json").read_text())["tables"]
    )


def test_changed_file_leaves_the_prior(ran: Ran, fake: Path, tmp_path: Path) -> None:
    weights = fake / "models" / "demo" / "fold-1" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    out = tmp_path / "submission.csv"
    command = [sys.executable, fake / "predict.py", ran.data, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{weights}: SHA-256" in done.stderr
    assert "all of it is the prior" in done.stderr
    mine, run = submission_of(out), pl.read_csv(ran.folder / "submission.csv")
    assert mine["row_id"].equals(run["row_id"])
    by_cell = mine.with_columns(cell=pl.col("row_id").str.replace(r"^\d+_", ""))
    assert by_cell.select("cell", *PROBABILITIES).n_unique() == 25  # the same for each study


def test_no_image_at_all_leaves_the_prior(ran: Ran, bundle: Path, tmp_path: Path) -> None:
    empty, out = tmp_path / "empty", tmp_path / "submission.csv"
    empty.mkdir()
    shutil.copy(ran.data / "sample_submission.csv", empty)
    command = [sys.executable, bundle / "predict.py", empty, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "by the prior: not among the test studies of the folder" in done.stdout
    found = submission_of(out)
    assert found["row_id"].equals(pl.read_csv(ran.folder / "submission.csv")["row_id"])
    for row in found.filter(pl.col("row_id").str.ends_with("spinal_canal_stenosis_l4_l5")).rows():
        assert row[1:] == pytest.approx(_prior(bundle, "spinal_canal_stenosis", "l4_l5"))


def test_runs_with_other_rows_other_files_and_repeats_are_refused(
    ran: Ran, bundle: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(ran.home, tmp_path / "home"))
    shutil.copytree(home / "runs" / "demo", home / "runs" / "canal")
    path = home / "runs" / "canal" / EXPERIMENT_FILE
    settings = json.loads(path.read_text())
    settings["labels"]["conditions"] = ["spinal_canal_stenosis"]
    path.write_text(json.dumps(settings))
    out = tmp_path / "bundle"
    with pytest.raises(SettingsError, match="canal: predicts the conditions spinal_canal"):
        write_bundle(home, ["demo", "canal"], out, image=IMAGE)
    with pytest.raises(SettingsError, match="demo: named twice"):
        write_bundle(home, ["demo", "demo"], out, image=IMAGE)
    with pytest.raises(SettingsError, match="no run named 'dmeo'"):
        write_bundle(home, ["dmeo"], out, image=IMAGE)
    assert not out.exists()
    out.mkdir()
    (out / "thesis.txt").write_text("do not lose me")
    with pytest.raises(DataError, match="holds other files"):
        write_bundle(home, ["demo"], out, image=IMAGE)
    assert [each.name for each in out.iterdir()] == ["thesis.txt"]


@pytest.mark.slow_runs
def test_bundle_of_two_runs_predicts_their_mean(ran: Ran, jail: Jail, tmp_path: Path) -> None:
    home = Path(shutil.copytree(ran.home, tmp_path / "home"))
    other = Path(shutil.copytree(home / "runs" / "demo", home / "runs" / "other"))
    for fold in (0, 1):  # the same folds would give the same mean
        shutil.copyfile(
            home / "runs" / "demo" / "fold-0" / "model.safetensors",
            other / f"fold-{fold}" / "model.safetensors",
        )
    tables = {}
    for names in (["demo"], ["other"], ["demo", "other"]):
        out = tmp_path / "-".join(names)
        write_bundle(home, names, out, image=IMAGE)
        place = replace(jail, folder=tmp_path / f"jail-{'-'.join(names)}")
        place.folder.mkdir()
        done = place.run(out, [ran.data, "--out", "submission.csv"])
        assert done.returncode == 0, done.stderr
        tables["-".join(names)] = submission_of(place.folder / "out" / "submission.csv")
    demo, second, both = tables.values()
    assert not demo.equals(second)
    for name in PROBABILITIES:
        assert (both[name] - (demo[name] + second[name]) / 2).abs().max() < 1e-15


@pytest.mark.slow_runs
@pytest.mark.parametrize("tables", ["good", "damaged"])
def test_hostile_studies_cost_themselves_only(
    tables: str, ran: Ran, bundle: Path, jail: Jail, tmp_path: Path
) -> None:
    root = tmp_path / "hostile"
    kinds = write_hostile(ran.data, root, damaged_tables=tables == "damaged")
    done = jail.run(bundle, [root, "--out", "submission.csv"])
    assert done.returncode == 0, done.stdout + done.stderr
    out = submission_of(jail.folder / "out" / "submission.csv")
    asked = pl.read_csv(root / "sample_submission.csv", infer_schema=False)["row_id"]
    assert out["row_id"].cast(pl.String).to_list() == asked.to_list()
    run = pl.read_csv(ran.folder / "submission.csv")
    whole = pl.col("row_id").str.starts_with(f"{kinds['whole']}_")
    mine, theirs = out.filter(whole).head(25), run.filter(whole)
    assert len(mine) == len(theirs) == 25
    difference = (mine.select(PROBABILITIES) - theirs.select(PROBABILITIES)).to_numpy()
    assert np.abs(difference).max() < 1e-5  # other batches
    without = ("no images", "empty", "text", "cut short", "not listed")
    for kind in without:
        (row,) = out.filter(row_id=f"{kinds[kind]}_spinal_canal_stenosis_l4_l5").rows()
        assert row[1:] == pytest.approx(_prior(bundle, "spinal_canal_stenosis", "l4_l5")), kind
        assert re.search(rf"by the prior: .*{kinds[kind]}", done.stdout), kind
    for kind in ("missing series", "folders"):
        (row,) = out.filter(row_id=f"{kinds[kind]}_spinal_canal_stenosis_l4_l5").rows()
        assert row[1:] != pytest.approx(_prior(bundle, "spinal_canal_stenosis", "l4_l5")), kind
    assert "2 rows ask for nothing that is known" in done.stdout


def _prior(bundle: Path, condition: str, level: str) -> tuple[float, ...]:
    table = pl.read_csv(bundle / "models" / "demo" / "prior.csv")
    return table.filter(condition=condition, level=level).select(PROBABILITIES).row(0)


@pytest.mark.slow_runs
@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (("--hours", "0.0033"), "the time ended"),
        (("--memory", "0.2"), "near the memory limit of 0.2 GB"),
        pytest.param(
            ("--device", "cuda"),
            "'cuda' cannot be used here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_limits_and_settings_that_leave_the_prior_are_said(
    limit: tuple[str, str], reason: str, ran: Ran, bundle: Path, jail: Jail
) -> None:
    done = jail.run(bundle, [ran.data, "--out", "submission.csv", *limit])
    assert done.returncode == 2, done.stdout + done.stderr
    assert reason in done.stderr
    out = submission_of(jail.folder / "out" / "submission.csv")
    by_cell = out.with_columns(cell=pl.col("row_id").str.replace(r"^\d+_", ""))
    assert by_cell.select("cell", *PROBABILITIES).n_unique() == 25
    assert out["row_id"].equals(pl.read_csv(ran.folder / "submission.csv")["row_id"])


@pytest.mark.slow_runs
def test_death_of_the_predicting_process_leaves_what_was_written(
    ran: Ran, bundle: Path, tmp_path: Path
) -> None:
    write_hostile(ran.data, tmp_path / "data", damaged_tables=False)
    out = tmp_path / "submission.csv"
    command = [sys.executable, bundle / "predict.py", tmp_path / "data", "--out", out]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert any("of 10 studies in" in line for line in running.stdout)
        (worker,) = psutil.Process(running.pid).children()
        worker.kill()
        _, said = running.communicate()
    assert running.returncode == 1, said
    assert "complete, with the prior where it was not reached" in said
    assert "killed by SIGKILL" in said
    assert len(submission_of(out)) == 277


@pytest.mark.slow_runs
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_all_processes_end_with_predict_py_even_while_they_load(
    how: signal.Signals, ran: Ran, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.csv"
    command = [sys.executable, bundle / "predict.py", ran.data, "--out", out]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        started: list[psutil.Process] = []
        while len(started) < 2:  # the worker, and its first child
            assert running.poll() is None
            time.sleep(0.05)
            every = psutil.Process(running.pid).children(recursive=True)
            started = [each for each in every if "lsdc.child" in each.cmdline()]
        running.send_signal(how)
    assert psutil.wait_procs(started, timeout=20)[1] == []


@pytest.mark.slow_runs
def test_bundle_with_wheels_predicts_in_an_empty_environment(ran: Ran, tmp_path: Path) -> None:
    require_namespaces()
    torch = [f"{each.name}=={each.version}" for each in closure(["torch", "torchvision"])]
    freeze = tmp_path / "freeze.txt"
    freeze.write_text("\n".join(torch))  # torch is linked: it is 1 GB
    bundle = tmp_path / "bundle"
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, "-P", "-m", "lsdc", "pack", "demo", "--home", ran.home, "--json"]
    command += ["--out", bundle, "--wheels", "--image", freeze, "--python", here]
    packed = subprocess.run(command, capture_output=True, text=True, check=False)
    if "check the network" in packed.stderr:
        pytest.skip("no package index can be reached")
    assert packed.returncode == 0, packed.stderr
    summary = json.loads(packed.stdout)
    assert summary["lacking"] == []
    assert {"dataframely", "dicomsdl", "polars", "timm", "pydicom"} <= set(summary["wheels"])
    python = linked_python(tmp_path / "python", ["torch", "torchvision", "pip"])
    jail = Jail(tmp_path, python)
    for absent in ("polars", "timm", "dataframely", "pydantic", "prefect"):
        command = [python, "-I", "-c", f"import {absent}"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1, absent
    done = jail.run(bundle, [ran.data, "--out", "submission.csv"])
    assert done.returncode == 0, done.stdout + done.stderr
    made, run = tmp_path / "out" / "submission.csv", ran.folder / "submission.csv"
    assert made.read_bytes() == run.read_bytes()
