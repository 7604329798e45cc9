"""Out of fold: every labelled row predicted once, by a model that never saw its study; scored."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from prefect import task

from lsdc.lumbar.oof import write_oof
from lsdc.lumbar.training_labels import asked
from lsdc.store.exact_names import read_parquet
from lsdc.store.manifest import Manifest, seal
from tasks.policies import Stage, shared, stage_options
from tasks.run import Run

log = logging.getLogger("lsdc.oof")

OOF = Stage(
    name="oof",
    code=("lsdc.lumbar.oof",),
    libraries=("numpy", "polars"),
    uses=lambda inputs: {
        "name": inputs["run"].experiment.name,
        "labels": inputs["run"].experiment.labels,
    },
)
RESULTS = ("oof.parquet", "holdout.parquet", "scores.json")


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
    _tell_if_fewer(out / "scores.json", len(trained))
    rows = write_oof(
        [run.at_home(fold).folder(run.root) for fold in trained],
        labels,
        read_parquet(folds.file(run.root, "folds.parquet")),
        held_out,
        out,
    )
    return seal(run.root, "oof", out, rows=rows, names=RESULTS)


def _tell_if_fewer(scores: Path, folds: int) -> None:
    """Say that a table of more folds is replaced, which rest on other data or code."""
    if not scores.is_file():
        return
    before = json.loads(scores.read_text(encoding="utf-8"))
    if len(before["folds"]) > folds:
        log.warning(
            "%s: out-of-fold table and scores were of %d folds (score %.4f), and are now of %d: "
            "the others rest on other data or code; train them again to have all",
            scores.parent,
            len(before["folds"]),
            before["score"] if before["score"] is not None else float("nan"),
            folds,
        )
