"""Folds: whole patients, rare labels spread evenly, reproducible; leaky ones are marked."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lsdc.challenges.hemorrhage.competition.tables import Labels
from lsdc.challenges.hemorrhage.folds import (
    Folds,
    Holdout,
    are_leaky,
    assign_folds,
    hold_out,
    require_units,
    write_folds,
)
from lsdc.errors import DataError, SettingsError
from tests.challenges.hemorrhage.made_images import NAMES, make_images, make_labels


def folds_of_patients(folds: pl.DataFrame) -> dict[str, set[int]]:
    rows = folds.group_by("patient").agg(pl.col("fold").unique()).iter_rows()
    return {patient: set(own) for patient, own in rows}


@pytest.fixture(scope="module")
def images() -> pl.DataFrame:
    return make_images(60, seed=1)


@pytest.fixture(scope="module")
def labels(images: pl.DataFrame) -> pl.DataFrame:
    return make_labels(images, seed=1)


def test_each_patient_is_in_one_fold_and_folds_have_similar_sizes(
    images: pl.DataFrame, labels: pl.DataFrame
) -> None:
    folds = assign_folds(images, labels, 4, seed=0)
    Folds.check(folds)
    assert folds["image_id"].to_list() == sorted(images["image_id"])
    assert all(len(own) == 1 for own in folds_of_patients(folds).values())
    assert not are_leaky(folds)
    shares = folds["fold"].value_counts()["count"] / folds.height
    assert shares.is_between(0.2, 0.3).all()


def test_studies_and_labels_stay_with_their_images(
    images: pl.DataFrame, labels: pl.DataFrame
) -> None:
    folds = assign_folds(images, labels, 4, seed=0)
    given = images.select("image_id", "study_id", "patient").sort("image_id")
    assert folds.drop("fold").equals(given)


def test_rarest_label_is_spread_over_folds() -> None:
    images = make_images(40, seed=2)
    labels = make_labels(images, seed=2, bleeding=0.9)
    chosen = images["patient"].unique().sort().head(4)  # only these have an epidural haemorrhage
    rare = pl.col("image_id").is_in(
        images.filter(pl.col("patient").is_in(chosen.implode()))["image_id"].implode()
    )
    rare = rare.cast(pl.Int8)
    labels = labels.with_columns(epidural=rare, any=rare | pl.col("any"))
    found = folds_of_patients(assign_folds(images, labels, 4, seed=0))
    assert sorted(fold for patient in chosen for fold in found[patient]) == [0, 1, 2, 3]


def test_each_label_is_as_frequent_in_every_fold() -> None:
    images = make_images(400, seed=3)
    labels = make_labels(images, seed=3, bleeding=0.5)
    dealt = assign_folds(images, labels, 5, seed=0).join(labels, on="image_id")
    shares = dealt.group_by("fold").agg(pl.col(NAMES).mean())
    overall = dealt.select(pl.col(NAMES).mean())
    for name in ("any", "subdural", "subarachnoid", "intraparenchymal"):
        assert (shares[name] / overall[name].item()).is_between(0.8, 1.2).all()


@pytest.mark.parametrize("by", ["patient", "image"])
def test_split_depends_only_on_seed_and_set_of_images(
    images: pl.DataFrame, labels: pl.DataFrame, by: str
) -> None:
    folds = assign_folds(images, labels, 3, seed=5, by=by)
    again = assign_folds(
        images.sample(fraction=1, shuffle=True, seed=9), labels.reverse(), 3, seed=5, by=by
    )
    assert again.equals(folds)
    assert not assign_folds(images, labels, 3, seed=6, by=by).equals(folds)


def test_folds_by_image_hold_out_each_set_of_labels_and_are_leaky(
    images: pl.DataFrame, labels: pl.DataFrame
) -> None:
    folds = assign_folds(images, labels, 4, seed=42, by="image")
    assert are_leaky(folds)
    dealt = folds.join(labels, on="image_id").group_by("fold", *NAMES).len()
    spread = dealt.group_by(NAMES).agg(pl.col("len").max() - pl.col("len").min(), folds=pl.len())
    assert spread.filter(folds=4)["len"].max() <= 1


@pytest.mark.parametrize("by", ["patient", "image"])
@pytest.mark.parametrize("seed", range(8))
def test_no_fold_is_empty_with_few_patients(seed: int, by: str) -> None:
    random = np.random.default_rng(seed)
    patients = int(random.integers(2, 7))
    count = int(random.integers(2, patients + 1))
    images = make_images(patients, seed)
    if seed % 2:  # one image a patient
        images = images.unique("patient", keep="first", maintain_order=True)
    folds = assign_folds(images, make_labels(images, seed, bleeding=0.9), count, seed, by)
    assert folds["fold"].unique().sort().to_list() == list(range(count))


@pytest.mark.parametrize(("count", "said"), [(1, "expected 2 or more"), (4, "found 3 with images")])
def test_impossible_numbers_of_folds_are_refused(count: int, said: str) -> None:
    images = make_images(3)
    with pytest.raises(SettingsError, match=said):
        assign_folds(images, make_labels(images), count, seed=0)


def test_more_folds_than_there_are_is_refused_by_name() -> None:
    images = make_images(3)
    require_units(images, 3)
    require_units(images, images.height, "image")
    with pytest.raises(SettingsError, match=r"4 folds need at least as many patients, found 3"):
        require_units(images, 4)
    with pytest.raises(SettingsError, match=r"many images, found 1 with .* add images"):
        require_units(images.head(1), 2, "image")


def test_image_without_labels_is_refused(images: pl.DataFrame, labels: pl.DataFrame) -> None:
    first = sorted(images["image_id"])[0]
    with pytest.raises(DataError, match=rf"1 image without labels \(the first: {first}\)"):
        assign_folds(images, labels.filter(pl.col("image_id") != first), 2, seed=0)


def test_held_out_patients_match_the_fraction_in_any_order(
    images: pl.DataFrame, labels: pl.DataFrame
) -> None:
    held_out = hold_out(images, labels, 0.1, seed=0)
    assert 4 <= len(held_out) <= 8
    assert held_out == sorted(set(held_out) & set(images["patient"]))
    assert hold_out(images.reverse(), labels.reverse(), 0.1, seed=0) == held_out
    # The seed deals patients with equally many images of each kind, and so not all of them.
    assert any(hold_out(images, labels, 0.1, seed) != held_out for seed in range(1, 9))
    assert hold_out(images, labels, 0.0, seed=0) == []


@pytest.mark.parametrize(("share", "said"), [(0.001, "0% of 60 .* none"), (0.999, "of 60 .* all")])
def test_fraction_that_holds_out_no_or_all_patients_is_refused(
    images: pl.DataFrame, labels: pl.DataFrame, share: float, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        hold_out(images, labels, share, seed=0)


@pytest.mark.parametrize("by", ["patient", "image"])
def test_held_out_patients_are_in_no_fold_and_have_their_own_table(
    images: pl.DataFrame, labels: pl.DataFrame, tmp_path: Path, by: str
) -> None:
    patients = []
    for count in (2, 3):
        options = {"folds": count, "seed": 0, "strict": True, "by": by, "holdout": 0.2}
        studies = write_folds(labels, images, tmp_path, **options)
        folds, known, apart = (
            pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("folds", "labels", "holdout")
        )
        Labels.check(known)
        Holdout.check(apart)
        assert studies == folds["study_id"].n_unique()
        assert not set(apart["patient"]) & set(folds["patient"])
        assert sorted(known["image_id"]) == folds["image_id"].to_list()
        assert known.equals(labels.join(folds, on="image_id", how="semi"))
        assert set(apart["image_id"]) | set(folds["image_id"]) == set(images["image_id"])
        assert (
            apart.select(known.columns)
            .sort("image_id")
            .equals(labels.join(apart, on="image_id", how="semi").sort("image_id"))
        )
        patients.append(set(apart["patient"]))
    assert patients[0] == patients[1]  # whatever the number of folds
    assert 8 <= len(patients[0]) <= 16


def test_no_patient_is_held_out_by_default_and_test_images_are_in_no_fold(
    images: pl.DataFrame, labels: pl.DataFrame, tmp_path: Path
) -> None:
    both = pl.concat([images, make_images(3, split="test")])
    write_folds(labels, both, tmp_path, folds=2, seed=0, strict=True)
    assert pl.read_parquet(tmp_path / "holdout.parquet").is_empty()
    assert pl.read_parquet(tmp_path / "folds.parquet").height == images.height


def test_limit_takes_whole_studies(
    images: pl.DataFrame, labels: pl.DataFrame, tmp_path: Path
) -> None:
    studies = write_folds(labels, images, tmp_path, folds=2, seed=0, strict=True, limit=7)
    folds = pl.read_parquet(tmp_path / "folds.parquet")
    expected = images["study_id"].unique().sort().head(7)
    assert studies == 7
    assert folds["study_id"].unique().sort().equals(expected)
    assert folds.height == images.filter(pl.col("study_id").is_in(expected.implode())).height
    with pytest.raises(SettingsError, match="9 folds need at least as many patients"):
        write_folds(labels, images, tmp_path, folds=9, seed=0, strict=True, limit=7)


def test_images_left_out_are_named(
    images: pl.DataFrame, labels: pl.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unread, unlabelled = labels["image_id"][4], labels["image_id"][9]
    fewer = images.filter(pl.col("image_id") != unread)
    known = labels.filter(pl.col("image_id") != unlabelled)
    write_folds(known, fewer, tmp_path, folds=2, seed=0, strict=False)
    assert f"1 image with labels, but no usable file: {unread}; they are in no fold" in caplog.text
    assert f"1 image with no labels: {unlabelled}; they are in no fold" in caplog.text
    assert pl.read_parquet(tmp_path / "folds.parquet").height == images.height - 2
    with pytest.raises(DataError, match="complete them, or run without --strict"):
        write_folds(known, images, tmp_path, folds=2, seed=0, strict=True)


def test_leaky_folds_are_warned_of(
    images: pl.DataFrame,
    labels: pl.DataFrame,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_folds(labels, images, tmp_path, folds=2, seed=0, strict=True)
    assert "single images" not in caplog.text
    write_folds(labels, images, tmp_path, folds=2, seed=0, strict=True, by="image")
    assert "single images are held out" in caplog.text
