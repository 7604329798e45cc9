"""Catalog: the tables of all stages in one DuckDB file."""

from collections.abc import Sequence

from lsdc.store import catalog
from lsdc.store.manifest import Manifest
from tasks.run import Run
from tasks.stage import stage


def _words(run: Run) -> dict[str, list[object]]:
    """Return what the catalog holds of the code that declares the tables: these words alone."""
    return {name: [table.about(), table.descriptions()] for name, table in run.catalog.items()}


@stage(
    "catalog",
    code=("lsdc.store.catalog",),
    libraries=("duckdb",),
    uses=lambda inputs: {"run": inputs["run"].name, "tables": _words(inputs["run"])},
    run_name="catalog after {after}",
    timeout_hours=1,
)
def publish_catalog(
    run: Run,
    manifests: Sequence[Manifest],
    *,
    after: str,  # noqa: ARG001 (it names the task run)
) -> catalog.CatalogRecord:
    """Load the stages' tables into `catalog.duckdb`; `after` names the latest finished stage."""
    return catalog.publish_catalog(run.home, run.name, manifests, run.catalog)
