"""Quarantine: stop a run with too many bad files, after the catalog lists them."""

from collections.abc import Sequence

from lsdc.dicom_index import quarantine
from lsdc.errors import StageError
from lsdc.store.exact_names import scan_parquet
from lsdc.store.manifest import Manifest
from tasks.common.catalog import publish_catalog
from tasks.run import Run


def refuse_bad_files(
    run: Run, result: Manifest, *, index: Manifest, images: str, so_far: Sequence[Manifest]
) -> None:
    """Stop if a result has too many bad files; it is kept, and the catalog lists them.

    Args:
        run: the run.
        result: the result of a stage that reads files.
        index: the index of these files.
        images: the name of its table with the path of each image.
        so_far: all results of the run up to this one, which are written to the catalog.

    Raises:
        StageError: more than `run.max_bad` of the files, and at least 10, are bad.
    """
    bad = run.table(result, "quarantine")
    read = scan_parquet(index.file(run.root, f"{images}.parquet")).select("path").collect()
    files = quarantine.count_files(read)
    try:
        quarantine.refuse_bad_files(result.stage, bad, total=files, max_bad=run.max_bad)
    except StageError:
        publish_catalog(run, so_far, after=result.stage)
        raise
