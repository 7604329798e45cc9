"""The store that hosts share, as commands are given it."""

import os

from lsdc.store.locks import require_locks
from lsdc.store.remote import RemoteStore, open_store


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
