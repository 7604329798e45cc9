"""How long does `lsdc predict` take, compared with bare decoding and bare forward passes?

    python benchmarks/predict.py [--full] [--json] [--experiment demo] [--folds 4] [--studies 24]

Writes a phantom, trains the point models briefly, and gives the folds' models random weights, which
change no time. Then, in one run with the same number of threads (two by default), it measures

* predict: all of `predict_studies`, without pictures, for a few studies and for all of them. The
  difference gives the seconds a study, the rest is the fixed cost (the start of child processes).
  For a few studies also without tables (kinds told by tags), and with pictures;
* decode: the pixels of every used image, decoded once by dicomsdl in one process;
* forward: one pass of every fold's point models over every used image, and of every fold's model
  over every sample, on random values.

`ratio` is the time a study of predict, divided by that of decode and forward together: of wall time
and, as `ratio_cpu`, of CPU time, which other work on the machine disturbs less. Times are medians
over the rounds. The peak memory is measured in a run of its own, in blocks of a quarter of the
studies, as polling slows it down. A few patients are repeated to simulate many studies; all files
are in the page cache.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from costs import cost_of
from memory import peak_memory
from results import machine, record

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.challenges.lumbar.config.presets import EXPERIMENTS
from lsdc.challenges.lumbar.coordinates.learn import learn_points
from lsdc.challenges.lumbar.phantom.study import Order
from lsdc.challenges.lumbar.phantom.writer import write_phantom
from lsdc.challenges.lumbar.predict.models import TrainedModels
from lsdc.challenges.lumbar.predict.studies import predict_studies
from lsdc.challenges.lumbar.scoring.prior import prior_table
from lsdc.challenges.lumbar.training.network import build_model
from lsdc.challenges.lumbar.vocabulary import LEVELS, SeriesDescription
from lsdc.dicom_index.image_use import used_images
from lsdc.dicom_index.index import listed_series, read_shard
from lsdc.store.exact_names import read_parquet
from lsdc.training.checkpoint import save_weights
from lsdc.training.keypoints.nets import Net, load_net
from lsdc.training.models.model import SliceModel
from lsdc.training.process import KEEP_MEMORY, ignore
from lsdc.training.trained_fold import WEIGHTS

PATIENTS, TAUGHT = 4, 6
SLICES_AT_ONCE = 16


def main() -> None:
    """Make the models and studies, measure all figures and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="write the figures to RESULTS.md")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--experiment", default="demo", help="settings of the models [demo]")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--studies", type=int, default=24, help="a multiple of 4")
    parser.add_argument("--max-size", type=int, default=512, help="longest edge of the images, px")
    parser.add_argument("--min-steps", type=int, default=60, help="training of the point models")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    as_in_children = {**KEEP_MEMORY, "OMP_WAIT_POLICY": "PASSIVE"}
    if not as_in_children.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | as_in_children)
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "experiment": options.experiment,
            **take_figures(Path(folder), options),
        }
    if options.full:
        record("Prediction", "python benchmarks/predict.py --full", figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:32} {value}")


def take_figures(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures by name; `folder` has to be empty."""
    studies, threads = options.studies, options.threads
    phantom = folder / "phantom"
    order = Order(studies=TAUGHT, test=PATIENTS, seed=0, max_size=options.max_size)
    write_phantom(phantom, order)
    models = make_models(phantom, folder, options)
    few = repeat_studies(phantom, folder / "few", PATIENTS)
    many = repeat_studies(phantom, folder / "many", studies)
    loose = folder / "loose"
    loose.mkdir()
    (loose / "images").symlink_to(phantom / "test_images")

    def predict(root: Path, *, pictures: bool = False, studies_at_once: int = 64) -> None:
        predict_studies(
            root,
            models,
            folder / "out",
            device="cpu",
            threads=threads,
            pictures=pictures,
            studies_at_once=studies_at_once,
        )

    predict(few)  # compiled modules and files are cached after it
    works: dict[str, Callable[[], object]] = {
        "few": lambda: predict(few),
        "many": lambda: predict(many),
        "loose": lambda: predict(loose),
        "pictures": lambda: predict(few, pictures=True),
        **bare_works(phantom, models, threads),
    }
    rounds = [{name: cost_of(work) for name, work in works.items()} for _ in range(options.rounds)]
    cost = {name: np.median([each[name] for each in rounds], axis=0) for name in works}
    with peak_memory() as peak:
        predict(many, studies_at_once=max(1, studies // 4))
    a_study = (cost["many"] - cost["few"]) / (studies - PATIENTS)
    bare = (cost["decode"] + cost["forward"]) / PATIENTS
    seconds = {
        "predict_seconds": cost["many"],
        "predict_seconds_a_study": a_study,
        "predict_fixed_seconds": cost["few"] - PATIENTS * a_study,
        "loose_extra_seconds_a_study": (cost["loose"] - cost["few"]) / PATIENTS,
        "pictures_seconds_a_study": (cost["pictures"] - cost["few"]) / PATIENTS,
        "decode_seconds_a_study": cost["decode"] / PATIENTS,
        "forward_seconds_a_study": cost["forward"] / PATIENTS,
        "ratio": a_study / bare,
    }
    figures = {"studies": float(studies), "peak_mib": peak[0]}
    for name, (wall, cpu) in seconds.items():
        figures |= {name: float(wall), f"{name}_cpu": float(cpu)}
    return {name: round(value, 3) for name, value in figures.items()}


def make_models(phantom: Path, folder: Path, options: argparse.Namespace) -> TrainedModels:
    """Train point models on the phantom's training studies; give the folds random weights."""
    experiment = EXPERIMENTS.load(
        options.experiment,
        ("model.pretrained=false", f"coordinates.min_steps={options.min_steps}"),
    )
    competition = open_competition(phantom)
    index = folder / "index"
    index.mkdir()
    read_shard(competition, "train", listed_series(competition, "train"), index)
    ids = competition.labels["study_id"].unique(maintain_order=True).to_list()
    points = folder / "points"
    points.mkdir()
    learn_points(
        instances=read_parquet(index / "instances.parquet"),
        annotations=competition.annotations,
        folds=pl.DataFrame({"study_id": ids, "fold": [n % options.folds for n in range(len(ids))]}),
        config=experiment.coordinates.model_copy(update={"epochs": 1}),
        out=points,
        seed=0,
        device="cpu",
        threads=options.threads,
        processes=options.threads,
        log=folder / "log",
        on_event=ignore,
    )
    folds = {fold: folder / f"fold-{fold}" for fold in range(options.folds)}
    for fold, place in folds.items():
        place.mkdir()
        torch.manual_seed(fold)
        save_weights(place / WEIGHTS, build_model(experiment, pretrained=False).state_dict())
    return TrainedModels("benchmark", experiment, folds, points, prior_table(competition.labels))


def repeat_studies(phantom: Path, root: Path, count: int) -> Path:
    """Link the test patients as so many studies, with a table."""
    listed = pl.read_csv(phantom / "test_series_descriptions.csv", infer_schema=False)
    patients = listed["study_id"].unique(maintain_order=True).to_list()
    parts = []
    for number in range(count):
        patient, study = patients[number % PATIENTS], str(10**6 + number)
        target = root / "test_images" / study
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(phantom / "test_images" / patient)
        own = listed.filter(study_id=patient).with_columns(study_id=pl.lit(study))
        parts.append(own)
    pl.concat(parts).write_csv(root / "test_series_descriptions.csv")
    return root


def bare_works(
    phantom: Path, models: TrainedModels, threads: int
) -> dict[str, Callable[[], object]]:
    """Return the bare decoding and the bare forward passes of the patients."""
    with tempfile.TemporaryDirectory() as name:
        competition = open_competition(phantom)
        read_shard(competition, "test", listed_series(competition, "test"), Path(name))
        images = used_images(read_parquet(Path(name) / "instances.parquet"))
    torch.set_num_threads(threads)
    axial = images["series_description"] == str(SeriesDescription.AXIAL_T2)
    slices = {"axial": int(axial.sum()), "sagittal": int((~axial).sum())}
    nets = {
        views: [load_net(file).eval() for file in models.points.glob(f"fold-*-{views}.*")]
        for views in slices
    }
    graders = [build_model(models.experiment, pretrained=False).eval() for _ in models.folds]
    return {
        "decode": lambda: decode(images["path"].to_list()),
        "forward": lambda: forward(models.experiment, nets, graders, slices),
    }


def decode(paths: list[str]) -> None:
    """Decode the pixels of every file with dicomsdl in this process."""
    import dicomsdl

    for path in paths:
        dicomsdl.open(path).pixelData(storedvalue=True)


@torch.inference_mode()
def forward(
    experiment: Experiment,
    nets: dict[str, list[Net]],
    graders: list[SliceModel],
    slices: dict[str, int],
) -> None:
    """Run all models once over as many images and samples as the patients have."""
    for views, count in slices.items():
        size = _size_of(experiment, views)
        for net in nets[views]:
            for first in range(0, count, SLICES_AT_ONCE):
                net(torch.rand(min(SLICES_AT_ONCE, count - first), 3, size, size))
    samples, batch = PATIENTS * len(LEVELS), experiment.training.batch_size
    shape = (experiment.slices.count, *experiment.crops.shape)
    for model in graders:
        for first in range(0, samples, batch):
            some = min(batch, samples - first)
            crops = torch.randint(0, 256, (some, *shape), dtype=torch.uint8)
            model(crops, torch.ones(some, shape[0], dtype=torch.bool))


def _size_of(experiment: Experiment, views: str) -> int:
    config = experiment.coordinates
    return config.image_size if views == "sagittal" else config.axial_image_size


if __name__ == "__main__":
    main()
