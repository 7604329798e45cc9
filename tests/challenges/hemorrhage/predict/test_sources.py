"""Studies of any folder: which images are used, and what becomes of damaged files."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdc.challenges.hemorrhage.predict.models import TrainedModels
from lsdc.challenges.hemorrhage.predict.sources import Source, open_source
from lsdc.challenges.hemorrhage.predict.studies import HeadPrediction, predict_studies
from lsdc.predict.workplace import Workplace
from lsdc.training.process import ignore
from tests.challenges.hemorrhage.ct_files import made_up, write_ct, write_stack
from tests.challenges.hemorrhage.training.planted import NAMES

AXIAL = range(0, 30, 5)


def source_of(root: Path, work: Path) -> Source:
    work.mkdir()
    at = Workplace(work, work / "log", "cpu", 1, ignore)
    return open_source(root, at, 64, work, may_be_empty=False, on_files=lambda *_: None)


def images_of(root: Path, work: Path) -> pl.DataFrame:
    """Return the images of a folder of few studies."""
    source = source_of(root, work)
    (block,) = source.blocks
    return source.read(block).images


def cut(path: Path, share: float) -> None:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def predicted(root: Path, models: TrainedModels, out: Path) -> HeadPrediction:
    return predict_studies(root, models, out, device="cpu")


def study_in(out: Path, study: str) -> dict[str, Any]:
    found = json.loads((out / "predictions.json").read_text())["studies"]
    (own,) = [each for each in found if each["study_id"] == made_up("study", study, digits=10)]
    return dict(own)


def test_localizers_other_planes_and_other_modalities_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "studies"
    write_stack(root / "axial", "a", AXIAL, tilt=25.0)
    write_stack(
        root / "scout", "a", [0], series="2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    write_stack(root / "coronal", "a", [0, 5], series="3", tilt=90.0)
    write_stack(root / "mr", "a", [0, 5], series="4", Modality="MR")
    images = images_of(root, tmp_path / "work")
    reasons = {
        made_up("series", "a", series, digits=10): reason
        for series, reason in (
            ("1", None),
            ("2", "localizer, by ImageType"),
            ("3", "slices in another plane than axial, as reformatted ones"),
            ("4", "modality MR, expected CT"),
        )
    }
    found = dict(images.select("series_id", "left_out").unique().iter_rows())
    assert found == reasons
    assert images.filter(pl.col("left_out").is_null())["order"].to_list() == [*range(len(AXIAL))]


def test_images_are_named_by_their_files_or_else_by_their_paths(tmp_path: Path) -> None:
    root = tmp_path / "studies"
    for study in ("a", "b"):
        for number, z in enumerate((0, 5)):
            image = made_up(study, number)
            write_ct(root / study, image, study=study, position=(0, 0, z), name=f"{number}")
    write_ct(root / "b", made_up("b", 2), study="b", position=(0, 0, 10), name="other")
    images = images_of(root, tmp_path / "work")
    assert sorted(images["image_id"]) == ["a/0", "a/1", "b/0", "b/1", "other"]


def test_copies_are_read_once_and_other_files_with_the_same_uid_not_at_all(tmp_path: Path) -> None:
    root = tmp_path / "studies"
    first, second = write_stack(root / "one", "a", [0, 5])
    copies = root / "a-folder-of-copies"  # the file with the shortest path is the original
    copies.mkdir()
    shutil.copy(first, copies / "again.dcm")
    altered = bytearray(second.read_bytes())
    altered[-1] = 1
    (copies / "altered.dcm").write_bytes(altered)
    source = source_of(root, tmp_path / "work")
    assert len(source.read(source.blocks[0]).images) == 2
    assert [Path(path).name for path in source.others["path"]] == ["again.dcm"]
    ((path, reason),) = source.quarantine.select("path", "reason").iter_rows()
    assert (Path(path).name, "another file has the same id" in reason) == ("altered.dcm", True)


@pytest.mark.usefixtures("same_process")
@pytest.mark.parametrize(
    ("shares", "sources", "doubts"),
    [
        # Pixels that cannot be read: neighbours.
        ([1, 1, 0.97, 1], ["images", "images", "neighbours", "images"], 1),
        # A header that cannot be read: its study is not known.
        ([1, 0.1, 1, 1], ["images", "images", "images"], 0),
        ([0.97] * 4, ["prior"] * 4, 1),
    ],
)
def test_damaged_files_are_named_and_predicted_from_neighbours_or_by_the_prior(
    shares: Sequence[float],
    sources: Sequence[str],
    doubts: int,
    models: TrainedModels,
    tmp_path: Path,
) -> None:
    root, out = tmp_path / "studies", tmp_path / "out"
    files = write_stack(root, "a", [0, 5, 10, 15])
    for path, share in zip(files, shares, strict=True):
        if share < 1:
            cut(path, share)
    found = predicted(root, models, out)
    study = study_in(out, "a")
    assert [image["source"] for image in study["images"]] == sources
    assert len(study["doubts"]) == doubts
    bad = [path.name for path, share in zip(files, shares, strict=True) if share < 1]
    assert found.quarantine["path"].to_list() == sorted(bad)
    assert found.quarantine["reason"].str.len_chars().min() > 0
    table = pl.read_csv(out / "predictions.csv")
    assert len(table) == len(files) * len(NAMES)
    assert table["Label"].is_between(0, 1, closed="none").all()
    assert table["source"].eq("prior").sum() == len(NAMES) * (
        len(files) - len([each for each in sources if each != "prior"])
    )


@pytest.mark.usefixtures("same_process")
def test_a_damaged_slice_is_the_mean_of_its_neighbours(
    models: TrainedModels, tmp_path: Path
) -> None:
    root = tmp_path / "studies"
    files = write_stack(root, "a", [0, 5, 10])
    cut(files[1], 0.97)
    found = predicted(root, models, tmp_path / "out").images
    values = found.select(NAMES).to_numpy()
    assert values[1] == pytest.approx((values[0] + values[2]) / 2)
    assert found["source"].to_list() == ["images", "neighbours", "images"]


@pytest.mark.usefixtures("same_process")
def test_several_series_have_a_picture_each_and_the_study_the_higher_probability(
    models: TrainedModels, tmp_path: Path
) -> None:
    root, out = tmp_path / "studies", tmp_path / "out"
    write_stack(root / "1", "a", AXIAL)
    write_stack(root / "2", "a", AXIAL, series="2", PixelData=b"\x10\x04" * 256)
    write_stack(root / "3", "b", AXIAL, patient="one")
    write_stack(root / "3", "b", [40], patient="two", series="1b")
    write_stack(root / "4", "c", AXIAL, Modality="MR")
    found = predicted(root, models, out)
    names = {letter: made_up("study", letter, digits=10) for letter in "abc"}
    pictures = [path.name for path in (out / "pictures").iterdir()]
    counts = {letter: sum(name in each for each in pictures) for letter, name in names.items()}
    assert counts == {"a": 2, "b": 2, "c": 0}
    own = found.rows.filter(study_id=names["a"], label="any")
    images = found.images.filter(study_id=names["a"])
    assert own["probability"].item() == images["any"].max()
    assert images["series_id"].n_unique() == 2
    assert study_in(out, "b")["doubts"] == ["its images name 2 patients"]
    none = study_in(out, "c")
    assert none["doubts"] == ["predicted by the prior: no series that the models use"]
    assert none["series"][0]["left_out"] == "modality MR, expected CT"
    assert [row["probability"] for row in none["predictions"]] == pytest.approx(
        [models.prior[name] for name in NAMES]
    )
