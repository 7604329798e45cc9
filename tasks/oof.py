"""Out of fold: every labelled row predicted once, by a model that never saw its study; scored."""

from collections.abc import Sequence

from prefect import task

from lsdc.lumbar.oof import write_oof
from lsdc.lumbar.training_labels import asked
from lsdc.store.exact_names import read_parquet
from lsdc.store.manifest import Manifest, seal
from tasks.former import OOF_FILES, keeping_oof
from tasks.policies import Stage, shared, stage_options
from tasks.run import Run

OOF = Stage(
    name="oof",
    code=("lsdc.lumbar.oof",),
    libraries=("numpy", "polars"),
    uses=lambda inputs: {
        "name": inputs["run"].experiment.name,
        "labels": inputs["run"].experiment.labels,
    },
)


@task(**stage_options(OOF, run_name="oof", timeout_hours=1))
@shared(OOF)
def score_oof(run: Run, folds: Manifest, trained: Sequence[Manifest]) -> Manifest:
    """Put the folds' predictions together and score them beside the weighted prior.

    What was held out of all folds is scored on its own.
    """
    out = run.folder
    labels, held_out = (
        asked(read_parquet(folds.file(run.root, name)), run.experiment.labels)
        for name in ("labels.parquet", "holdout.parquet")
    )
    with keeping_oof(out):
        rows = write_oof(
            [run.at_home(fold).folder(run.root) for fold in trained],
            labels,
            read_parquet(folds.file(run.root, "folds.parquet")),
            held_out,
            out,
        )
    return seal(run.root, OOF.name, out, rows=rows, names=OOF_FILES)
