"""How accurate are level points, sides and chosen slices?

    python benchmarks/geometry.py [--full] [--studies 60] [--min-steps 120] [--crops] [--methods]
                                  [--scatter 0] [--json] [--folder DIR] [--seed 1]

This runs the stages index, folds, coordinates and sides on a phantom of hard geometry (slices up to
15 degrees oblique, scoliosis, fields of view off centre, both orders of slices, HFS and FFS,
missing series, levels out of view, extra vertebrae) and compares the results with its answers.
Points of training studies are out of fold: four folds, the settings of `CoordinatesConfig`,
at least `--min-steps` steps.

    sides_right        fraction of landmarks, annotations and side slices on the right side
    levels_right       fraction of levels found at their own disc; a level that images show but
                       that has no row is wrong; levels_right_in_view: of studies with all five
    median_mm, p95_mm  errors of the 3-D level points
    axial_exact        from annotated canal points: fraction of levels whose first axial slice is
                       the truly nearest one
    axial_within_one   from predicted points: the same, or one of its neighbours
    unseen_...         level points of test studies of another phantom (twenty, or `--studies` if
                       fewer), the median over the models of all folds

These are of studies with five lumbar vertebrae. `extra_flagged` is the fraction of studies with six
that are flagged, `extra_false` the fraction of the others, if all five levels are in view.
`absent_said` is the fraction of levels that no image shows which have no row.

Annotations are at the true places, or scatter by `--scatter` mm as annotators' do (`gap.py`).
`--methods` also measures the other two methods: segmentation and regression.

The default is 60 studies of up to 320 px; `--full` takes 200 of up to 1,024 px, with the crop
stage's figures (`--crops`), and writes RESULTS.md.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import polars as pl
from crop_stage import take_crop_figures
from phantom_answers import compare_axial, compare_points, compare_sides, read_truth
from results import record

from lsdc.challenges.lumbar.competition.tables import Competition, open_competition
from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.coordinates.annotated import write_annotated
from lsdc.challenges.lumbar.coordinates.learn import learn_points, locate_points
from lsdc.challenges.lumbar.folds import write_folds
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.slices.slice_offsets import measure_offsets
from lsdc.training.process import ignore
from tests.dicom_index.indexing import build_index

STUDIES, SIZE = 60, 320
FULL_STUDIES, FULL_SIZE = 200, 1024
FOLDS = 4
UNSEEN = 20


def main() -> None:
    """Write the phantom, run the stages, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--min-steps", type=int, default=CoordinatesConfig().min_steps)
    parser.add_argument("--crops", action="store_true", help="with the crop stage's figures")
    parser.add_argument("--methods", action="store_true", help="all ways to find points")
    parser.add_argument("--scatter", type=float, default=0.0, help="of annotated points, mm")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="keep the phantom and the tables here")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    studies, size = (FULL_STUDIES, FULL_SIZE) if options.full else (options.studies, SIZE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        config = CoordinatesConfig(min_steps=options.min_steps)
        figures = measure(folder, studies, size, options.seed, options.scatter, config)
        if options.methods:
            figures |= compare_methods(folder, config)
        if options.crops or options.full:
            crops = folder / "crops"
            crops.mkdir()
            figures |= take_crop_figures(crops)
    if options.full:
        record("Geometry", "python benchmarks/geometry.py --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:24s} {value:.4g}" if isinstance(value, float) else f"{name:24s} {value}")


def measure(
    folder: Path, studies: int, size: int, seed: int, scatter_mm: float, config: CoordinatesConfig
) -> dict[str, Any]:
    """Return all figures of one phantom, and the seconds of its stages."""
    seconds: dict[str, float] = {}
    data = folder / "phantom"
    if not data.exists():
        with _clock(seconds, "phantom"):
            write_phantom(
                data,
                Order(
                    studies=studies,
                    test=0,
                    seed=seed,
                    max_size=size,
                    geometry="hard",
                    scatter_mm=scatter_mm,
                ),
            )
    walk(data, folder, seconds, config)
    truth = read_truth(data)
    figures: dict[str, Any] = {"studies": studies, "max_size": size}
    figures |= compare_sides(folder, truth)
    figures |= compare_points(folder / "predicted", truth)
    figures |= compare_axial(folder, truth)
    with _clock(seconds, "unseen"):
        figures |= compare_unseen(folder, min(UNSEEN, studies), size, seed + 1)
    return figures | {f"{name}_seconds": value for name, value in seconds.items()}


def compare_unseen(folder: Path, studies: int, size: int, seed: int) -> dict[str, float]:
    """Measure level points of another phantom: the median over the models of all folds."""
    data, index, out = (folder / name for name in ("unseen", "unseen-index", "unseen-points"))
    if not data.exists():
        write_phantom(
            data, Order(studies=1, test=studies, seed=seed, max_size=size, geometry="hard")
        )
    for each in (index, out):
        each.mkdir(exist_ok=True)
    build_index(open_competition(data), "test", index)
    cores = os.cpu_count() or 1
    locate_points(
        instances=pl.read_parquet(index / "instances.parquet"),
        models=folder / "predicted",
        out=out,
        device="cpu",
        threads=cores,
        processes=cores,
        log=folder / "children.log",
        on_event=ignore,
    )
    found = compare_points(out, read_truth(data, "test"))
    kept = ("levels", "levels_right", "median_mm", "p95_mm", "worst_mm", "levels_without_row")
    return {f"unseen_{name}": found[name] for name in kept}


class _clock:  # noqa: N801 (a context manager, used as a verb)
    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = time.monotonic() - self._start


def walk(
    data: Path,
    folder: Path,
    seconds: dict[str, float],
    config: CoordinatesConfig,
    *,
    seed: int = 0,
) -> None:
    """Run index, folds, coordinates and sides, with predicted and with annotated points.

    Writes the results of the stages to `folder`: index/, folds.parquet, labels.parquet, predicted/
    and annotated/.
    """
    competition = open_competition(data)
    index = folder / "index"
    index.mkdir(exist_ok=True)
    with _clock(seconds, "index"):
        build_index(competition, "train", index)
    instances = pl.read_parquet(index / "instances.parquet")
    studies = pl.read_parquet(index / "studies.parquet")
    write_folds(competition.labels, studies, folder, folds=FOLDS, seed=seed, strict=False)
    with _clock(seconds, "coordinates"):
        _learn(competition, folder, config, folder / "predicted", seed)
    (folder / "annotated").mkdir(exist_ok=True)
    write_annotated(instances, competition.annotations, folder / "annotated")
    with _clock(seconds, "sides"):
        for name in ("predicted", "annotated"):
            measure_offsets(
                instances,
                pl.read_parquet(folder / name / "points.parquet"),
                competition.annotations,
                folder / name,
                landmarks=pl.read_parquet(folder / name / "landmarks.parquet"),
            )


def _learn(
    competition: Competition, folder: Path, config: CoordinatesConfig, out: Path, seed: int
) -> None:
    cores = os.cpu_count() or 1
    learn_points(
        instances=pl.read_parquet(folder / "index" / "instances.parquet"),
        annotations=competition.annotations,
        folds=pl.read_parquet(folder / "folds.parquet"),
        config=config,
        out=out,
        seed=seed,
        device="cpu",
        threads=cores,
        processes=cores,
        log=folder / "children.log",
        on_event=ignore,
    )


def compare_methods(folder: Path, config: CoordinatesConfig) -> dict[str, float]:
    """Return the figures of level points and landmarks, and the seconds, of each other method."""
    competition, truth = open_competition(folder / "phantom"), read_truth(folder / "phantom")
    figures: dict[str, float] = {}
    default, *others = get_args(CoordinatesConfig.model_fields["method"].annotation)
    assert default == config.method
    for method in others:
        seconds: dict[str, float] = {}
        with _clock(seconds, "seconds"):
            other = config.model_copy(update={"method": method})
            _learn(competition, folder, other, folder / method, seed=0)
        found = compare_points(folder / method, truth) | seconds
        kept = (
            *("levels_right", "median_mm", "p95_mm", "foraminal_median_mm", "foraminal_p95_mm"),
            *("subarticular_median_mm", "subarticular_p95_mm", "seconds"),
        )
        figures |= {f"{method} {name}": found[name] for name in kept}
    return figures


if __name__ == "__main__":
    main()
