"""Versions: the code and libraries behind a run's results, the same on all of its workers."""

import socket
from collections.abc import Collection, Mapping
from typing import Any

from lsdc.errors import SettingsError
from lsdc.store.fingerprint import fingerprint_code, fingerprint_libraries
from tasks.stage import Stage


def installed_versions(stages: Collection[Stage[..., Any]]) -> dict[str, str]:
    """Return the versions of this project and of all libraries in these stages' result keys.

    This project's version includes a digest of its code, as a checkout may be edited under one
    version.
    """
    code = fingerprint_code(sorted({module for stage in stages for module in stage.code}))
    libraries = {library for stage in stages for library in stage.libraries}
    found = fingerprint_libraries({"lsdc", *libraries})
    return found | {"lsdc": f"{found['lsdc']} (code {code[:8]})"}


def require_versions(
    expected: Mapping[str, str] | None, stages: Collection[Stage[..., Any]]
) -> None:
    """Refuse to train for a run with other versions; a run that names none trains for itself.

    Otherwise its folds would be inconsistent, and all their inputs would be remade for the new
    keys.

    Raises:
        SettingsError: versions differ; the message names them.
    """
    found = installed_versions(stages)
    other = {
        name: (version, found.get(name, "absent"))
        for name, version in (expected or {}).items()
        if found.get(name, "absent") != version
    }
    if other:
        wanted = ", ".join(f"{name} {version}" for name, (version, _) in other.items())
        here = ", ".join(f"{name} {version}" for name, (_, version) in other.items())
        raise SettingsError(
            f"the worker on {socket.gethostname()} has other versions than the run: expected "
            f"{wanted}; found {here}; install the run's versions there and Retry, or trigger a "
            "new run"
        )
