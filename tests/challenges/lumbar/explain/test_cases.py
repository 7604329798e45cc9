"""Pictures of cases: their slots are those of the crops, explained by the right folds."""

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from lsdc.challenges.lumbar.config.crops import CropsConfig
from lsdc.challenges.lumbar.explain.cases import Case, CasePicture, draw_cases
from lsdc.challenges.lumbar.explain.samples import predicting
from lsdc.challenges.lumbar.explain.slots import read_slots
from lsdc.challenges.lumbar.explain.trained import TrainedRun
from lsdc.challenges.lumbar.report.study import gather_study
from lsdc.challenges.lumbar.results import RunResults
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slots import list_places
from lsdc.challenges.lumbar.training.network import read_grades
from lsdc.challenges.lumbar.training.samples import as_samples, read_table
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, Condition, SeriesDescription
from lsdc.errors import DataError
from lsdc.training.explanation import explain
from tests.challenges.lumbar.crops.cutting import cut_crops
from tests.challenges.lumbar.explain.conftest import EXPERIMENT, SLICES, SmallRun

CANAL = "spinal_canal_stenosis"
FORAMEN = "left_neural_foraminal_narrowing"

pytestmark = pytest.mark.usefixtures("same_process")


def draw(run: SmallRun, *cases: Case) -> list[CasePicture]:
    return list(draw_cases(run, cases, device="cpu"))


@pytest.fixture(scope="module")
def few_studies(studies: list[int]) -> list[int]:
    """Return a study of fold 0, one of fold 1 without T1, and one in no fold."""
    return [studies[0], studies[3], studies[-1]]


def test_slots_of_a_picture_are_those_of_the_crops_table(
    made_run: SmallRun, few_studies: list[int]
) -> None:
    cases = [Case(study, "l4_l5", CANAL) for study in few_studies]
    slices = pl.read_parquet(made_run.home.root / "all/0/slices.parquet")
    chosen = choose_slices(slices, SLICES).filter(level="l4_l5")
    samples = pl.read_parquet(made_run.home.root / "all/0/samples.parquet")
    places = list_places(SLICES)
    for case, picture in zip(cases, draw(made_run, *cases), strict=True):
        rows = chosen.filter(study_id=case.study_id)
        table = {row["place"]: row for row in rows.iter_rows(named=True)}
        (mask,) = samples.filter(study_id=case.study_id, level="l4_l5")["mask"]
        assert len(picture.slices) == len(places)
        for number, (seen, place) in enumerate(zip(picture.slices, places, strict=True)):
            assert (seen.kind, seen.part) == (place.description, place.part)
            if mask[number]:
                row = table[number]
                assert (seen.series_id, seen.instance_number) == (
                    row["series_id"],
                    row["instance_number"],
                )
                assert seen.offset_mm == pytest.approx(row["offset_mm"])
                assert 0 <= seen.weight <= 1
            else:
                assert (seen.series_id, seen.instance_number, seen.offset_mm) == (None,) * 3
                assert seen.weight == 0
        assert sum(seen.weight for seen in picture.slices) == pytest.approx(1)
        has_t1 = any(
            seen.instance_number is not None
            for seen in picture.slices
            if seen.kind == SeriesDescription.SAGITTAL_T1
        )
        assert has_t1 == (case.study_id != few_studies[1])


def test_study_of_a_fold_is_explained_by_that_fold_and_others_by_all(
    made_run: SmallRun, few_studies: list[int]
) -> None:
    cases = [Case(study, "l5_s1", FORAMEN) for study in few_studies]
    pictures = draw(made_run, *cases)
    assert [picture.folds for picture in pictures] == [(0,), (1,), (0, 1)]
    run = TrainedRun(made_run.home, made_run.name)
    results = RunResults(made_run.home, made_run.name)
    table = read_table(run.crops("train"), "train").filter(level="l5_s1")
    head = [str(each) for each in CONDITIONS].index(FORAMEN)
    for study, picture in zip(few_studies, pictures, strict=True):
        samples = as_samples(run.crops("train"), table.filter(study_id=study))
        expected = [
            next(
                explain(
                    results.model(fold),
                    samples,
                    probabilities=lambda logits: read_grades(EXPERIMENT, logits),
                    batch_size=8,
                    device=torch.device("cpu"),
                )
            )
            for fold in picture.folds
        ]
        weights = np.mean([each.weights[0, head] for each in expected], axis=0)
        found = [seen.weight for seen in picture.slices]
        np.testing.assert_allclose(found, weights, rtol=1e-4, atol=1e-6)
        strongest = np.mean([each.maps[0, head] for each in expected], axis=0).max()
        assert picture.strongest == pytest.approx(strongest, rel=1e-3)


def test_pictures_are_small_and_in_the_order_asked(
    made_run: SmallRun, few_studies: list[int]
) -> None:
    one, other = few_studies[:2]
    cases = [Case(one, "l1_l2", CANAL), Case(other, "l1_l2", CANAL), Case(one, "l1_l2", FORAMEN)]
    pictures = draw(made_run, *cases)
    again = draw(made_run, cases[2], cases[1])
    assert [picture.image for picture in again] == [pictures[2].image, pictures[1].image]
    for picture in pictures:
        with Image.open(io.BytesIO(picture.image)) as image:
            assert image.format == "WEBP"
            assert image.size == (picture.width, picture.height)
        assert len(picture.image) < 61_000
        assert picture.width < 900


def test_windows_are_centred_on_the_level_point(made_run: SmallRun, studies: list[int]) -> None:
    study = TrainedRun(made_run.home, made_run.name).gather(studies[1])
    points = {
        level: point
        for level, *point in study.points.select("level", "x_mm", "y_mm", "z_mm").iter_rows()
    }
    for (level, _), slots in read_slots(study, EXPERIMENT).items():
        for slot in slots:
            if slot.window is not None:
                at = slot.window.to_pixel([points[level]])[0]
                np.testing.assert_allclose(at, (16 - 1) / 2, atol=1e-6)
                away = slot.window.signed_distance([points[level]])[0]
                assert abs(away) == pytest.approx(abs(slot.offset_mm or 0))
                if slot.is_axial:  # the patient's left is on the right
                    assert slot.window.row_direction[0, 0] > 0.9


def test_right_samples_by_side_are_mirrored(
    results: Path, studies: list[int], tmp_path: Path
) -> None:
    """The slice in a slot of the right sample is that of the mirrored slot of the left one."""
    config = CropsConfig(size_px=16, by_side=True)
    own = pl.col("study_id") == studies[1]
    tables = {
        name: pl.read_parquet(results / f"{name}.parquet").filter(own)
        for name in ("instances", "slices", "landmarks", "points")
    }
    cut_crops(
        tables["instances"],
        tables["slices"],
        SLICES,
        config,
        tmp_path,
        landmarks=tables["landmarks"],
    )
    for name, table in tables.items():
        table.write_parquet(tmp_path / f"{name}.parquet")
    study = gather_study(studies[1], [tmp_path], SLICES)
    slots = read_slots(study, EXPERIMENT.model_copy(update={"crops": config}))
    left, right = slots["l4_l5", "left"], slots["l4_l5", "right"]
    for place, slot in enumerate(right):
        other = left[study.mirrored[place]]
        assert (slot.series_id, slot.instance_number, slot.offset_mm) == (
            other.series_id,
            other.instance_number,
            other.offset_mm,
        )
        if slot.is_axial and slot.window is not None:
            assert slot.window.row_direction[0, 0] < -0.9  # the patient's right is on the right


def test_heads_of_a_mirrored_sample_are_those_of_the_left_side() -> None:
    right, left = (
        Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
        Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
    )
    assert predicting(right, by_side=True) == (("right", CONDITIONS.index(left)),)
    assert predicting(left, by_side=True) == (("left", CONDITIONS.index(left)),)
    canal = Condition.SPINAL_CANAL_STENOSIS
    assert predicting(canal, by_side=True) == (("left", 0), ("right", 0))
    assert predicting(right, by_side=False) == ((None, CONDITIONS.index(right)),)


def test_missing_parts_are_named_with_a_remedy(small_run: SmallRun, studies: list[int]) -> None:
    with pytest.raises(DataError, match="study 8: no image in the results of the run"):
        draw(small_run, Case(8, "l4_l5", CANAL))
    with pytest.raises(DataError, match="no results of a run named dmeo; choose demo"):
        draw(SmallRun(small_run.home, "dmeo"), Case(studies[0], "l4_l5", CANAL))
    (small_run.folder / "fold-1" / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"fold 1 has no model .* folds: 0; train it"):
        draw(small_run, Case(studies[1], "l4_l5", CANAL))
    (small_run.home.root / "all/0/crops.npy").unlink()
    with pytest.raises(DataError, match="the crops of the train studies are missing in"):
        draw(small_run, Case(studies[0], "l4_l5", CANAL))
    (small_run.folder / "rests-on.json").write_text(json.dumps(["gone/0"]))
    with pytest.raises(DataError, match=r"tables of its images are missing .* run-local' again"):
        draw(small_run, Case(studies[0], "l4_l5", CANAL))
