"""One fold: trained in a child process, which leaves its model and out-of-fold predictions."""

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.errors import StageError
from lsdc.store.files import digest_file
from lsdc.training.process import run_child
from lsdc.training.trained_fold import FACTS, read_trained

CHILD = "lsdc.challenges.lumbar.training.train_fold_child"
RESULTS = (
    "model.safetensors",
    "oof.parquet",
    "unlabelled.parquet",
    "holdout.parquet",
    "steps.parquet",
    "history.parquet",
)


def train_fold(
    *,
    experiment: Experiment,
    fold: int,
    crops: Path,
    labels: Path,
    folds: Path,
    out: Path,
    identity: str,
    seed: int,
    device: str,
    threads: int,
    workers: int,
    log: Path,
    on_progress: Callable[[dict[str, Any]], None],
    start_from: Path | None = None,
    fill_from: Path | None = None,
    weights: Path | None = None,
    holdout: Path | None = None,
) -> None:
    """Train on the other folds and predict this one; start again to go on where it was killed.

    `out` then holds model.safetensors, oof.parquet (row_id, study_id, condition, level, fold,
    label, normal_mild, moderate, severe: every row of the fold's studies that have samples),
    unlabelled.parquet (so of the other studies' labels without a grade, but for fold and label),
    holdout.parquet (so of the studies of `holdout`, which are in no fold and are not learnt from),
    history.parquet (epoch, loss, validation_loss, score), steps.parquet (epoch, step, loss,
    learning_rate, gradient_norm, which is not finite where float16 skipped the update),
    tensorboard/ (the same as curves) and fit.json (how it was trained). While it trains it holds
    resume.pt, and it waits while somebody lays a file `pause` there, or beside `out` for all folds.
    A fold that is finished under the same `identity`, which names all that the result depends on,
    is left as it is; device, threads and library versions are recorded, and a training may go on
    under others.

    `crops` is the folder with crops.npy and samples.parquet, `labels` and `folds` are Parquet.
    `device` is "auto", "cpu", "cuda" or what else torch knows; another device or number of
    `threads` gives other last bits, `workers` that load data give the same. `start_from` is the
    model.safetensors of the same fold of `experiment.needs.weights`, `fill_from` the
    unlabelled.parquet of the same fold of `experiment.needs.labels`, `weights` where those of
    pretrained backbones lie, if not on the hub or in its cache. `holdout` is Parquet too, of which
    study_id alone is read. `on_progress` is given {epoch,
    epochs, step, steps, loss, seconds_left} at each step and {epoch, epochs, loss, score} at each
    epoch's end, counted from 1.

    Raises:
        DataError, SettingsError, NoSpaceError, StageError: see `lsdc.training.process.run_child`.
    """
    if _is_finished(out, identity):
        return
    for setting, needed in (("needs.weights", start_from), ("needs.labels", fill_from)):
        if needed is not None:
            _require_same_folds(needed.parent, folds, setting)
    out.mkdir(parents=True, exist_ok=True)
    for name in (FACTS, *RESULTS):  # of another training; from here on there is none
        (out / name).unlink(missing_ok=True)
    done = run_child(
        CHILD,
        {
            "experiment": experiment.model_dump(mode="json"),
            "fold": fold,
            "crops": str(crops),
            "labels": str(labels),
            "folds": str(folds),
            "out": str(out),
            "seed": seed,
            "device": device,
            "threads": threads,
            "workers": workers,
            "start_from": None if start_from is None else str(start_from),
            "fill_from": None if fill_from is None else str(fill_from),
            "weights": None if weights is None else str(weights),
            "holdout": None if holdout is None else str(holdout),
            "identity": identity,
        },
        log=log,
        stall_minutes=experiment.training.stall_minutes,
        on_line=partial(_hear, fold, on_progress),
    )
    digests = {name: digest_file(out / name) for name in RESULTS}
    temporary = out / f".writing-{FACTS}"
    facts = {"identity": identity, "digests": digests, "folds": digest_file(folds), **done}
    temporary.write_text(json.dumps(facts, indent=1))
    temporary.replace(out / FACTS)
    (out / "resume.pt").unlink(missing_ok=True)


def _require_same_folds(trained: Path, folds: Path, setting: str) -> None:
    """Refuse what may come of a training on the studies which are to be predicted."""
    if read_trained(trained, setting)["folds"] != digest_file(folds):
        raise StageError(
            f"{trained}: trained on other folds, so it may know the studies of this one; run "
            f"experiment {trained.parent.name} again with the same --folds and --seed"
        )


def _hear(fold: int, on_progress: Callable[[dict[str, Any]], None], line: dict[str, Any]) -> None:
    if "warning" in line:
        logging.getLogger(__name__).warning("fold %d %s", fold, line["warning"])
    else:
        on_progress(line)


def _is_finished(out: Path, identity: str) -> bool:
    try:
        written = json.loads((out / FACTS).read_text())
        return bool(written["identity"] == identity) and all(
            digest_file(out / name) == digest for name, digest in written["digests"].items()
        )
    except (OSError, ValueError, KeyError):
        return False
