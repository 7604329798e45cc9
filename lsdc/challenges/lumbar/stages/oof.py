"""Out of fold: predict every labelled row by a model that never saw its study, and score."""

from collections.abc import Sequence

import polars as pl
from prefect.artifacts import create_markdown_artifact

from lsdc.challenges.lumbar.competition.predictions import PROBABILITIES
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.challenges.lumbar.scoring.oof import write_oof
from lsdc.challenges.lumbar.training.labels import keep_graded
from lsdc.challenges.lumbar.vocabulary import Condition, Grade
from lsdc.store.exact_names import read_parquet
from lsdc.store.manifest import Manifest, make_manifest
from tasks.artifacts import artifact_key, unless_refused
from tasks.common.scores import show_losses
from tasks.former import OOF_FILES, keeping_oof
from tasks.stage import stage


@stage(
    "oof",
    code=("lsdc.challenges.lumbar.scoring.oof", "lsdc.challenges.lumbar.training.labels"),
    libraries=("numpy", "polars"),
    uses=lambda inputs: {
        "name": inputs["run"].experiment.name,
        "labels": inputs["run"].experiment.labels,
    },
    run_name="oof",
    timeout_hours=1,
)
def score_oof(run: LumbarRun, folds: Manifest, trained: Sequence[Manifest]) -> Manifest:
    """Join the folds' predictions and score them, along with the weighted prior.

    Studies held out of all folds are scored separately.
    """
    out = run.folder
    labels, held_out = (
        keep_graded(read_parquet(folds.file(run.root, name)), run.experiment.labels)
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
    return make_manifest(run.root, "oof", out, rows=rows, names=OOF_FILES)


def show_scores(run: LumbarRun) -> None:
    """Show the run's out-of-fold losses and confusion matrices."""
    show_losses(run)
    folder, name = run.folder, run.experiment.name
    oof = read_parquet(folder / "oof.parquet")
    with unless_refused():
        create_markdown_artifact(
            _confusions(oof) + f"\n\n`{folder / 'oof.parquet'}`, `{folder / 'scores.json'}`\n",
            key=artifact_key(name, "confusions"),
            description=f"{name}: labels (rows) and most likely grades (columns), out of fold",
        )


def _confusions(oof: pl.DataFrame) -> str:
    """Return a confusion matrix for each condition, as Markdown."""
    likeliest = pl.concat_list(PROBABILITIES).list.arg_max().alias("predicted")
    rows = oof.filter(pl.col("label").is_not_null()).with_columns(likeliest)
    names = [grade.name.lower().replace("_", " ") for grade in Grade]
    tables = []
    for condition in Condition:
        counts = rows.filter(condition=condition.value).group_by("label", "predicted").len()
        found = {(label, predicted): n for label, predicted, n in counts.iter_rows()}
        lines = [
            f"| {name} | "
            + " | ".join(str(found.get((row, k), 0)) for k in range(len(names)))
            + " |"
            for row, name in enumerate(names)
        ]
        head = f"| {condition.value.replace('_', ' ')} | " + " | ".join(names) + " |"
        tables.append("\n".join([head, "|---" * (len(names) + 1) + "|", *lines]))
    return "\n\n".join(tables)
