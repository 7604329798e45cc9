"""Catalog: the tables of all stages in one DuckDB file."""

from collections.abc import Sequence

from lsdc.challenges.lumbar.catalog_tables import CATALOG
from lsdc.challenges.lumbar.run import LumbarRun
from lsdc.store import catalog
from lsdc.store.manifest import Manifest
from tasks.stage import stage

# Of the code that declares the tables, only these words are in the catalog.
_WORDS = {name: [table.about(), table.descriptions()] for name, table in CATALOG.items()}


@stage(
    "catalog",
    code=("lsdc.store.catalog",),
    libraries=("duckdb",),
    uses=lambda inputs: {"run": inputs["run"].name, "tables": _WORDS},
    run_name="catalog after {after}",
    timeout_hours=1,
)
def publish_catalog(
    run: LumbarRun,
    manifests: Sequence[Manifest],
    *,
    after: str,  # noqa: ARG001 (it names the task run)
) -> catalog.CatalogRecord:
    """Load the stages' tables into `catalog.duckdb`; `after` names the latest finished stage."""
    return catalog.publish_catalog(run.home, run.name, manifests, CATALOG)
