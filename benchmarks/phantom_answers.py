"""Compare the results of the stages with a phantom's answers."""

from pathlib import Path

import numpy as np
import polars as pl

from lsdc.challenges.lumbar.annotations.patient_space import planes_of
from lsdc.challenges.lumbar.config.experiment import SlicesConfig
from lsdc.challenges.lumbar.slices.choose import choose_slices
from lsdc.challenges.lumbar.slices.slots import Part, list_places
from lsdc.challenges.lumbar.vocabulary import CONDITIONS, Condition, SeriesDescription

# A point farther from its disc counts as wrong, whichever disc is the nearest.
OWN_DISC_MM = 15.0
XYZ = ["x_mm", "y_mm", "z_mm"]
TRUE = ["x_true", "y_true", "z_true"]
SLICE = ["study_id", "series_id", "instance_number", "level"]
# Names of the conditions' places in the phantom's answers.
PLACES = dict(
    zip(
        CONDITIONS, ("", "left_foramen_", "right_foramen_", "left_recess_", "right_recess_"),
        strict=True,
    )
)  # fmt: skip


def read_truth(data: Path, split: str = "train") -> pl.DataFrame:
    """Return a row per study, level and condition: its place, and whether images show it."""
    points = pl.read_csv(data / "answers" / "points.csv").filter(split=split)
    spines = pl.read_csv(data / "answers" / "spines.csv").with_columns(
        pl.col("hidden_level").cast(pl.String).fill_null("")
    )
    tables = [
        points.select(
            "study_id",
            "level",
            condition=pl.lit(str(condition)),
            **{f"{axis}_true": pl.col(f"{name}{axis}_mm") for axis in "xyz"},
        )
        for condition, name in PLACES.items()
    ]
    return (
        pl.concat(tables)
        .join(spines.drop("split"), on="study_id")
        .with_columns(
            shown=pl.col("level") != pl.col("hidden_level"),
            extra=pl.col("extra_vertebra") == 1,
        )
    )


def compare_points(found: Path, truth: pl.DataFrame) -> dict[str, float]:
    """Compare level points and landmarks with the answers."""
    points = pl.read_parquet(found / "points.parquet")
    canal = truth.filter(condition=str(Condition.SPINAL_CANAL_STENOSIS))
    both = canal.join(points, on=["study_id", "level"], how="left").with_columns(error=_error())
    wanted = both.filter("shown", ~pl.col("extra"))
    right = wanted.filter(_names_its_level(wanted, canal))
    absent = both.filter(~pl.col("shown"))
    spines = pl.read_parquet(found / "spines.parquet").join(
        truth.select("study_id", "extra").unique(), on="study_id"
    )
    cut = absent.select("study_id").unique()
    flagged = dict(
        spines.join(cut, on="study_id", how="anti")
        .group_by("extra")
        .agg(pl.col("extra_vertebra").mean())
        .iter_rows()
    )
    errors = wanted["error"].drop_nulls()
    figures = {
        "levels": len(wanted),
        "levels_right": len(right) / len(wanted),
        "levels_right_in_view": len(right.join(cut, on="study_id", how="anti"))
        / len(wanted.join(cut, on="study_id", how="anti")),
        "median_mm": errors.median(),
        "p95_mm": errors.quantile(0.95, "linear"),
        "worst_mm": errors.max(),
        "levels_without_row": wanted["error"].null_count(),
        "absent_said": absent["error"].null_count() / max(1, len(absent)),
        "extra_flagged": flagged.get(True, 1.0),
        "extra_false": flagged.get(False, 0.0),
    }
    landmarks = pl.read_parquet(found / "landmarks.parquet").join(
        truth.filter("shown", ~pl.col("extra")), on=["study_id", "level", "condition"]
    )
    landmarks = landmarks.with_columns(error=_error())
    for name in ("foraminal", "subarticular"):
        own = landmarks.filter(pl.col("condition").str.contains(name), source="predicted")["error"]
        figures |= {f"{name}_median_mm": own.median(), f"{name}_p95_mm": own.quantile(0.95)}
    return figures


def _error() -> pl.Expr:
    """Return the distance of the found point from the true one in mm."""
    pairs = zip(XYZ, TRUE, strict=True)
    squares = [(pl.col(a) - pl.col(b)) ** 2 for a, b in pairs]
    return pl.sum_horizontal(squares, ignore_nulls=False).sqrt()


def _names_its_level(found: pl.DataFrame, canal: pl.DataFrame) -> pl.Series:
    """Return whether each found point is at its own disc, and nearer to it than to another."""
    others = found.select("study_id", "level", *XYZ).join(
        canal.select("study_id", pl.col("level").alias("other"), *TRUE), on="study_id"
    )
    nearest = (
        others.with_columns(error=_error())
        .drop_nulls("error")
        .sort("error")
        .unique(["study_id", "level"], keep="first")
        .filter((pl.col("level") == pl.col("other")) & (pl.col("error") <= OWN_DISC_MM))
        .select("study_id", "level", right=True)
    )
    return found.join(nearest, on=["study_id", "level"], how="left", maintain_order="left")[
        "right"
    ].fill_null(False)


def compare_sides(folder: Path, truth: pl.DataFrame) -> dict[str, float]:
    """Compare sided annotations, predicted landmarks and side slices with the answers."""
    tallies = {
        "annotated": _landmarks_on_their_side(folder / "annotated", truth, "annotated"),
        "predicted": _landmarks_on_their_side(folder / "predicted", truth),
        "chosen": _slices_on_their_side(folder, truth),
    }
    right, total = (sum(column) for column in zip(*tallies.values(), strict=True))
    parts = {f"sides_right_{name}": good / all_ for name, (good, all_) in tallies.items()}
    return {"sides_right": right / total, "sides": total} | parts


def _side(condition: pl.Expr) -> pl.Expr:
    sides = {str(each): each.side and str(each.side) for each in Condition}
    return condition.replace_strict(sides, return_dtype=pl.String)


def _landmarks_on_their_side(points: Path, truth: pl.DataFrame, *sources: str) -> tuple[int, int]:
    """Count sided landmarks that are nearer to their own side's true place than to the other's."""
    landmarks = pl.read_parquet(points / "landmarks.parquet").filter(
        _side(pl.col("condition")).is_not_null()
    )
    if sources:
        landmarks = landmarks.filter(pl.col("source").is_in(sources))
    mirrored = {str(each): str(each.mirrored) for each in Condition}
    places = truth.select("study_id", "level", "condition", *TRUE)
    own = landmarks.join(places, on=["study_id", "level", "condition"]).select(own=_error())
    other = landmarks.with_columns(condition=pl.col("condition").replace_strict(mirrored))
    other = other.join(places, on=["study_id", "level", "condition"]).select(other=_error())
    return int((own["own"] < other["other"]).sum()), len(own)


def _slices_on_their_side(folder: Path, truth: pl.DataFrame) -> tuple[int, int]:
    """Count the sagittal slices chosen for a side that are on this side of the true canal."""
    config = SlicesConfig()
    chosen = choose_slices(pl.read_parquet(folder / "predicted" / "slices.parquet"), config)
    offsets = true_offsets(folder, truth)
    parts = {number: str(place.part) for number, place in enumerate(list_places(config))}
    sides = (
        chosen.with_columns(part=pl.col("place").replace_strict(parts))
        .filter(pl.col("part").is_in([str(Part.LEFT), str(Part.RIGHT)]))
        .join(offsets, on=SLICE)
    )
    named_left = sides["part"] == str(Part.LEFT)
    return int((named_left == (sides["true_offset_mm"] > 0)).sum()), len(sides)


def true_offsets(folder: Path, truth: pl.DataFrame) -> pl.DataFrame:
    """Return each slice's offset from each shown level's true point, to the left or the head."""
    instances = pl.read_parquet(folder / "index" / "instances.parquet")
    canal = truth.filter("shown", condition=str(Condition.SPINAL_CANAL_STENOSIS))
    pairs = instances.join(canal.select("study_id", "level", "extra", *TRUE), on="study_id")
    planes = planes_of(pairs)
    axial = (pairs["series_description"] == str(SeriesDescription.AXIAL_T2)).to_numpy()
    outward = np.where(axial[:, None], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    sense = np.sign((planes.normal * outward).sum(axis=1))
    away = -planes.signed_distance(pairs.select(TRUE).to_numpy()) * sense
    return pairs.select(*SLICE, "series_description", "extra", true_offset_mm=pl.Series(away))


def compare_axial(folder: Path, truth: pl.DataFrame) -> dict[str, float]:
    """Compare the chosen axial slices with the truly nearest ones."""
    axial = str(SeriesDescription.AXIAL_T2)
    true = true_offsets(folder, truth).filter(pl.col("series_description") == axial)
    true = true.filter(~pl.col("extra")).with_columns(away=pl.col("true_offset_mm").abs())
    nearest = true.sort("away").unique(["study_id", "level"], keep="first")
    gaps = true.group_by("study_id", "level").agg(
        gap=pl.col("away").sort().slice(0, 3).max() - pl.col("away").min()
    )
    figures: dict[str, float] = {"axial_levels": len(nearest)}
    for name in ("annotated", "predicted"):
        points = pl.read_parquet(folder / name / "points.parquet")
        points = points.select("study_id", "level", "source")
        slices = pl.read_parquet(folder / name / "slices.parquet")
        found = choose_slices(slices, SlicesConfig(axial_slices=1)).filter(series_description=axial)
        both = (
            nearest.join(found, on=["study_id", "level"], how="left", suffix="_found")
            .join(
                true.select(*SLICE, away_found="away"),
                left_on=["study_id", "series_id_found", "instance_number_found", "level"],
                right_on=SLICE,
                how="left",
            )
            .join(gaps, on=["study_id", "level"])
            .join(points, on=["study_id", "level"], how="left")
        )
        exact = (pl.col("away_found") <= pl.col("away") + 1e-9).fill_null(False)
        one_off = (pl.col("away_found") <= pl.col("away") + pl.col("gap") + 1e-9).fill_null(False)
        if name == "annotated":
            # Where no canal point is annotated, the level point is a guess from the other points.
            given = both.filter(source="annotated")
            figures["axial_exact"] = given.select(exact.mean()).item()
            figures["axial_exact_levels"] = len(given)
        else:
            figures["axial_within_one"] = both.select(one_off.mean()).item()
        figures[f"axial_exact_{name}_all"] = both.select(exact.mean()).item()
    return figures
