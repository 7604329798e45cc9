"""Helpers of the tests of tasks."""

from lsdc.challenges.lumbar.competition.tables import open_competition
from lsdc.dicom_index.listing import Split
from lsdc.store.files import write_folder
from lsdc.store.manifest import Manifest, store_folder
from tasks.run import Run
from tests.dicom_index.indexing import build_index


def indexed(run: Run, split: Split) -> Manifest:
    """Write the result of the stage index without Prefect."""
    with write_folder(run.root / "index") as out:
        rows = build_index(open_competition(run.data), split, out)
        return store_folder(run.root, "index", out, rows=rows)
