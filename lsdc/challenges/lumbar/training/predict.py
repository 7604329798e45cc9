"""Predictions of the test split by the models of all folds, in one child process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lsdc.challenges.lumbar.config.experiment import Experiment
from lsdc.training.process import run_child

CHILD = "lsdc.challenges.lumbar.training.predict_child"


def predict(
    *,
    experiment: Experiment,
    models: Sequence[Path],
    crops: Path,
    out: Path,
    device: str,
    threads: int,
    log: Path,
    on_progress: Callable[[dict[str, Any]], None],
) -> None:
    """Write the mean of the models' probabilities for every test sample and condition to `out`.

    `models` are the folders of the trained folds, `crops` that with crops.npy and samples.parquet.
    `out` becomes Parquet with row_id, study_id, condition, level, normal_mild, moderate, severe; it
    has no row where there is no test sample. `on_progress` is given {model, models, done, samples}.

    Raises:
        DataError, SettingsError, StageError: see `lsdc.training.process.run_child`.
    """
    run_child(
        CHILD,
        {
            "experiment": experiment.model_dump(mode="json"),
            "models": [str(model) for model in models],
            "crops": str(crops),
            "out": str(out),
            "device": device,
            "threads": threads,
        },
        log=log,
        stall_minutes=experiment.training.stall_minutes,
        on_line=on_progress,
    )
