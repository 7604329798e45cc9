"""Isolate the Prefect settings of lsdc's processes from the user's own.

Prefect takes its settings from the environment, under several names each, and from `.env`,
`prefect.toml` and `pyproject.toml` in the working folder, and from a profile. Settings for
another installation must not reach our server, which would write into its database, nor our runs
and workers, which would not find their results. So each of our processes gets the user's
environment without any name that Prefect reads, plus our settings, and Prefect looks for its
files in a folder without any. The user's API settings are read beforehand, by
`lsdc.cli.server.user_settings`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lsdc.cli.server.network import is_this_machine, reach_directly
from lsdc.store.home import Home

# Prefixes of all names that Prefect reads, in any case; the last is of old versions.
_NAMES = ("PREFECT_", "ORION_ENCRYPTION_KEY")
# No telemetry is sent.
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
# Variables that name files or folders; made absolute, since workers run in other folders.
_PLACES = (
    *("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"),
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE", "HF_TOKEN_PATH"),
    *("TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH"),
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"),
    *("PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "NETRC",
)
_EXPANDED = ("~", "$")  # expanded by the program that reads the variable
# A folder of ours without any of Prefect's settings files.
_WITHOUT_SETTINGS = Path(__file__).parent


@dataclass(frozen=True)
class Api:
    """A Prefect API.

    Attributes:
        url: the address that clients take as PREFECT_API_URL.
        client: the clients' connection settings, as environment variables.
        is_own: whether it is the home's own server, which is not behind a proxy.
    """

    url: str
    client: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_own: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """The clients' Prefect settings, as environment variables."""
        return {**self.client, "PREFECT_API_URL": self.url}


def own_api(address: str, password: str | None = None) -> Api:
    """Return the API of our own server, with its password if it has one."""
    return Api(f"{address}/api", {"PREFECT_API_AUTH_STRING": password} if password else {})


def without_prefect(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables that Prefect reads."""
    return {
        name: value for name, value in environment.items() if not name.upper().startswith(_NAMES)
    }


def own_environment(home: Home | None, api: Api | None = None) -> dict[str, str]:
    """Return the base environment of our Prefect processes; callers add their own settings.

    Args:
        home: the home that keeps Prefect's files; None for a process without any.
        api: the API that the process is a client of.
    """
    host = "" if api is None else urlsplit(api.url).hostname or ""
    direct = [host] if api is not None and (api.is_own or is_this_machine(host)) else []
    if home is not None:
        home.prefect.mkdir(exist_ok=True)  # by the umask; Prefect would make it private
    folder = os.devnull if home is None else str(home.prefect)
    has_home = os.path.expanduser("~") != "~"  # noqa: PTH111 (which would raise)
    return {
        **_found_from_elsewhere(reach_directly(without_prefect(os.environ), direct)),
        **QUIET,
        **({} if has_home else {"HOME": folder}),  # for a user unknown to the system
        "PREFECT_HOME": folder,
        "PREFECT_PROFILES_PATH": os.devnull,
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",  # no temporary servers started by Prefect
        **({} if api is None else api.environment),
    }


@contextlib.contextmanager
def own_settings(environment: Mapping[str, str]) -> Iterator[None]:
    """Make Prefect use only this environment, in this process and its children."""
    before = dict(os.environ)
    _become(environment)
    try:
        with contextlib.chdir(_WITHOUT_SETTINGS):
            # Prefect reads settings on import, too.
            from prefect.context import refresh_global_settings_context

            refresh_global_settings_context()
        yield
    finally:
        _become(before)


def _found_from_elsewhere(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with relative files and folders made absolute."""
    here = {
        name: str(Path(value).absolute())
        for name in _PLACES
        if (value := environment.get(name)) and not value.startswith(_EXPANDED)
    }
    return {**environment, **here}


def _become(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ |= environment
