"""How often does `lsdc predict` flag an extra or a missing vertebra?

    python benchmarks/vertebrae.py [--home HOME] [--studies 20] [--taught 40] [--folds 4] [--json]

Takes the models of the run `demo` in HOME. Without HOME it trains the point models of the demo on a
phantom whose patients have five lumbar vertebrae, and gives the folds' models random weights, which
change no name. Then it predicts three further phantoms.

    normal_flagged     of studies with five lumbar vertebrae, the fraction that is flagged
    normal_unknown     the fraction whose names are too unsure for the flag
    extra_...          of studies with six
    missing_...        of studies with four
    ..._named          the fraction of their levels that are found within 15 mm of their own disc,
                       counted from the sacrum as the phantom's answers are
"""

import argparse
import json
import os
import tempfile
from dataclasses import replace
from math import dist
from pathlib import Path

import polars as pl
from phantom_answers import OWN_DISC_MM
from predict import make_models

from lsdc.challenges.lumbar.config.coordinates import CoordinatesConfig
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.predict.models import Models, models_of_run
from lsdc.challenges.lumbar.predict.outcome import StudyOutcome
from lsdc.challenges.lumbar.predict.studies import predict_studies
from lsdc.predict.results import Prediction

VERTEBRAE = {"normal": 5, "extra": 6, "missing": 4}


def main() -> None:
    """Train the point models, predict the three phantoms and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="home of a run `demo` that learnt from phantoms")
    parser.add_argument("--studies", type=int, default=20, help="of each kind")
    parser.add_argument("--taught", type=int, default=40, help="studies to train on")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--max-size", type=int, default=192, help="longest edge of the images, px")
    parser.add_argument("--min-steps", type=int, default=CoordinatesConfig().min_steps)
    parser.add_argument("--seed", type=int, default=77, help="of the predicted phantoms")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.experiment, options.threads = "demo", os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as temporary:
        figures = take_figures(Path(temporary), options)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:16} {value:.3f}")


def take_figures(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return all figures by name; `folder` has to be empty."""
    models = taught_models(folder, options)
    figures: dict[str, float] = {}
    for kind, vertebrae in VERTEBRAE.items():
        order = Order(1, options.studies, options.seed, max_size=options.max_size)
        figures |= rates_of(kind, vertebrae, order, models, folder, options.threads)
    return figures


def taught_models(folder: Path, options: argparse.Namespace) -> Models:
    """Return the models that learnt from spines with five lumbar vertebrae."""
    if options.home:
        return models_of_run(options.home, "demo")
    taught = folder / "taught"
    write_phantom(taught, Order(studies=options.taught, test=1, seed=0, max_size=options.max_size))
    return make_models(taught, folder, options)


def rates_of(
    kind: str, vertebrae: int, order: Order, models: Models, folder: Path, threads: int
) -> dict[str, float]:
    """Return the figures of one kind of spine."""
    data = folder / kind
    write_phantom(data, replace(order, vertebrae=vertebrae))
    found = predict_studies(
        data, models, folder / f"{kind}-out", device="cpu", threads=threads, pictures=False
    )
    flags = [study.names and study.names.extra_or_missing for study in found.studies]
    return {
        f"{kind}_flagged": flags.count(True) / len(flags),
        f"{kind}_unknown": flags.count(None) / len(flags),
        f"{kind}_named": named_share(found, data),
    }


def named_share(found: Prediction[StudyOutcome], data: Path) -> float:
    """Return the fraction of all levels that are near their own disc."""
    true = pl.read_csv(data / "answers" / "points.csv").filter(split="test")
    places = {
        (study, level): place
        for study, level, *place in true.select(
            "study_id", "level", "x_mm", "y_mm", "z_mm"
        ).iter_rows()
    }
    errors = [
        dist(each.position_mm, places[study.study_id, level])
        for study in found.studies
        if study.names
        for level, each in study.names.levels.items()
        if each.position_mm
    ]
    return sum(error <= OWN_DISC_MM for error in errors) / len(places)


if __name__ == "__main__":
    main()
