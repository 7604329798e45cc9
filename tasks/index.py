"""Index: DICOM headers to tables."""

from collections.abc import Mapping
from typing import Any

from prefect import task

from lsdc.lumbar.index import build_index
from lsdc.lumbar.tables import Split, open_competition
from lsdc.store.files import digest_file, write_folder
from lsdc.store.fingerprint import fingerprint_tree
from lsdc.store.manifest import Manifest, settle
from tasks.policies import Stage, shared, stage_options
from tasks.progress import tell_steps
from tasks.run import Run


def _uses(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    run, split = inputs["run"], inputs["split"]
    listed = run.data / f"{split}_series_descriptions.csv"
    return {
        "data": run.data,
        "listed": digest_file(listed) if listed.is_file() else None,
        "files": fingerprint_tree(run.data / f"{split}_images"),
        "limit": run.limit if split == "train" else None,
        "max_bad": run.max_bad,
        "strict": run.strict,
    }


INDEX = Stage(
    name="index",
    code=("lsdc.lumbar.index", "lsdc.lumbar.tables"),
    libraries=("dicomsdl", "numpy", "polars", "pydicom"),
    uses=_uses,
)


@task(**stage_options(INDEX, run_name="index {split}", timeout_hours=6, retries=3))
@shared(INDEX)
def index_studies(run: Run, split: Split) -> Manifest:
    """Read the header of every listed file of a split."""
    with write_folder(run.root / "index") as out:
        rows = build_index(
            open_competition(run.data),
            split,
            out,
            limit=run.limit if split == "train" else None,
            processes=run.threads,
            max_bad=run.max_bad,
            strict=run.strict,
            headers=run.home.headers,
            on_progress=tell_steps(f"index {split}"),
        )
        return settle(run.root, "index", out, rows=rows)
