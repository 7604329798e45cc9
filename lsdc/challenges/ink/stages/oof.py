"""Out of fold: make masks of the folds' maps by nested rules, and score them."""

from collections.abc import Mapping, Sequence
from typing import Any

from lsdc.challenges.ink.folds import are_leaky
from lsdc.challenges.ink.masks.oof import write_oof
from lsdc.challenges.ink.masks.rules import RULES
from lsdc.challenges.ink.masks.variants import VARIANTS_FILE
from lsdc.challenges.ink.run import InkRun
from lsdc.store.manifest import Manifest, make_manifest
from tasks.former import OOF_FILES, keeping_oof
from tasks.stage import stage


def _uses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    run = inputs["run"]
    experiment = run.experiment
    return {
        **run.parts("name", "mask"),
        "gap_px": experiment.gap_px,
        "size_px": experiment.tiles.size_px,
    }


@stage(
    "oof",
    code=("lsdc.challenges.ink.masks.oof", "lsdc.challenges.ink.folds"),
    libraries=("numpy", "opencv-python-headless", "polars", "scipy"),
    uses=_uses,
    run_name="oof",
    timeout_hours=12,
)
def score_oof(
    run: InkRun,
    volumes: Manifest,
    folds: Manifest,
    trained: Sequence[Manifest],
    maps: Sequence[Manifest],
) -> Manifest:
    """Make masks of the maps that each fold predicted, and score them."""
    out, experiment = run.folder, run.experiment
    regions, dealt = run.table(folds, "regions"), run.table(folds, "folds")
    with keeping_oof(out):
        rows = write_oof(
            [run.at_home(each).folder(run.root) for each in maps],
            [run.at_home(each).folder(run.root) for each in trained],
            regions,
            dealt,
            volumes.folder(run.root),
            experiment.mask,
            out,
            leaky=are_leaky(regions, dealt, experiment.gap_px, experiment.tiles.size_px),
        )
    names: Sequence[str] = [*OOF_FILES, VARIANTS_FILE, RULES]
    return make_manifest(run.root, "oof", out, rows=rows, names=names)
