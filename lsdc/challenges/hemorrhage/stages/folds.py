"""Folds: the assignment of images to folds, by patient."""

from lsdc.challenges.hemorrhage import folds
from lsdc.challenges.hemorrhage.competition.tables import read_labels, table_of_labels
from lsdc.challenges.hemorrhage.run import HemorrhageRun
from lsdc.store.files import digest_file, write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.stage import stage


@stage(
    "folds",
    code=("lsdc.challenges.hemorrhage.folds", "lsdc.challenges.hemorrhage.competition.tables"),
    libraries=("numpy", "polars", "scikit-learn"),
    uses=lambda inputs: {
        "labels": digest_file(table_of_labels(inputs["run"].data)),
        "by": inputs["run"].experiment.split.by,
        "folds": inputs["run"].folds,
        "seed": inputs["run"].seed,
        "limit": inputs["run"].limit,
        "strict": inputs["run"].strict,
        "holdout": inputs["run"].holdout,
    },
    run_name="folds",
    timeout_hours=1,
)
def assign_folds(run: HemorrhageRun, index: Manifest) -> Manifest:
    """Assign the images with a usable file and labels to folds."""
    with write_folder(run.root / "folds") as out:
        rows = folds.write_folds(
            read_labels(run.data),
            run.table(index, "images"),
            out,
            folds=run.folds,
            seed=run.seed,
            strict=run.strict,
            by=run.experiment.split.by,
            holdout=run.holdout,
            limit=run.limit,
        )
        return store_folder(run.root, "folds", out, rows=rows)
