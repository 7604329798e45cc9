"""Where Prefect keeps the results of tasks: in the home, or in the store that hosts share."""

import os
from hashlib import sha256
from pathlib import Path

from lsdc.store.home import Home
from lsdc.store.locks import require_locks
from lsdc.store.remote import RemoteStore, open_store

_RESULTS = "results"


def choose_store(url: str | None) -> RemoteStore | None:
    """The store asked for, else that of LSDC_STORE; what this process starts finds it there.

    Raises:
        SettingsError: it cannot be a store, or has no locks.
        StoreError: it cannot be used.
    """
    store = open_store(url)
    if store is not None:
        require_locks(store)
        store.require()
        os.environ["LSDC_STORE"] = store.url
    return store


def result_settings(home: Home, store: RemoteStore | None) -> dict[str, str]:
    """Prefect's settings, as environment, for where it keeps results."""
    folder: Path = home.prefect / _RESULTS
    if store is not None and store.path is not None:
        folder = store.path / _RESULTS
    settings = {"PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(folder)}
    if store is not None and store.path is None:
        block = f"remote-file-system/{_block(store)}"
        settings["PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK"] = block
    return settings


def register_storage(store: RemoteStore | None) -> None:
    """Tell Prefect's server where results in object storage are; it is told no secret."""
    if store is None or store.path is not None:
        return
    from prefect.filesystems import RemoteFileSystem

    block = RemoteFileSystem(
        basepath=f"{store.url}/{_RESULTS}", settings={"use_listings_cache": False}
    )
    block.save(_block(store), overwrite=True)


def _block(store: RemoteStore) -> str:
    return f"lsdc-{sha256(store.url.encode()).hexdigest()[:12]}"
