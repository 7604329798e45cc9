"""Catalog: what all stages found, as tables of one DuckDB file."""

from collections.abc import Sequence

from prefect import task

from lsdc.store import catalog
from lsdc.store.manifest import Manifest
from tasks.policies import Stage, stage_options
from tasks.run import Run

CATALOG = Stage(
    name="catalog", code=("lsdc.store.catalog",), libraries=("duckdb",), uses=lambda _: {}
)


@task(**stage_options(CATALOG, run_name="catalog", timeout_hours=1))
def publish_catalog(run: Run, manifests: Sequence[Manifest]) -> catalog.CatalogRecord:
    """Load the stages' tables into `catalog.duckdb`."""
    return catalog.publish_catalog(run.home, manifests)
