"""The worker of a bundle: it predicts as `lsdc predict`, and says what it could not predict."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.ink.competition.run_length import encode
from lsdc.challenges.ink.inference import predict as maps
from lsdc.challenges.ink.masks.rule import Rule, make_mask
from lsdc.challenges.ink.masks.rules import mean_rule
from lsdc.challenges.ink.pack.submit import Submission
from lsdc.challenges.ink.predict import block
from lsdc.challenges.ink.predict.fragments import predict_fragments
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.errors import SettingsError, StageError
from lsdc.pack import worker
from lsdc.pack.worker import ALL, PARTS
from tests.challenges.ink.pack.conftest import pack
from tests.challenges.ink.predict.conftest import RULE, SHAPES

pytestmark = pytest.mark.usefixtures("same_process")
SAMPLE = "sample_submission.csv"

Predict = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """A submission that was written, the exit code of the worker, and its output."""

    submission: Path
    code: int
    out: str
    err: str

    @property
    def rows(self) -> dict[str, str | None]:
        """The cells of the submission by fragment; None is an empty mask."""
        return dict(pl.read_csv(self.submission, infer_schema=False).iter_rows())


@pytest.fixture
def predict(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Predict:
    """Return a function that predicts a folder: `predict.py` without libraries, then the worker."""

    def run(
        data: Path, *, of: Path = bundle, unknown: Sequence[str] = (), seconds: float = 1000.0
    ) -> Done:
        out, work = tmp_path / "submission.csv", tmp_path / "work"
        command = [sys.executable, "-I", "-S", of / "predict.py", data, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "neither in this Python" in done.stderr
        work.mkdir()
        order: dict[str, Any] = {
            **{"bundle": str(of), "test": str(data), "out": str(out), "work": str(work)},
            **{"log": str(tmp_path / "log"), "device": "cpu", "threads": 1, "memory_gb": 16.0},
            **{"seconds": seconds, "studies_at_once": 64, "unknown": list(unknown)},
        }
        (tmp_path / "order.json").write_text(json.dumps(order))
        monkeypatch.setattr(sys, "argv", ["submit", str(tmp_path / "order.json")])
        code = worker.main(Submission)
        said = capfd.readouterr()
        return Done(out, code, done.stdout + said.out, said.err)

    return run


@pytest.fixture
def data(competition: Path, tmp_path: Path) -> Path:
    """Copy the competition, to be changed."""
    return Path(shutil.copytree(competition, tmp_path / "data"))


def test_submission_is_that_of_a_prediction_to_the_bit(
    predict: Predict, competition: Path, models: TrainedModels, tmp_path: Path
) -> None:
    done = predict(competition)
    assert done.code == 0, done.err
    predict_fragments(competition, models, tmp_path / "out", device="cpu", pictures=False)
    assert done.submission.read_bytes() == (tmp_path / "out" / "submission.csv").read_bytes()
    assert all(done.rows.values())
    assert "2 fragments of 2 predicted from images by small" in done.out
    assert "1 of 2 fragments in " in done.out


def test_several_runs_are_predicted_by_their_mean_map_and_rule(
    predict: Predict, competition: Path, models: TrainedModels, tmp_path: Path
) -> None:
    runs = []
    for (fold, folder), threshold in zip(models.folds.items(), (0.7, 0.9), strict=True):
        own = Path(shutil.copytree(folder, tmp_path / f"run-{fold}" / folder.name))
        rule = replace(RULE, threshold=threshold)
        runs.append(replace(models, name=own.parent.name, folds={fold: own}, rule=rule))
    done = predict(competition, of=pack(tmp_path / "both", *runs))
    assert done.code == 0, done.err
    assert "predicted from images by run-0, run-3" in done.out
    alone = [tmp_path / each.name for each in runs]
    for out, each in zip(alone, runs, strict=True):
        predict_fragments(competition, each, out / "out", device="cpu", pictures=False)
    for name, shape in SHAPES.items():
        inside = np.ones(shape, bool)
        inside[:, :9] = False
        own = [np.load(out / f"out/maps/{name}.npy").astype(np.float32) for out in alone]
        assert np.abs(own[0] - own[1]).max() > 0.01
        mean = ((own[0] + own[1]) / 2).astype(np.float16)
        assert done.rows[name] == encode(make_mask(mean, inside, replace(RULE, threshold=0.8)))


def test_a_volume_is_prepared_once_for_all_runs(
    predict: Predict,
    competition: Path,
    models: TrainedModels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs, prepared, prepare = [], list[str](), block.prepare_shard
    for name in ("one", "two"):
        fold, folder = next(iter(models.folds.items()))
        own = Path(shutil.copytree(folder, tmp_path / name / folder.name))
        runs.append(replace(models, name=name, folds={fold: own}))

    def counting(fragments, *given, **named):  # type: ignore[no-untyped-def]
        prepared.append(fragments[0].name)
        return prepare(fragments, *given, **named)

    monkeypatch.setattr(block, "prepare_shard", counting)
    assert predict(competition, of=pack(tmp_path / "both", *runs)).code == 0
    assert prepared == ["b", "a"]


def test_rules_of_different_kinds_have_no_mean() -> None:
    value = Rule("value", 0.5)
    assert mean_rule({"a": RULE, "b": replace(RULE, threshold=0.9, min_region_px=9)}) == replace(
        RULE, threshold=pytest.approx(0.85), min_region_px=6
    )
    with pytest.raises(SettingsError, match=r"a, b: masks by quantile 0\.800, regions"):
        mean_rule({"a": RULE, "b": value})
    with pytest.raises(SettingsError, match=r"and with mask\.top in all of them or in none"):
        mean_rule({"a": value, "b": replace(value, top=0.9)})
    tops = {name: replace(value, top=top) for name, top in (("a", 0.7), ("b", 0.9))}
    assert mean_rule(tops).top == pytest.approx(0.8)


def test_damaged_layers_are_replaced_and_absent_fragments_have_an_empty_mask(
    predict: Predict, data: Path, models: TrainedModels, tmp_path: Path
) -> None:
    sample = (data / SAMPLE).read_text() + "nowhere_at_all,1 1\n"
    (data / SAMPLE).write_text(sample)
    (data / "test/a/surface_volume/31.tif").unlink()
    done = predict(data)
    assert done.code == 0, done.err
    assert [*done.rows] == ["b", "a", "nowhere_at_all"]
    assert done.rows["nowhere_at_all"] is None
    assert "2 fragments of 3 predicted from images" in done.out
    assert "1 fragment with an empty mask: not in the test folder (nowhere_at_all)" in done.out
    assert "fragment a: 1 layer replaced by the nearest: 31 by 30" in done.out
    predict_fragments(data, models, tmp_path / "out", device="cpu", pictures=False)
    assert done.submission.read_bytes() == (tmp_path / "out" / "submission.csv").read_bytes()


def test_a_mask_without_ink_is_an_empty_cell_as_in_a_run(
    predict: Predict, competition: Path, models: TrainedModels, tmp_path: Path
) -> None:
    blank = replace(models, rule=Rule("value", 1.0, min_region_px=9999))
    done = predict(competition, of=pack(tmp_path / "blank", blank))
    assert "2 fragments of 2 predicted from images by small" in done.out
    assert done.submission.read_text() == "Id,Predicted\nb,\na,\n"


def test_without_a_sample_submission_all_test_fragments_get_rows(
    predict: Predict, data: Path
) -> None:
    expected = predict(data).rows
    shutil.rmtree(data.parent / "work")
    (data / SAMPLE).unlink()
    (data / "test" / "notes.txt").write_text("no fragment")
    found = predict(data)
    assert "so all 2 fragments get rows" in found.out
    assert found.rows == {name: expected[name] for name in sorted(SHAPES)}


def test_a_fragment_that_fails_costs_no_other(
    predict: Predict, competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = maps.run_child, list[int]()

    def first_dies(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise StageError("the child process died")
        return real(*given, **named)

    monkeypatch.setattr(maps, "run_child", first_dies)
    done = predict(competition)
    assert done.code == PARTS
    assert "small: 1 fragment failed (b): the child process died" in done.err
    assert done.rows["b"] is None
    assert done.rows["a"] is not None


def test_too_short_a_time_leaves_empty_masks_in_all_rows(
    predict: Predict, competition: Path
) -> None:
    done = predict(competition, seconds=0.0)
    assert done.code == ALL
    assert "the time ended; 2 fragments not reached" in done.err
    assert done.rows == dict.fromkeys(SHAPES)
