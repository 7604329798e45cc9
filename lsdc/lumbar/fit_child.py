"""The child process of `fit`: trains one fold and predicts it."""

import math
import time
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from lsdc.errors import StageError
from lsdc.experiments.config import Experiment
from lsdc.lumbar.metric import score as competition_score
from lsdc.lumbar.network import build_loss, build_mixing, build_model, describe, read_grades
from lsdc.lumbar.patient_augment import PatientAugment
from lsdc.lumbar.samples import as_rows, as_samples, count_repeats, read_table
from lsdc.lumbar.training_labels import asked, labels_to_learn
from lsdc.lumbar.vocabulary import CONDITIONS, GRADES
from lsdc.store.files import write_atomic
from lsdc.training.checkpoint import restore_weights, save_weights
from lsdc.training.device import pick_device
from lsdc.training.inference import predict_probabilities
from lsdc.training.loop import train
from lsdc.training.orders import leaving_on_sigterm
from lsdc.training.process import Tell, child_main
from lsdc.training.settings import TrainingSettings

_LEVEL = ["study_id", "level"]


def work(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Train the job's fold; see `lsdc.lumbar.fit.train_fold`."""
    started = time.monotonic()
    experiment = Experiment.model_validate(job["experiment"])
    fold, seed, out = job["fold"], job["seed"], Path(job["out"])
    device = pick_device(job["device"])
    torch.set_num_threads(job["threads"])

    crops, labels = Path(job["crops"]), pl.read_parquet(job["labels"])
    samples = asked(read_table(crops, "train"), experiment.labels)
    table = samples.join(pl.read_parquet(job["folds"]), on="study_id", maintain_order="left")
    inside, outside = table.filter(fold=fold), table.filter(pl.col("fold") != fold)
    if not len(inside) or not len(outside):
        raise StageError(
            f"fold {fold}: {len(inside)} samples to predict and {len(outside)} to train on, "
            "expected both; use fewer folds, or more studies that have images"
        )
    to_learn = labels_to_learn(
        labels,
        experiment.labels,
        pl.read_parquet(job["fill_from"]) if job["fill_from"] else None,
        soft=experiment.loss.labels == "soft",
    )
    learnt = outside.join(to_learn, on=_LEVEL, how="semi", maintain_order="left")
    tell_level = experiment.loss.level_weight > 0
    known = asked(labels, experiment.labels).join(inside, on=_LEVEL, how="semi")
    validation = as_samples(crops, inside, known, tell_level=tell_level)
    training = as_samples(crops, learnt, to_learn, tell_level=tell_level)
    repeats = count_repeats(training.labels, experiment.labels.oversample)
    training = replace(training, repeats=repeats)

    def score(found: NDArray[np.float64]) -> float:
        if not known["grade"].count():
            return math.nan  # nothing to score by in this fold
        return competition_score(known, _rows(experiment, inside, found)).score

    torch.manual_seed(seed)
    weights = None if job["weights"] is None else Path(job["weights"])
    pretrained = experiment.model.pretrained and not job["start_from"]
    model = build_model(experiment, pretrained=pretrained, weights=weights)
    if job["start_from"]:
        restore_weights(model, Path(job["start_from"]), of=f"{experiment.needs.weights}")
    config = experiment.training
    settings = TrainingSettings(
        **{field.name: getattr(config, field.name) for field in fields(TrainingSettings)}
    )
    probabilities = partial(read_grades, experiment)
    with leaving_on_sigterm() as is_told_to_leave:
        progress = train(
            model,
            training,
            validation,
            settings,
            augment=PatientAugment(experiment.augment, experiment.slices),
            mix=build_mixing(experiment),
            criterion=build_loss(experiment),
            probabilities=probabilities,
            score=score,
            seed=seed,
            device=device,
            workers=job["workers"],
            folder=out,
            identity=job["identity"],
            environment=describe(device),
            tell=tell,
            pauses=[out / "pause", out.parent / "pause"],
            is_told_to_leave=is_told_to_leave,
        )
    predict = partial(
        predict_probabilities,
        model,
        probabilities=probabilities,
        batch_size=settings.batch_size,
        device=device,
        on_batch=lambda _: tell({"epoch": settings.epochs, "epochs": settings.epochs}),
    )

    def predict_rows(rows: pl.DataFrame) -> pl.DataFrame:
        found = np.zeros((0, len(CONDITIONS), len(GRADES)))
        if len(rows):
            found = predict(as_samples(crops, rows))
        return _rows(experiment, rows, found)

    without_grade = asked(labels, experiment.labels).filter(pl.col("grade").is_null())
    to_fill = outside.join(without_grade, on=_LEVEL, how="semi", maintain_order="left")
    filled = predict_rows(to_fill).join(
        without_grade, on=[*_LEVEL, "condition"], how="semi", maintain_order="left"
    )
    held_out = predict_rows(samples.filter(pl.col("study_id").is_in(_held_out(job))))

    save_weights(out / "model.safetensors", model.state_dict())
    grades = labels.rename({"grade": "label"})
    oof = predict_rows(inside).join(
        grades, on=["study_id", "condition", "level"], how="left", maintain_order="left"
    )
    oof = oof.with_columns(fold=pl.lit(fold, dtype=pl.Int32))
    order = ["row_id", "study_id", "condition", "level", "fold", "label"]
    tables = {
        "oof": oof.select(*order, pl.exclude(order)),
        "unlabelled": filled,
        "holdout": held_out,
        "steps": pl.DataFrame(progress.steps),
        "history": pl.DataFrame(progress.epochs),
    }
    for name, rows in tables.items():
        with write_atomic(out / f"{name}.parquet") as temporary:
            rows.write_parquet(temporary)
    return {
        "fold": fold,
        "seed": seed,
        **describe(device),
        "processes": progress.processes,
        "epochs": progress.epoch,
        "kept": settings.keep,
        "selected": settings.keep != "last",
        "seconds": time.monotonic() - started,
    }


def _held_out(job: dict[str, Any]) -> list[int]:
    """The studies that are in no fold; their labels are not read."""
    if job["holdout"] is None:
        return []
    studies = pl.read_parquet(job["holdout"], columns=["study_id"])["study_id"]
    return studies.unique(maintain_order=True).to_list()


def _rows(experiment: Experiment, table: pl.DataFrame, found: NDArray[np.float64]) -> pl.DataFrame:
    return asked(as_rows(table, found), experiment.labels)


if __name__ == "__main__":
    child_main(work)
