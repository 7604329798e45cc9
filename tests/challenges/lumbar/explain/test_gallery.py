"""Images for the gallery of a report."""

import io

import polars as pl
from PIL import Image

from lsdc.challenges.lumbar.explain.gallery import images_of
from lsdc.challenges.lumbar.report.figures.sources import read_run
from lsdc.challenges.lumbar.report.page.build import build_report
from tests.challenges.lumbar.explain.conftest import SmallRun
from tests.challenges.lumbar.report.made_run import assign, make_labels, predict
from tests.report.reading import read_page

CANAL = "spinal_canal_stenosis"


def test_pictures_have_a_line_about_each_slot(
    made_run: SmallRun, studies: list[int], same_process: None
) -> None:
    rows = pl.DataFrame(
        {
            "row_id": ["a", "b"],
            "study_id": studies[:2],
            "level": ["l4_l5", "l1_l2"],
            "condition": [CANAL, "left_subarticular_stenosis"],
        }
    )
    pictures = images_of(made_run, 2, threads=1).draw(rows)
    assert list(pictures) == ["a", "b"]
    for picture in pictures.values():
        with Image.open(io.BytesIO(picture.image)) as image:
            assert (image.format, image.size) == ("WEBP", (picture.width, picture.height))
        assert len(picture.seen) == 25
        assert any("image " in line and " mm, weight 0." in line for line in picture.seen)


def test_report_has_an_image_for_each_chosen_case(
    small_run: SmallRun, studies: list[int], same_process: None
) -> None:
    studied = studies[:-1]
    labels = make_labels(studied)
    oof = labels.rename({"grade": "label"}).join(assign(studied, folds=2), on="study_id")
    oof = oof.hstack(predict(labels, 1))
    oof.write_parquet(small_run.folder / "oof.parquet")
    (small_run.folder / "scores.json").write_text("{}")
    source = read_run(small_run.home, small_run.name)
    page = read_page(build_report([source], images_of(small_run, 4, threads=1)))
    drawn = [address for address in page.loaded if address.startswith("data:image/webp")]
    assert len(drawn) in (3, 4)  # a case may be chosen twice
    assert "could not be drawn" not in page.words


def test_report_is_written_without_images_that_cannot_be_drawn(
    small_run: SmallRun, studies: list[int], same_process: None
) -> None:
    next(small_run.home.root.rglob("crops.npy")).unlink()
    labels = make_labels(studies[:2])
    oof = labels.rename({"grade": "label"}).join(assign(studies[:2], folds=2), on="study_id")
    oof.hstack(predict(labels, 1)).write_parquet(small_run.folder / "oof.parquet")
    (small_run.folder / "scores.json").write_text("{}")
    source = read_run(small_run.home, small_run.name)
    page = read_page(build_report([source], images_of(small_run, 4, threads=1)))
    assert "The images could not be drawn: run demo: the crops of the train studies" in page.words
    assert page.cases["labels"]
