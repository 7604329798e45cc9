"""The same command again: which results it keeps, and which stages it runs again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import lsdc
from lsdc.challenges.lumbar.pack.write import write_bundle
from lsdc.cli.server.prefect_settings import Api
from lsdc.cli.server.run_records import wait_until_recorded
from lsdc.pack.libraries import kaggle_image
from tests.flows.conftest import ask
from tests.flows.conftest import lsdc as lsdc_command


def test_second_run_runs_no_stage_and_loads_no_heavy_library(ran) -> None:
    heavy = ("torch", "timm", "albumentations", "cv2", "dicomsdl", "pydicom", "sklearn")
    script = (
        "import sys\n"
        "from lsdc.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('LOADED', [name for name in {heavy} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *map(str, ran.arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("✓")]
    assert len(lines) >= 15
    assert [line for line in lines if "unchanged, kept" not in line] == []
    assert "LOADED []" in done.stdout
    assert f"all {len(lines)} unchanged and kept; nothing was computed" in done.stdout


def test_configured_server_has_the_whole_run(ran) -> None:
    outcome = ran.again()
    assert outcome.code == 0, outcome.out + outcome.err
    latest = {"sort": "START_TIME_DESC", "limit": 1}
    (flow_run,) = ask(ran.api, "flow_runs/filter", latest)
    lines = [line for line in outcome.out.splitlines() if line.startswith("✓")]
    assert wait_until_recorded(Api(ran.api), flow_run["id"], len(lines), timeout=30)
    mine = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    states = {run["name"]: run["state_name"] for run in ask(ran.api, "task_runs/filter", mine)}
    assert len(states) == len(lines)
    assert set(states.values()) == {"Cached"}


def training_crops(ran) -> Path:
    """Return the larger of the run's two files of crops."""
    return max(ran.home.glob("crops/*/crops.npy"), key=lambda path: path.stat().st_size)


def test_only_damaged_crops_are_computed_again(ran) -> None:
    crops = training_crops(ran)
    before = crops.read_bytes()
    crops.write_bytes(before[:-1000] + bytes(1000))

    outcome = ran.again()

    assert outcome.code == 0
    assert outcome.ran == {"crops train"}
    assert "computed, " in outcome.out
    assert crops.read_bytes() == before


@pytest.mark.slow_runs
def test_only_missing_crops_are_computed_again(ran) -> None:
    crops = training_crops(ran)
    before = crops.read_bytes()
    crops.unlink()
    assert ran.again().ran == {"crops train"}
    assert crops.read_bytes() == before


def test_run_without_a_report_is_complete_and_the_next_one_writes_it(ran) -> None:
    path = ran.folder / "report.html"
    path.unlink()
    path.mkdir()  # so it cannot be written
    scores = (ran.folder / "scores.json").read_bytes()

    outcome = ran.again()

    assert outcome.code == 0, outcome.out + outcome.err
    assert "report: not written (IsADirectoryError: " in outcome.out
    assert (ran.folder / "scores.json").read_bytes() == scores
    path.rmdir()
    assert ran.again().ran == {"report"}
    assert path.is_file()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, so that a test may edit its source."""
    project, root = Path(lsdc.__file__).parent.parent, tmp_path_factory.mktemp("project")
    for package in ("lsdc", "tasks", "flows"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project / package, root / package, ignore=ignore)
    return root


@pytest.mark.slow_runs
def test_edit_of_imported_code_reruns_the_stage_and_a_comment_does_not(ran, copy: Path) -> None:
    helper = copy / "lsdc/challenges/lumbar/slices/stacks.py"
    source = helper.read_text()
    helper.write_text(source.replace("MISSING = -1", "MISSING = -1  # none"))
    assert ran.again(source=copy).ran == set()

    helper.write_text(source.replace("MISSING = -1", "MISSING = -2 + 1"))
    # The crops are the same, so the results that depend on them are kept. The report draws slices.
    assert ran.again(source=copy).ran == {"crops train", "crops test", "report"}
    helper.write_text(source)
    assert ran.again().ran == {"report"}  # so that the next test finds the run as it was


@pytest.mark.slow_runs
def test_another_backbone_trains_from_the_same_crops_in_a_separate_folder(ran, copy: Path) -> None:
    _use_another_backbone(copy)
    trained = {path: path.stat().st_mtime_ns for path in ran.folder.glob("fold-*/*")}
    outcome = ran.again("--only-fold", "1", source=copy)
    try:
        assert outcome.code == 0, outcome.out + outcome.err
        stages = ("index", "index test", "crops", "submission")
        catalogs = {f"catalog after {stage}" for stage in stages}
        assert outcome.ran == {"fold 1", "oof", "predict", "submission", "report", *catalogs}
        own = ran.home / "runs" / "demo@backbone-test_resnet"
        assert f"runs/{own.name}: a new folder, because runs/demo holds demo" in outcome.out
        scores = json.loads((own / "scores.json").read_text())
        assert scores["partial"] is True
        assert set(scores["folds"]) == {"1"}
        assert "partial" in outcome.out
        with duckdb.connect(str(ran.home / "catalog.duckdb"), read_only=True) as catalog:
            both = "SELECT run, count(*) FROM all_runs.samples GROUP BY run ORDER BY run"
            (first, samples), (second, same) = catalog.execute(both).fetchall()
        assert (first, second, same) == ("demo", own.name, samples)
    finally:
        before = ran.again()
        shutil.rmtree(ran.home / "runs" / "demo@backbone-test_resnet", ignore_errors=True)
    assert before.code == 0
    assert before.ran <= {*catalogs, "report"}  # catalogs show this run again
    assert trained == {path: path.stat().st_mtime_ns for path in trained}


@pytest.mark.slow_runs
def test_views_are_predicted_alike_everywhere_and_train_nothing(ran, tmp_path: Path) -> None:
    """Test-time augmentation takes the folds of the run without; run, predict and pack agree."""
    try:
        outcome = ran.again("--set", "tta.mirror=true", "--set", "tta.rotate=[-10, 10]")
        assert outcome.code == 0, outcome.out + outcome.err
        (own,) = ran.home.glob("runs/demo@*mirror*")
        assert {name for name in outcome.ran if not name.startswith("catalog")} == {
            *("fold 0", "fold 1", "oof", "predict", "submission", "report")
        }
        for fold in ("fold-0", "fold-1"):
            mine, theirs = own / fold, ran.folder / fold
            for name in ("model.safetensors", "steps.parquet", "history.parquet"):
                assert (mine / name).read_bytes() == (theirs / name).read_bytes()
            assert (mine / "oof.parquet").read_bytes() != (theirs / "oof.parquet").read_bytes()
            assert not (mine / "tensorboard").exists()  # nothing was trained there
            facts = json.loads((mine / "fit.json").read_text())
            assert (facts["tta"]["mirror"], facts["tta"]["rotate"]) == (True, [-10, 10])
        submission = (own / "submission.csv").read_bytes()
        assert submission != (ran.folder / "submission.csv").read_bytes()

        words = ("--run", own.name, "--home", ran.home, "--no-pictures")
        predicted = lsdc_command("predict", ran.data, *words, "--out", tmp_path / "predicted")
        assert predicted.code == 0, predicted.err
        assert (tmp_path / "predicted" / "submission.csv").read_bytes() == submission

        write_bundle(ran.home, [own.name], tmp_path / "bundle", image=kaggle_image())
        program, out = tmp_path / "bundle" / "predict.py", tmp_path / "packed.csv"
        command = [sys.executable, program, ran.data, "--out", out]
        packed = subprocess.run(command, capture_output=True, text=True, check=False)
        assert packed.returncode == 0, packed.stdout + packed.stderr
        assert out.read_bytes() == submission

        again = ran.again("--set", "tta.mirror=true", "--set", "tta.rotate=[-10, 10]")
        assert again.ran == set()
        other = ran.again("--set", "tta.mirror=true", "--only-fold", "0")
        (another,) = set(ran.home.glob("runs/demo@*mirror*")) - {own}
        assert not (another / "fold-0" / "tensorboard").exists()
        assert "fold 0" in other.ran
    finally:
        for folder in ran.home.glob("runs/demo@*mirror*"):
            shutil.rmtree(folder)
        ran.again()


def test_run_with_one_fold_keeps_the_scores_of_all_folds(ran) -> None:
    before = {name: (ran.folder / name).read_bytes() for name in ("oof.parquet", "scores.json")}
    outcome = ran.again("--only-fold", "1", "--quiet", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert found["stages"]["computed"] == 0
    assert before == {name: (ran.folder / name).read_bytes() for name in before}
    assert found["scores"] == json.loads(before["scores.json"])
    assert not found["scores"]["partial"]
    assert found["files"]["out of fold"] == str(ran.folder / "oof.parquet")


def _use_another_backbone(copy: Path) -> None:
    presets = copy / "lsdc/challenges/lumbar/config/presets.toml"
    lines = presets.read_text().splitlines()
    demo = lines.index("[demo.model]")
    place = next(n for n, line in enumerate(lines) if n > demo and line.startswith("backbone"))
    lines[place] = 'backbone = "test_resnet"'
    presets.write_text("\n".join(lines))
