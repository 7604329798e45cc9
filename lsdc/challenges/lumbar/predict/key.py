"""The key of a prediction: the same command goes on only with what has the same key."""

from collections.abc import Sequence
from pathlib import Path

from lsdc.challenges.lumbar.predict.models import EnsembleModels, Models
from lsdc.challenges.lumbar.predict.sources import list_inputs
from lsdc.predict.unfinished import work_key

_CODE = ("lsdc.challenges.lumbar.predict.studies",)
_LIBRARIES = ("numpy", "opencv-python-headless", "polars", "timm", "torch")


def key_of(root: Path, models: Models, out: Path, *, arguments: Sequence[str | int]) -> str:
    """Return a fingerprint of all that a prediction depends on.

    Args:
        root: the folder that is read.
        models: the models.
        out: the folder of the results.
        arguments: the other arguments of `predict_studies` that count.
    """
    points = [each.points for each in models.each]
    folders = [*models.folds.values(), *points]
    weights = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    weights += [path for folder in points for path in sorted(folder.glob("*.json"))]
    joined = (models.ensemble, models.labels) if isinstance(models, EnsembleModels) else None
    return work_key(
        root,
        list_inputs(root, leave_out=out),
        code=_CODE,
        libraries=_LIBRARIES,
        weights=weights,
        uses={
            "run": models.name,
            "experiments": [each.experiment for each in models.each],
            "ensemble": joined,
            "folds": list(models.folds),
            "prior": models.prior.write_csv(),
            "arguments": list(arguments),
        },
    )
