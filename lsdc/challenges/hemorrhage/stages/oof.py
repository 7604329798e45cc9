"""Out of fold: predict every labelled image by a model that never saw its patient, and score."""

from collections.abc import Sequence

from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.challenges.hemorrhage.scoring.oof import FILLED, write_oof
from lsdc.store.manifest import Manifest, make_manifest
from tasks.former import OOF_FILES, keeping_oof
from tasks.stage import stage


@stage(
    "oof",
    code=("lsdc.challenges.hemorrhage.scoring.oof",),
    libraries=("numpy", "polars"),
    uses=lambda inputs: {"name": inputs["run"].experiment.name},
    run_name="oof",
    timeout_hours=1,
)
def score_oof(
    run: HemorrhageRun, index: Manifest, folds: Manifest, trained: Sequence[Manifest]
) -> Manifest:
    """Join the folds' predictions and score them, along with the prior.

    Images of patients held out of all folds are scored separately.
    """
    out = run.folder
    with keeping_oof(out):
        rows = write_oof(
            [run.at_home(fold).folder(run.root) for fold in trained],
            run.table(folds, "labels"),
            run.table(folds, "folds"),
            run.table(folds, "holdout"),
            run.table(index, "images"),
            out,
        )
    return make_manifest(run.root, "oof", out, rows=rows, names=[*OOF_FILES, FILLED])
