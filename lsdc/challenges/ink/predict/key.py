"""The key of a prediction: the same command goes on only with what has the same key."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lsdc.challenges.ink.predict.models import TrainedModels
from lsdc.challenges.ink.predict.sources import list_inputs
from lsdc.predict.unfinished import work_key

_CODE = ("lsdc.challenges.ink.predict.fragments",)
_LIBRARIES = (
    *("imagecodecs", "monai", "numpy", "opencv-python-headless", "pillow", "polars", "scipy"),
    *("tifffile", "timm", "torch"),
)


def key_of(root: Path, models: TrainedModels, out: Path, *, arguments: Sequence[str | int]) -> str:
    """Return a fingerprint of all that a prediction depends on.

    Args:
        root: the folder that is read.
        models: the models.
        out: the folder of the results.
        arguments: the other arguments of `predict_fragments` that count.
    """
    return work_key(
        root,
        list_inputs(root, leave_out=out),
        code=_CODE,
        libraries=_LIBRARIES,
        weights=models.weights,
        uses={
            "run": models.name,
            "experiment": models.experiment,
            "folds": list(models.folds),
            "rule": asdict(models.rule),
            "arguments": list(arguments),
        },
    )
