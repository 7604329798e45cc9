"""Predictions equal those of a run's stages, wherever fragments lie, and go on after a kill."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from lsdc.challenges.ink.competition.run_length import decode
from lsdc.challenges.ink.competition.tables import Fragment, wanted_rows
from lsdc.challenges.ink.inference import predict as maps
from lsdc.challenges.ink.inference import predict_map as mapping
from lsdc.challenges.ink.inference.predict import PredictJob, Wanted, predict
from lsdc.challenges.ink.masks.encode import encode_masks
from lsdc.challenges.ink.predict import block
from lsdc.challenges.ink.predict.fragments import predict_fragments
from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.outcome import FragmentOutcome
from lsdc.challenges.ink.predict.sources import open_source
from lsdc.challenges.ink.scoring.submission import write_submission
from lsdc.challenges.ink.volumes.prepare import join_shards, list_units, prepare_shard
from lsdc.errors import DataError
from lsdc.predict.results import Prediction
from lsdc.training.process import ignore
from tests.challenges.ink.predict.conftest import SHAPES
from tests.in_process import run_jobs_here

pytestmark = pytest.mark.usefixtures("same_process")

Predicted = Prediction[FragmentOutcome]


def by_stages(root: Path, models: TrainedModels, work: Path) -> Path:
    """Return the submission that the functions of a run's stages make."""
    fragments = [Fragment(n, "test", root / "test" / n, shape) for n, shape in SHAPES.items()]
    shards, volumes = work / "shards", work / "volumes"
    units = list_units(fragments)
    volumes.mkdir(parents=True)
    for number, unit in enumerate(units):
        (shards / str(number)).mkdir(parents=True)
        prepare_shard(fragments, [unit], models.experiment.volume.bits, shards / str(number))
    bits = models.experiment.volume.bits
    join_shards(fragments, [*shards.iterdir()], volumes, bits=bits)
    job = PredictJob(
        experiment=models.experiment,
        models=tuple(models.folds.values()),
        volumes=volumes,
        wanted=tuple(
            Wanted(region=n, fragment=n, first_row=0, end_row=shape[0])
            for n, shape in SHAPES.items()
        ),
        out=work / "maps",
        identity="run",
        device="cpu",
        threads=1,
    )
    predict(job, log=work / "log", on_event=ignore)
    runs = encode_masks(SHAPES, job.out, volumes, models.rule)
    write_submission(runs, tuple(wanted_rows(root)), work / "submission.csv")
    return work / "submission.csv"


@pytest.fixture(scope="module")
def whole(
    models: TrainedModels, competition: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Predicted]:
    """Predict the competition's test fragments."""
    out = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch:
        run_jobs_here(patch, maps)
        return out, predict_fragments(competition, models, out, device="cpu")


def masks_of(out: Path) -> dict[str, np.ndarray]:
    """Return the masks of `predictions.csv` by fragment, flat, to the last pixel that is set."""
    table = pl.read_csv(out / "predictions.csv", infer_schema=False)
    return {
        row["Id"]: decode(row["Predicted"], SHAPES[row["Id"].rpartition("/")[2]])
        for row in table.iter_rows(named=True)
    }


def test_the_submission_equals_that_of_a_run_to_the_bit(
    models: TrainedModels, competition: Path, whole: tuple[Path, Predicted], tmp_path: Path
) -> None:
    expected = by_stages(competition, models, tmp_path)
    assert (whole[0] / "submission.csv").read_bytes() == expected.read_bytes()
    for name, shape in SHAPES.items():
        found = np.load(whole[0] / f"maps/{name}.npy")
        assert np.array_equal(found, np.load(tmp_path / f"maps/{name}.npy"))
        assert found.shape == shape
        assert 0.1 < masks_of(whole[0])[name][:, 9:].mean() < 0.21  # a quantile of 0.8


def test_fragments_anywhere_under_any_name_are_predicted_alike(
    models: TrainedModels, competition: Path, whole: tuple[Path, Predicted], tmp_path: Path
) -> None:
    root, out = tmp_path / "any", tmp_path / "out"
    for folder in ("x/deep", "y"):
        shutil.copytree(competition / "test/a", root / folder / "a")
    shutil.copytree(competition / "test/b", root / "b")
    (root / "b/ir.png").write_bytes(b"")
    (root / "notes.txt").write_text("none")
    found = predict_fragments(root, models, out, device="cpu", pictures=False)
    assert [each.fragment for each in found.studies] == ["b", "x/deep/a", "y/a"]
    masks, expected = masks_of(out), masks_of(whole[0])
    for name, mask in masks.items():
        assert np.array_equal(mask, expected[name[-1]])
    assert not (out / "submission.csv").exists()
    assert (out / "maps/x/deep/a.npy").is_file()
    assert {*found.others["what"]} == {"infrared picture", ".txt file"}
    files = pl.read_csv(out / "files.csv")
    assert files.group_by("used_as").len().sort("used_as").rows() == [("layer", 195), ("mask", 3)]


def test_only_folders_with_layers_are_fragments(tmp_path: Path) -> None:
    layers = [f"{folder}/surface_volume" for folder in ("a", "__MACOSX/a", "notes")]
    for folder, name in zip(layers, ("00.TIF", "._00.tif", "00.txt"), strict=True):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).touch()
    found = open_source(tmp_path, leave_out=tmp_path / "out", may_be_empty=False)
    assert found.folders == {"a": tmp_path / "a"}


def test_results_say_what_was_predicted(whole: tuple[Path, Predicted]) -> None:
    out, prediction = whole
    found = json.loads((out / "predictions.json").read_text())
    assert (found["run"], found["folds"]) == ("small", [0, 3])
    assert found["rule"] == "quantile 0.800, regions from 4 px"
    table = pl.read_csv(out / "fragments.csv")
    assert table.equals(prediction.rows)
    masks = masks_of(out)
    for each, row in zip(found["fragments"], table.iter_rows(named=True), strict=True):
        rows, columns = SHAPES[each["fragment"]]
        assert (row["fragment"], row["rows"], row["columns"]) == (each["fragment"], rows, columns)
        assert each["mask_pixels"] == row["mask_pixels"] == rows * (columns - 9)
        assert each["ink_pixels"] == row["ink_pixels"] == masks[each["fragment"]].sum()
        probabilities = np.load(out / each["map"]).astype(np.float64)
        assert each["mean_probability"] == pytest.approx(probabilities[:, 9:].mean())
        assert (each["predicted_from"], each["doubts"]) == ("images", [])


def test_each_fragment_has_a_picture_and_nothing_else_is_left(
    whole: tuple[Path, Predicted],
) -> None:
    out, _ = whole
    assert {path.name for path in (out / "pictures").iterdir()} == {"a.png", "b.png"}
    for path in (out / "pictures").iterdir():
        with Image.open(path) as picture:
            drawn = np.asarray(picture.convert("RGB"))
        assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 100
    results = {"predictions.csv", "fragments.csv", "files.csv", "submission.csv"}
    more = {"predictions.json", "maps", "pictures", "predict.log", ".predict.lock"}
    assert {path.name for path in out.iterdir()} == results | more


def same_results(one: Path, other: Path) -> None:
    names = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert names == sorted(path.relative_to(other) for path in other.rglob("*.*"))
    for name in names:
        if name.name != "predict.log" and (one / name).is_file():
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_prediction_killed_amid_a_map_goes_on_with_the_same_bits(
    models: TrainedModels,
    competition: Path,
    whole: tuple[Path, Predicted],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, rows = tmp_path / "out", list[int]()
    predict_row = mapping._predict_row
    monkeypatch.setitem(mapping.predict_map.__kwdefaults__, "save_seconds", 0.0)

    def killed(*given, **named):  # type: ignore[no-untyped-def]
        rows.append(given[1])
        if len(rows) == 5:  # the second row of tiles of the second fragment
            raise KeyboardInterrupt
        return predict_row(*given, **named)

    def never(*_given: object, **_named: object) -> int:
        raise AssertionError

    monkeypatch.setattr(mapping, "_predict_row", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_fragments(competition, models, out, device="cpu")
    assert not (out / "predictions.csv").exists()
    assert rows[-1] == 1
    monkeypatch.setattr(block, "prepare_shard", never)  # volumes are there
    found = predict_fragments(competition, models, out, device="cpu")
    assert found.kept == 1
    assert rows[5] == 1
    same_results(whole[0], out)


def test_a_prediction_killed_while_it_removes_a_volume_goes_on_with_the_same_bits(
    models: TrainedModels,
    competition: Path,
    whole: tuple[Path, Predicted],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, remove = tmp_path / "out", shutil.rmtree

    def killed(folder: Path, **named: bool) -> None:
        if folder.name.startswith("working-") and not named:
            remove(folder / block.VOLUME)
            raise KeyboardInterrupt
        remove(folder, **named)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            predict_fragments(competition, models, out, device="cpu")
    predict_fragments(competition, models, out, device="cpu")
    same_results(whole[0], out)


def test_a_submission_is_complete_without_any_fragment(
    models: TrainedModels, competition: Path, tmp_path: Path
) -> None:
    root, out = tmp_path / "empty", tmp_path / "out"
    root.mkdir()
    shutil.copy(competition / "sample_submission.csv", root)
    found = predict_fragments(root, models, out, device="cpu")
    assert (out / "submission.csv").read_text() == "Id,Predicted\nb,\na,\n"
    assert (found.unknown_rows, found.studies) == (2, [])


def test_a_folder_without_fragments_is_refused(models: TrainedModels, tmp_path: Path) -> None:
    root = tmp_path / "fragments"
    root.mkdir()
    (root / "00.tif").write_text("no layer")
    with pytest.raises(DataError, match="none of 1 file below it is a layer in surface_volume/"):
        predict_fragments(root, models, tmp_path / "out", device="cpu")
    with pytest.raises(DataError, match="nowhere: no such folder, expected one with fragments"):
        predict_fragments(root / "nowhere", models, tmp_path / "out", device="cpu")


def test_the_command_loads_no_torch() -> None:
    script = (
        "import sys, lsdc.challenges.ink.predict.fragments\n"
        "import lsdc.challenges.ink.terminal.predictions\nprint(*sorted(sys.modules))"
    )
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"prefect", "torch", "duckdb"} & set(done.stdout.split())
