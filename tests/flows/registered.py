"""A server that has our deployments, and a run of one of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.register import register


@contextmanager
def registered(api: str) -> Iterator[SyncPrefectClient]:
    """Yield a client of a server that has the deployments, and no workers."""
    with temporary_settings({PREFECT_API_URL: api}):
        asyncio.run(register())
        with get_client(sync_client=True) as client:
            yield client


def asked(client: SyncPrefectClient, **parameters: Any) -> FlowRun:
    """Create a run of `prepare/default`, as the run form of Prefect's UI does."""
    deployment = client.read_deployment_by_name("prepare/default")
    return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
