"""`predict.py` of a bundle, before any library is needed: rows, prior, refusals."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lsdc.challenges.ink.pack.layout import FORM as MASKS
from lsdc.challenges.lumbar.pack.layout import KIND
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, LEVELS
from lsdc.pack import entry

GRADES = ("normal_mild", "moderate", "severe")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Write two priors and the entry point, and no manifest."""
    folder = tmp_path / "bundle"
    for run, severe in (("first", 0.2), ("second", 0.4)):
        path = folder / "models" / run / "prior.csv"
        path.parent.mkdir(parents=True)
        rows = [f"{c},{v},0.5,{0.5 - severe},{severe}" for c in CONDITIONS for v in LEVELS]
        path.write_text("\n".join([",".join(["condition", "level", *GRADES]), *rows]) + "\n")
    shutil.copyfile(entry.__file__, folder / "predict.py")
    (folder / "submission.json").write_text(KIND.form.model_dump_json())
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make an empty test folder."""
    folder = tmp_path / "test"
    folder.mkdir()
    return folder


def predict(bundle: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the entry point with an isolated Python, which has no library."""
    command = [sys.executable, "-I", "-S", bundle / "predict.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows_of(path: Path) -> dict[str, list[float]]:
    """Return the rows of a submission."""
    with path.open(newline="") as file:
        return {row["row_id"]: [float(row[g]) for g in GRADES] for row in csv.DictReader(file)}


def test_submission_is_the_mean_prior_if_the_bundle_is_damaged(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    cell = f"{CONDITIONS[0]}_{LEVELS[0]}"
    sample = f"\ufeffrow_id,severe\r\n007_{cell},1\r\n\r\nknee,1\r\n007_{cell},1\r\n7_{cell}\r\n"
    (data / "sample_submission.csv").write_bytes(sample.encode() + b"\xff\xfe,\n")
    out = tmp_path / "new" / "submission.csv"
    done = predict(bundle, data, "--out", out)
    assert done.returncode == 2
    assert "bundle.json: cannot be read" in done.stderr
    assert "complete, but all of it is the prior" in done.stderr
    found = rows_of(out)
    assert list(found)[:3] == [f"007_{cell}", "knee", f"7_{cell}"]
    assert found[f"007_{cell}"] == found[f"7_{cell}"] == pytest.approx([0.5, 0.2, 0.3])
    assert found["knee"] == pytest.approx([1 / 3] * 3)
    assert [path.name for path in out.parent.iterdir()] == ["submission.csv"]


@pytest.mark.parametrize("known_by", ["table", "folders"])
def test_rows_are_those_of_all_studies_without_a_sample_submission(
    known_by: str, bundle: Path, data: Path, tmp_path: Path
) -> None:
    (data / "sample_submission.csv").write_bytes(b"")
    if known_by == "table":
        table = "study_id,series_id,series_description\n12,1,x\n9,2,y\n12,3,z\n"
        (data / "test_series_descriptions.csv").write_text(table)
    else:
        for name in ("12", "9", "notes"):
            (data / "test_images" / name).mkdir(parents=True)
    predict(bundle, data, "--out", tmp_path / "submission.csv")
    found = list(rows_of(tmp_path / "submission.csv"))
    cells = sorted(f"{c}_{v}" for c in CONDITIONS for v in LEVELS)
    assert found == [f"{study}_{cell}" for study in (9, 12) for cell in cells]


def test_a_folder_without_rows_or_a_submission_that_cannot_be_written_is_refused(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.csv"
    done = predict(bundle, tmp_path / "nowhere", "--out", out)
    assert (done.returncode, out.exists()) == (2, False)
    assert "nowhere: no such folder" in done.stderr
    done = predict(bundle, data, "--out", out)
    assert (done.returncode, out.exists()) == (2, False)
    assert "no row to predict" in done.stderr
    (data / "test_images" / "9").mkdir(parents=True)
    out.mkdir()
    done = predict(bundle, data, "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{out}: cannot be written (")
    assert "give another --out" in done.stderr
    assert list(tmp_path.glob(".submission*")) == []


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--threads", "0", "a number above 0, got 0"),
        ("--studies-at-once", "0", "a number above 0, got 0"),
        ("--hours", "0", "a number above 0, got 0.0"),
        ("--hours", "nan", "a number above 0, got nan"),
        ("--hours", "inf", "a number above 0, got inf"),
        ("--memory", "-16", "a number above 0, got -16.0"),
        ("--device", "gpu", "auto, cpu or cuda, got 'gpu'"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_written(
    option: str, value: str, expected: str, bundle: Path, data: Path, tmp_path: Path
) -> None:
    (data / "test_images" / "9").mkdir(parents=True)
    out = tmp_path / "submission.csv"
    done = predict(bundle, data, "--out", out, option, value)
    assert (done.returncode, out.exists()) == (2, False)
    assert done.stderr.endswith(f"predict.py: error: argument {option}: expected {expected}\n")


# In place of the bundle's code: writes the submission once more, and dies.
DYING = """
import csv, json, sys
order = json.load(open(sys.argv[-1]))
_, *rows = csv.reader(open(order["out"]))
with open(order["out"], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["row_id", "normal_mild", "moderate", "severe"])
    for number, (row_id, *values) in enumerate(rows):
        writer.writerow([row_id, *({values} if number == 0 else values)])
sys.exit(9)
"""


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ("values", 2, "but all of it is the prior"),
        ("(0.1, 0.2, 0.7)", 1, "with the prior where it was not reached"),
    ],
)
def test_what_a_dead_worker_has_predicted_is_told_by_the_rows(
    values: str, code: int, said: str, bundle: Path, data: Path, tmp_path: Path
) -> None:
    (data / "test_images" / "9").mkdir(parents=True)
    worker = bundle / "code" / "lsdc" / "child.py"
    worker.parent.mkdir(parents=True)
    (worker.parent / "__init__.py").touch()
    worker.write_text(DYING.replace("{values}", values))
    manifest = {"bundle": 1, "worker": "any", "files": {}, "libraries": {}, "python": "3.11"}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    done = predict(bundle, data, "--out", tmp_path / "submission.csv")
    assert done.returncode == code, done.stdout + done.stderr
    assert f"complete, {said}: the predicting process ended with exit code 9" in done.stderr


# In place of the bundle's code: writes a mask of many runs, and dies.
DYING_WITH_A_MASK = """
import json, sys
order = json.load(open(sys.argv[-1]))
with open(order["out"], "w", newline="") as file:
    print("Id,Predicted\\na,\\nb_2," + " ".join(map(str, range(1, 40000))), file=file)
sys.exit(9)
"""


def test_cells_may_be_text_of_items_without_parts(bundle: Path, data: Path, tmp_path: Path) -> None:
    shutil.rmtree(bundle / "models/second")
    (bundle / "models/first/prior.csv").write_text('Predicted\n""\n')
    (bundle / "submission.json").write_text(MASKS.model_dump_json())
    (data / "sample_submission.csv").write_text("Id,Predicted\na,1 1 5 1\nb_2,\n")
    out = tmp_path / "submission.csv"
    done = predict(bundle, data, "--out", out)
    assert out.read_text() == "Id,Predicted\na,\nb_2,\n"
    assert "2 rows;" in done.stdout
    assert "ask for nothing that is known" not in done.stdout
    worker = bundle / "code" / "lsdc" / "child.py"
    worker.parent.mkdir(parents=True)
    (worker.parent / "__init__.py").touch()
    worker.write_text(DYING_WITH_A_MASK)
    manifest = {"bundle": 1, "worker": "any", "files": {}, "libraries": {}, "python": "3.11"}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    done = predict(bundle, data, "--out", out)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "complete, with the prior where it was not reached" in done.stderr
