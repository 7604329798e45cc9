"""Folds: regions of the fragments, and their assignment to folds."""

from collections.abc import Mapping
from typing import Any

from lsdc.challenges.ink import folds
from lsdc.challenges.ink.competition.tables import open_competition
from lsdc.challenges.ink.run import InkRun
from lsdc.store.files import digest_file, write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.stage import stage


def _uses(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    run: InkRun = inputs["run"]
    fragments = open_competition(run.data).fragments
    pictures = {
        str(each): [digest_file(path) for path in (each.mask, each.labels) if path.is_file()]
        for each in fragments
    }
    return {"pictures": pictures, "bands": run.experiment.split.bands, "folds": run.folds}


@stage(
    "folds",
    code=("lsdc.challenges.ink.folds", "lsdc.challenges.ink.competition.tables"),
    libraries=("numpy", "pillow", "polars"),
    uses=_uses,
    run_name="folds",
    timeout_hours=1,
)
def assign_folds(run: InkRun) -> Manifest:
    """Cut the fragments into regions, and assign those with labels to folds."""
    with write_folder(run.root / "folds") as out:
        rows = folds.write_folds(
            open_competition(run.data), out, folds=run.folds, bands=run.experiment.split.bands
        )
        return store_folder(run.root, "folds", out, rows=rows)
