"""One fold: trained in a child process, which leaves its model and out-of-fold predictions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsdc.experiments.config import Experiment
from lsdc.store.files import digest_file
from lsdc.training.process import run_child

CHILD = "lsdc.lumbar.fit_child"
RESULTS = ("model.safetensors", "oof.parquet", "history.parquet")


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
    log: Path,
    on_progress: Callable[[dict[str, Any]], None],
) -> None:
    """Train on the other folds and predict this one; start again to go on where it was killed.

    `out` then holds model.safetensors, oof.parquet (row_id, study_id, condition, level, fold,
    label, normal_mild, moderate, severe: every row of the fold's studies that have samples),
    history.parquet (epoch, loss, score) and fit.json (how it was trained). While it trains it holds
    resume.pt. A fold that is finished under the same `identity`, which names all that the result
    depends on, is left as it is; device, threads and library versions are recorded, and a training
    may go on under others.

    `crops` is the folder with crops.npy and samples.parquet, `labels` and `folds` are Parquet.
    `device` is "auto", "cpu", "cuda" or what else torch knows; another device or number of
    `threads` gives other last bits. `on_progress` is given {epoch, epochs, step, steps, loss,
    seconds_left} at each step and {epoch, epochs, loss, score} at each epoch's end, counted from 1.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    if _is_finished(out, identity):
        return
    out.mkdir(parents=True, exist_ok=True)
    for name in ("fit.json", *RESULTS):  # of another training; from here on there is none
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
            "identity": identity,
        },
        log=log,
        stall_minutes=experiment.training.stall_minutes,
        on_line=on_progress,
    )
    digests = {name: digest_file(out / name) for name in RESULTS}
    temporary = out / ".writing-fit.json"
    temporary.write_text(json.dumps({"identity": identity, "digests": digests, **done}, indent=1))
    temporary.replace(out / "fit.json")
    (out / "resume.pt").unlink(missing_ok=True)


def _is_finished(out: Path, identity: str) -> bool:
    try:
        written = json.loads((out / "fit.json").read_text())
        return bool(written["identity"] == identity) and all(
            digest_file(out / name) == digest for name, digest in written["digests"].items()
        )
    except (OSError, ValueError, KeyError):
        return False
